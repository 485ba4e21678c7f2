"""Whatever a server sends, text or an error of ours comes out: on all four, over the wire."""

import asyncio
import importlib
import json
from contextlib import suppress

import bruno_llm_testing
import pytest
from bruno_llm_base import LLMError, ModelResponse, Retry
from bruno_llm_testing import FakeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("unmeasured")

NAMES = {"openai": "OpenAI", "claude": "Claude", "gemini": "Gemini", "ollama": "Ollama"}
KEYS = st.sampled_from(
    [
        "candidates",
        "candidatesTokenCount",
        "choices",
        "code",
        "content",
        "content_block",
        "data",
        "delta",
        "details",
        "done",
        "done_reason",
        "error",
        "eval_count",
        "call_id",
        "encrypted_content",
        "field",
        "fieldViolations",
        "incomplete_details",
        "item",
        "output",
        "output_index",
        "response",
        "summary",
        "finishReason",
        "finish_reason",
        "function",
        "functionCall",
        "arguments",
        "id",
        "index",
        "message",
        "models",
        "modality",
        "model",
        "name",
        "param",
        "parts",
        "partial_json",
        "promptFeedback",
        "blockReason",
        "promptTokensDetails",
        "prompt_tokens",
        "reason",
        "reasoning_content",
        "refusal",
        "retryDelay",
        "role",
        "status",
        "stop_details",
        "stop_reason",
        "text",
        "thinking",
        "thoughtSignature",
        "tool_calls",
        "totalTokenCount",
        "type",
        "usage",
        "usageMetadata",
        "violations",
    ]
)
WORDS = st.sampled_from(
    [
        "x",
        "text",
        "thinking",
        "tool_use",
        "message_delta",
        "content_block_delta",
        "content_block_start",
        "message_start",
        "text_delta",
        "thinking_delta",
        "input_json_delta",
        "signature_delta",
        "function_call",
        "output_text",
        "reasoning",
        "response.completed",
        "response.failed",
        "response.function_call_arguments.delta",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "stop",
        "400",
        "502",
        "STOP",
        "RESOURCE_EXHAUSTED",
        "unsupported_parameter",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | WORDS
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=5), max_leaves=10
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
SHAPED = {
    "openai": {"choices": st.tuples(st.fixed_dictionaries({"message": OBJECTS, "delta": OBJECTS}))},
    "responses": {
        "type": WORDS,
        "output": st.lists(OBJECTS),
        "item": OBJECTS,
        "response": OBJECTS,
        "delta": VALUES,
    },
    "claude": {"type": WORDS, "index": VALUES, "delta": OBJECTS, "content": st.lists(OBJECTS)},
    "gemini": {
        "candidates": st.tuples(
            st.fixed_dictionaries({"content": st.fixed_dictionaries({"parts": st.lists(OBJECTS)})})
        )
    },
    "ollama": {"message": OBJECTS, "done": VALUES},
}


def mischievous(fake):
    class Mischievous(fake):
        """Says one document, whatever it is asked."""

        document: object = None

        def refuse(self, request):
            return None

        def render_answer(self, answer, request):
            return self.document

        def render_stream(self, answer, request):
            line = json.dumps(self.document).encode()
            return [b"data: " + line + b"\n\n"] if "event" in self.content_type else [line + b"\n"]

        def render_error(self, error, request):
            return 429 if error.kind == "rate_limit" else 400, self.document

        def render_models(self):
            return self.document

    return Mischievous


async def drive(llm, server):
    with suppress(LLMError):
        assert (await llm.generate("hi")).strip()
    with suppress(LLMError):
        assert isinstance(await llm.request("hi"), ModelResponse)
    with suppress(LLMError):
        async for piece in llm.stream("hi"):
            assert isinstance(piece, str)
    for kind in ("rate_limit", "invalid_request"):
        server.say(FakeError(kind=kind))
        with pytest.raises(LLMError) as caught:
            await llm.generate("hi")
        assert isinstance(str(caught.value), str)
    with suppress(LLMError):
        assert all(isinstance(name, str) for name in await llm.list_models())
    assert isinstance(await llm.check_connection(), bool)


@pytest.mark.parametrize("name", [*NAMES, "responses"])
def test_only_text_or_our_errors_come_out(name):
    vendor, more = ("openai", {"api": name}) if name == "responses" else (name, {})
    module = importlib.import_module(f"bruno_llm_{vendor}")
    kind = getattr(module, f"{NAMES[vendor]}Provider")
    fake = getattr(bruno_llm_testing, f"Fake{NAMES[vendor]}")
    with mischievous(fake)() as server, asyncio.Runner() as runner:
        llm = kind(**server.connection(), retry=Retry(attempts=1), **more)

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(VALUES | OBJECTS | st.fixed_dictionaries(SHAPED[name], optional={"usage": VALUES}))
        @example({"choices": [{"message": {"content": [{"type": "text", "text": "x"}]}}]})
        @example({"choices": [{"delta": {"tool_calls": [{"index": [], "function": {}}]}}]})
        @example({"models": [{"name": 5}], "data": [{"id": None}]})
        @example({"error": {"details": 5, "code": "unsupported_parameter", "param": ["x"]}})
        @example({"error": {"message": "9" * 20_000, "type": "invalid_request_error"}})
        @example({"message": {"content": 5}, "done": False})
        @example({"output": [{"type": "message", "content": [5]}], "status": 5})
        @example({"output": [{"type": "reasoning", "encrypted_content": 1, "summary": 2}]})
        @example({"type": "response.failed", "response": []})
        @example(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 1}}
        )
        def try_one(document):
            server.document = document
            runner.run(drive(llm, server))

        try_one()
        runner.run(llm.aclose())
