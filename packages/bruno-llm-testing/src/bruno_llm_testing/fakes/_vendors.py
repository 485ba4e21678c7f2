"""A vendor that speaks OpenAI's Chat Completions, with what it does in its own way."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bruno_llm_base import Json
from bruno_llm_base.reasoning import LEVELS

from bruno_llm_testing.fakes.openai import FakeOpenAI
from bruno_llm_testing.script import FakeAnswer, FakeError, Received
from bruno_llm_testing.server import Operation

# The fields by which vendors let a model think.
_ASKS = frozenset(
    (
        *("chat_template_kwargs", "enable_thinking", "reasoning", "reasoning_effort"),
        *("reasoning_format", "thinking", "thinking_budget"),
    )
)
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")
_DONE, _BEFORE = b"data: [DONE]\n\n", len(b"data: ")
_TELL_TOTALS = ("jina", "voyage")  # of the tokens of embeddings
# Where a stream counts: in a field of the vendor's own, or in the choice.
_COUNTS_IN = {"groq": "x_groq", "moonshot": "choice"}


class FakeVendor(FakeOpenAI):
    """A server of the vendor that a row of `bruno_llm_openai.vendors` describes.

    It refuses what that vendor refuses, and answers as that does: reasoning comes where the row says,
    and is to come back with the results of tools.

    Attributes:
        complaints: The fields that it has refused, one by one; a provider that knows the vendor sends
            none of them.
    """

    def __init__(self, row: Any) -> None:
        """Be the vendor of *row*, a `VendorRow`, or an `EmbeddingRow`."""
        super().__init__()
        self.row = row
        if dimensions := getattr(row, "dimensions", None):
            self.embedding_models = dimensions  # type: ignore[misc]
        self.models = (row.default_model or "a-model", "another-model")
        self.complaints: list[str] = []
        self._thoughts: dict[str, Json] = (
            {}
        )  # the fields that are to come back, by the id of a call

    def operation(self, request: Received) -> Operation:
        asked = "/v1/chat/completions" if self.row.api == "responses" else "/v1/responses"
        if request.path == asked or (request.path == "/v1/models" and not self.row.models_path):
            return "unknown"
        return super().operation(request)

    def refuse(self, request: Received) -> FakeError | None:
        refused = super().refuse(replace(request, body=_without_thoughts(request.body)))
        if refused or "messages" not in request.body:
            return refused
        wrong = [*self._wrong_fields(request.body), *self._wrong_messages(request.body)]
        self.complaints += wrong
        return FakeError(kind="invalid_request", param=wrong[0]) if wrong else None

    def render_error(self, error: FakeError, request: Received) -> tuple[int, Json]:
        if error.kind == "quota" and "insufficient_quota" in self.row.error_kinds:
            # Qwen says OpenAI's word for a limit of a minute, and this of an account without money
            said = {"code": "Arrearage", "type": "Arrearage", "message": "Access denied."}
            return 400, {"error": said}
        return super().render_error(error, request)

    def _refuse_texts(self, body: Json) -> FakeError | None:
        if not hasattr(self.row, "dimensions_field"):
            return super()._refuse_texts(body)
        own = {"model", "input", self.row.dimensions_field, *self.row.fields}
        wrong = sorted(name for name in body.keys() - own if not name.startswith("x_"))
        if len(body.get("input", ())) > (self.row.max_batch or len(body["input"])):
            wrong.append("input")
        self.complaints += wrong
        plain = self._plain(body)
        return (
            FakeError(kind="invalid_request", param=wrong[0])
            if wrong
            else super()._refuse_texts(plain)
        )

    def _plain(self, body: Json) -> Json:
        """Return a body that asks for embeddings in OpenAI's words."""
        name = getattr(self.row, "dimensions_field", None) or "dimensions"
        return {("dimensions" if key == name else key): value for key, value in body.items()}

    def render_embeddings(self, tokens: int, request: Received) -> Json:
        plain = replace(request, body=self._plain(request.body))
        document = super().render_embeddings(tokens, plain)
        if self.row.name in _TELL_TOTALS:
            del document["usage"]["prompt_tokens"]
        return document

    def _wrong_fields(self, body: Json) -> Iterator[str]:
        row, model = self.row, body["model"]
        own = row.option_names
        refused = {own.get(name, name) for name in row.refused(model)}
        asked = row.reasoning_fields(model)
        taken: dict[str, str] = {} if asked is None else {asked.effort: "", asked.budget: ""}
        if asked is not None:
            taken |= asked.on | asked.off
        asks = _ASKS - {name.partition(".")[0] for name in taken}
        wrong = (_LIMITS - {row.output_limit}) | own.keys() | refused | asks
        yield from sorted(wrong & body.keys())
        if asked is not None and asked.effort:
            level: Any = body
            for name in asked.effort.split("."):
                level = level.get(name) if isinstance(level, dict) else None
            if level not in (None, *(asked.levels or LEVELS), *asked.off.values()):
                yield asked.effort
        wanted = body.get("response_format") or {}
        dialect = row.dialect(model)
        if wanted.get("type") == "json_schema":
            strict = wanted["json_schema"].get("strict")
            if dialect == "json_object" or (strict and dialect == "loose"):
                yield "response_format"

    def _wrong_messages(self, body: Json) -> Iterator[str]:
        for place, message in enumerate(body["messages"]):
            calls = message.get("tool_calls") or ()
            ids = [call["id"] for call in calls]
            if message["role"] == "tool":
                ids.append(message["tool_call_id"])
            if not all(map(self.row.call_ids.fullmatch, ids)):
                yield f"messages.{place}.tool_calls"
            told = {name: message[name] for name in _THOUGHTS if message.get(name)}
            if told and not self.row.sends_back:
                yield f"messages.{place}.{next(iter(told))}"
            if calls and self.row.needs_thoughts and not message.get(self.row.reasoning_field):
                yield f"messages.{place}.{self.row.reasoning_field}"
            for call in calls if self.row.sends_back else ():
                for name, value in self._thoughts.get(call["id"], {}).items():
                    if message.get(name) != value:
                        yield f"messages.{place}.{name}"

    def render_answer(self, answer: FakeAnswer, request: Received) -> Json:
        document = super().render_answer(answer, request)
        for choice in document.get("choices", ()):
            message = choice["message"]
            self._retell(message)
            thoughts = {name: message[name] for name in _THOUGHTS if name in message}
            if self.row.reasoning_field == "content" and isinstance(message["content"], list):
                thoughts = {"content": message["content"]}
            for call in message.get("tool_calls", ()):
                self._thoughts[call["id"]] = thoughts
        return document

    def render_stream(self, answer: FakeAnswer, request: Received) -> list[bytes]:
        events = super().render_stream(answer, request)
        if self.row.api == "responses":
            return events
        chunks = [json.loads(event[_BEFORE:]) for event in events if event != _DONE]
        for chunk in chunks:
            for choice in chunk["choices"]:
                self._retell(choice["delta"])
        whole = self.render_answer(answer, request)
        self._tell_usage(chunks, whole["usage"])
        return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), _DONE]

    def _retell(self, message: Json) -> None:
        """Tell the thoughts of *message*, or of a delta, where the vendor does, and ids as it does."""
        for call in message.get("tool_calls", ()):
            if "id" in call and not self.row.call_ids.fullmatch(call["id"]):
                call["id"] = re.sub(r"[^a-zA-Z0-9]", "", call["id"]).rjust(9, "0")[-9:]
        thought = message.pop("reasoning_content", None)
        if not thought:
            return
        content, field = message.get("content") or "", self.row.reasoning_field
        if self.row.think_tags:
            message["content"] = f"<think>{thought}</think>\n\n{content}"
        elif field == "content":
            pieces: list[Json] = [
                {"type": "thinking", "thinking": [{"type": "text", "text": thought}]}
            ]
            message["content"] = [
                *pieces,
                *([{"type": "text", "text": content}] if content else ()),
            ]
        elif field == "reasoning_details":
            detail = {"type": "reasoning.text", "text": thought, "signature": "c2ln", "index": 0}
            message |= {"reasoning": thought, "reasoning_details": [detail]}
        else:
            message[field] = thought

    def _tell_usage(self, chunks: list[Json], usage: Json) -> None:
        """Put the *usage* of a stream where the vendor does."""
        place = _COUNTS_IN.get(self.row.name)
        last = next(chunk for chunk in reversed(chunks) if chunk["choices"])
        if "stream_options" in self.row.option_names:
            last["usage"] = usage
        elif place is not None and chunks[-1].pop("usage", None):
            del chunks[-1]
            where = last["choices"][0] if place == "choice" else last.setdefault(place, {})
            where["usage"] = usage

    def headers(self, step: FakeAnswer | FakeError) -> dict[str, str]:
        told = {"limit": "100", "remaining": "99", "reset": "1s"}
        return {
            self.row.limit_headers.format(what=what, unit=unit): value
            for what, value in told.items()
            for unit in ("requests", "tokens")
            if self.row.limit_headers
        } | super().headers(step)


def _without_thoughts(body: Json) -> Json:
    """Return *body* without thoughts among the pieces of messages, which OpenAI does not know."""
    if "messages" not in body:
        return body
    messages = [dict(message) for message in body["messages"]]
    for message in messages:
        if isinstance(message.get("content"), list):
            pieces = message["content"]
            message["content"] = [piece for piece in pieces if piece.get("type") != "thinking"]
    return body | {"messages": messages}
