"""What the vendors of OpenAI's protocol send, in the shapes of their documentation and recordings.

Each file of `shapes/` is of one vendor. A case names where its shape was seen; what is said is ours.
"""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base import InvalidResponseError, LLMError, Retry, exceptions
from bruno_llm_base.discovery import kind_of
from bruno_llm_testing import FakeOpenAI, RawReply

ONCE = Retry(attempts=1)
FILES = sorted((Path(__file__).parent / "shapes").glob("*.json"))
CASES = [
    pytest.param(file.stem, case, id=f"{file.stem}: {case['case']}")
    for file in FILES
    for case in json.loads(file.read_text("utf-8"))
]


def reply(case):
    """Return what the server says."""
    streamed = "stream" in case
    body = "".join(map(framed, case["stream"])) if streamed else json.dumps(case["reply"])
    kind = {"content-type": "text/event-stream" if streamed else "application/json"}
    headers = kind | case.get("headers", {})
    return RawReply(status=case.get("status", 200), headers=headers, body=body.encode())


def framed(document):
    """Return *document* as it stands in a stream; comments and names of events are given as texts."""
    if not isinstance(document, str):
        return f"data: {json.dumps(document)}\n\n"
    if document.startswith("event: "):
        return f"{document}\n"
    return f"{document}\n\n" if document.startswith(":") else f"data: {document}\n\n"


async def ask(llm, case):
    if "stream" not in case:
        return await llm.request("What is the capital of France?")
    stream = llm.stream("What is the capital of France?")
    try:
        pieces = [piece async for piece in stream]
    except InvalidResponseError as error:
        if "only calls tools" not in str(error):
            raise
        pieces = []
    assert "".join(pieces) == stream.response.text
    return stream.response


@pytest.mark.parametrize(("vendor", "case"), CASES)
async def test_what_a_vendor_sends_is_read_for_what_it_means(vendor, case):
    expected = dict(case["is"])
    with FakeOpenAI() as server:
        server.say(reply(case))
        async with kind_of(vendor)("gpt-4.1", **server.connection(), retry=ONCE) as llm:
            if "error" in expected:
                with pytest.raises(LLMError) as caught:
                    await ask(llm, case)
                error = caught.value
                assert type(error) is getattr(exceptions, expected.pop("error"))
                assert expected.pop("message", "") in str(error)
                assert {n: getattr(error, n) for n in expected} == expected
                return
            answer = await ask(llm, case)
    assert answer.text == expected.get("text", "")
    assert answer.reasoning == expected.get("reasoning", "")
    calls = [[call.id, call.name, json.loads(call.arguments)] for call in answer.tool_calls]
    assert calls == expected.get("calls", [])
    if "finish" in expected:
        assert answer.finish_reason == expected["finish"]
    if "cost" in expected:
        assert answer.cost.total == Decimal(expected["cost"])
    told = {n: getattr(answer.usage, n) for n in expected.get("usage", ())}
    assert told == expected.get("usage", {})


ROW = {"id": "m-1", "object": "model", "created": 1, "owned_by": "them"}
LISTS = {  # their documents, and the window that they tell of
    "openrouter": (
        {"data": [ROW | {"context_length": 400_000, "pricing": {"prompt": "0"}}]},
        400_000,
    ),
    "groq": (
        {"object": "list", "data": [ROW | {"active": True, "context_window": 131_072}]},
        131_072,
    ),
    "mistral": ({"object": "list", "data": [ROW | {"max_context_length": 32_768}]}, 32_768),
    "together": ([ROW | {"context_length": 32_768, "type": "chat"}], 32_768),
    "fireworks": ({"object": "list", "data": [ROW | {"context_length": 131_072}]}, 131_072),
    "huggingface": (
        {"object": "list", "data": [ROW | {"providers": [{"provider": "groq"}]}]},
        None,
    ),
    "vllm": ({"object": "list", "data": [ROW | {"root": "m-1", "max_model_len": 4096}]}, 4096),
    "llamacpp": ({"models": [{"name": "m-1"}], "object": "list", "data": [ROW]}, None),
    "lmstudio": ({"object": "list", "data": [ROW]}, None),
}


@pytest.mark.parametrize(
    ("vendor", "document", "window"), [(n, *told) for n, told in LISTS.items()]
)
async def test_lists_of_models_are_read(vendor, document, window):
    with FakeOpenAI() as server:
        server.say(reply({"reply": document}), to="models")
        async with kind_of(vendor)("m-1", **server.connection(), retry=ONCE) as llm:
            assert await llm.list_models() == ["m-1"]
            told = await llm.context_window()
    assert (told and told.tokens) == window
