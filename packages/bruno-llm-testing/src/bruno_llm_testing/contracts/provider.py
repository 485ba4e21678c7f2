"""What a provider does with everything a server may say."""

import asyncio
import contextlib
import gc
import json
import logging
import pickle
import struct
import traceback
import weakref
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from bruno_core.models import Message, MessageRole, MessageType
from bruno_llm_base.events import Event, OptionDropped
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    MediaTypeError,
    ModelNotFoundError,
    OutputInvalidError,
    OutputLimitError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.output import Output
from bruno_llm_base.parts import Json, Media, ToolCall
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.response import Usage
from bruno_llm_base.tool_loop import run_tools, stream_tools

from bruno_llm_testing.contracts.model import EVERY_ERROR, HELLO, ModelContract
from bruno_llm_testing.script import ErrorKind, FakeAnswer, FakeError, Fault, RawReply, Step
from bruno_llm_testing.server import FakeServer


@dataclass
class _Trip:
    name: str
    days: list[int]


def _png() -> bytes:
    """Return a picture of 3 x 2 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * 3) * 2))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


_WAV = b"RIFF" + struct.pack(
    "<I4s4sIHHIIHH4sI", 44, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 8
)
_MEDIA = {
    "image/png": _png(),
    "audio/wav": _WAV + b"\x80" * 8,
    "application/pdf": b"%PDF-1.4 1 0 obj << /Type /Page >> endobj trailer << >> %%EOF",
    "text/plain": b"It rained on Monday.",
}


class ProviderContract(ModelContract):
    """What a provider does with everything a server may say.

    Attributes:
        fake: What makes the provider's fake server: its class.
        reports_reasoning: Whether the API has a place for reasoning.
        filters_content: Whether the API may block an answer.
        calls_tools: Whether the API has tools.
        counts_tokens: Whether the API counts the tokens of a request.
        media_types: What it takes of pictures (image/png), sounds (audio/wav) and documents
            (application/pdf); texts are told in words where it has nothing else for them.
        media_model: The model that does, where that is not the default.
    """

    fake: Callable[[], FakeServer]
    reports_reasoning: bool = True
    filters_content: bool = True
    calls_tools: bool = True
    counts_tokens: bool = True
    media_types: frozenset[str] = frozenset()
    media_model: str | None = None

    @pytest.fixture
    def server(self) -> Iterator[FakeServer]:
        """Return the running fake."""
        with self.fake() as server:
            yield server

    @pytest.fixture
    def keywords(self, server: FakeServer) -> dict[str, Any]:
        """Return what points the provider at the fake, which is asked once."""
        return server.connection() | {"retry": Retry(attempts=1)}

    def both(self, llm: BaseProvider) -> tuple[Any, Any]:
        """Return the whole answer and the streamed one to the same question."""

        async def test(llm: BaseProvider) -> Any:
            whole = await llm.request(HELLO)
            stream = llm.stream(HELLO)
            try:
                pieces = [piece async for piece in stream]
                assert "".join(pieces) == stream.response.text
            except (ContentBlockedError, OutputLimitError, InvalidResponseError):
                pass  # the answer is complete all the same
            return whole, stream.response

        whole, streamed = self.run(llm, test)
        return whole, streamed

    # -- what is sent -----------------------------------------------------------------------------

    def test_the_conversation_reaches_the_wire(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        messages = [
            Message(role=MessageRole.ASSISTANT, content="first-assistant"),
            Message(role=MessageRole.USER, content="first-user"),
            Message(role=MessageRole.SYSTEM, content="second-system"),
            Message(role=MessageRole.USER, content="second-user", message_type=MessageType.COMMAND),
            Message(role=MessageRole.TOOL, content="unasked-result"),
            Message(role=MessageRole.SYSTEM, content="second-system"),
        ]
        before = [message.model_copy(deep=True) for message in messages]
        llm = self.make(keywords, system_prompt="first-system")
        assert self.run(llm, lambda llm: llm.generate(messages))
        sent = json.dumps(server.bodies[0])
        said = ["first-assistant", "first-user", "second-user", "unasked-result"]
        places = [sent.index(text) for text in said]
        assert places == sorted(places)
        assert 0 < sent.index("first-system") < sent.index("second-system")
        assert sent.count("second-system") == 1
        assert messages == before

    def test_options_reach_the_wire(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords)
        options: Json = {name: row.sample for name, (_, row) in PORTABLE.items()}
        for name in ("cache", "reasoning"):  # what becomes of them is a matter of the model
            del options[name]
        refused = llm.adapter.refused_options(llm.model, options)

        async def test(llm: BaseProvider) -> None:
            await llm.generate(HELLO)
            for name, value in options.items():
                await llm.generate(HELLO, **{name: value})

        self.run(llm, test)
        plain, *others = server.bodies
        for name, body in zip(options, others, strict=True):
            assert (body == plain) == (name in refused), name

    def test_reasoning_is_asked_for_as_the_model_takes_it(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        events: list[Event] = []
        llm = self.make(keywords, observers=[events.append])
        found = llm.adapter.build_reasoning("high", llm.model, None)

        async def test(llm: BaseProvider) -> None:
            await llm.generate(HELLO)
            with contextlib.suppress(InvalidRequestError):  # as of a model that cannot think
                await llm.generate(HELLO, reasoning="high")

        self.run(llm, test)
        plain, asked, *_ = server.bodies
        assert (asked == plain) == (found is None)
        dropped = [event.option for event in events if isinstance(event, OptionDropped)]
        assert (dropped == ["reasoning"]) == (found is None)
        wrong: dict[str, Any] = {"reasoning": "a lot"}
        with pytest.raises(InvalidRequestError, match="reasoning"):
            self.run(self.make(keywords), lambda llm: llm.generate(HELLO, **wrong))

    def test_a_refused_option_is_dropped_or_raised(
        self, server: FakeServer, keywords: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        given = {"temperature": 0.5, "top_p": 0.5}
        llm = self.make(keywords, **given)
        refused = given.keys() & llm.adapter.refused_options(llm.model, given)

        async def twice(llm: BaseProvider) -> None:
            await llm.generate(HELLO)
            await llm.generate(HELLO)

        with caplog.at_level(logging.WARNING, "bruno_llm"):
            self.run(llm, twice)
        assert sum("option dropped" in text for text in caplog.messages) == len(refused)
        strict = self.make(keywords, temperature=0.5, strict=True)
        if "temperature" in refused:
            sent = len(server.bodies)
            with pytest.raises(InvalidRequestError, match="temperature"):
                self.run(strict, lambda llm: llm.generate(HELLO))
            assert len(server.bodies) == sent
        else:
            assert self.run(strict, lambda llm: llm.generate(HELLO))

    def test_other_options_pass_through(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords, options={"x_first": {"a": 1}})
        own: dict[str, Any] = {"x_second": "b", "x_first": {"c": 2}}
        self.run(llm, lambda llm: llm.generate(HELLO, **own))
        self.run(llm, lambda llm: llm.generate(HELLO, options=own))
        for body in server.bodies:
            assert body["x_first"] == {"a": 1, "c": 2}
            assert body["x_second"] == "b"

    def test_what_cannot_be_sent_is_refused_first(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        image = Message(role=MessageRole.USER, content="cat.png", message_type=MessageType.IMAGE)
        empty = Message(role=MessageRole.USER, content="x")
        empty.content = " "
        wrong: list[tuple[Any, dict[str, Any], str]] = [
            ([image], {}, "a message names the file 'cat.png'"),
            ([*HELLO, empty], {}, r"messages\[1\].content is empty"),
            ([], {}, "messages is empty"),
            ([{"role": "user"}], {}, r"messages\[0\].content is a NoneType"),
            (HELLO, {"temperature": 3}, "temperature is 3"),
            (HELLO, {"max_tokens": 0}, "max_tokens is 0"),
            (HELLO, {"stop": 5}, "stop is 5"),
        ]
        llm = self.make(keywords)
        for messages, options, complaint in wrong:
            for ask in (llm.generate, llm.count_tokens):
                with pytest.raises(InvalidRequestError, match=complaint):
                    asyncio.run(ask(messages, **options))
        assert server.received == []

    @pytest.mark.parametrize("kind", _MEDIA)
    def test_media_reach_the_wire_or_are_refused(
        self, server: FakeServer, keywords: dict[str, Any], kind: str
    ) -> None:
        content = _MEDIA[kind]
        media = [Media(data=content, type=kind, name=f"file.{kind[-3:]}")]
        named = {} if self.media_model is None else {"model": self.media_model}
        llm = self.make(keywords, **named)

        async def test(llm: BaseProvider) -> None:
            await llm.request(HELLO, attachments=media)
            async for _ in llm.stream(HELLO, attachments=media):
                pass

        if kind not in (*self.media_types, "text/plain"):
            with pytest.raises(MediaTypeError) as caught:
                self.run(llm, test)
            assert caught.value.media == media[0].name
            # a server of one's own may take anything, and then says itself what it does not
            assert (caught.value.status_code is None) == (server.received == [])
            return
        self.run(llm, test)
        for body in server.bodies:
            sent = json.dumps(body)
            assert b64encode(content).decode() in sent or content.decode("ascii", "replace") in sent
        assert len(server.bodies) == 2

    # -- what is read -----------------------------------------------------------------------------

    def test_a_full_answer_is_the_same_in_both_modes(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        usage = Usage(input_tokens=42, output_tokens=20, cache_read_tokens=8, reasoning_tokens=5)
        answer = FakeAnswer(
            text="Grüße, 世界! 👋🏽 It is\n\n  done.",
            reasoning="Let me think." if self.reports_reasoning else "",
            usage=usage,
        )
        server.say(answer, times=2)
        whole, streamed = self.both(self.make(keywords))
        assert whole.text == streamed.text == answer.text
        assert whole.reasoning == streamed.reasoning == answer.reasoning
        assert whole.usage == streamed.usage
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (42, 20)
        assert whole.usage.cache_read_tokens in (None, 8)
        assert whole.usage.reasoning_tokens in (None, 5)
        assert whole.finish_reason == streamed.finish_reason == "stop"
        assert whole.finish_detail == streamed.finish_detail
        assert (whole.model, whole.id) == (streamed.model, streamed.id)
        assert whole.parts == streamed.parts

    def test_tool_calls_are_read_and_sent_back(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        if not self.calls_tools:
            return
        calls = (
            ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}'),
            ToolCall(id="call_2", name="time", arguments='{"zone": "CET"}'),
        )
        answer = FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call")
        server.say(answer, times=2)
        whole, streamed = self.both(self.make(keywords))
        for response in (whole, streamed):
            assert response.finish_reason == "tool_call"
            assert [call.name for call in response.tool_calls] == ["weather", "time"]
            arguments = [json.loads(call.arguments) for call in response.tool_calls]
            assert arguments == [{"city": "Rome"}, {"zone": "CET"}]
        results = [
            Message(
                role=MessageRole.TOOL,
                content=f"result-of-{call.name}",
                metadata={"tool_call_id": call.id, "name": call.name},
            )
            for call in whole.tool_calls
        ]
        conversation = [*HELLO, whole.to_message(), *results]
        assert self.run(self.make(keywords), lambda llm: llm.generate(conversation))
        sent = json.dumps(server.bodies[-1])
        assert "Rome" in sent
        assert sent.index("result-of-weather") < sent.index("result-of-time")
        server.say(answer)
        with pytest.raises(InvalidResponseError, match="only calls tools"):
            self.run(self.make(keywords), lambda llm: llm.generate(HELLO))

    def test_functions_are_tools(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        if not self.calls_tools:
            return
        ran: list[object] = []

        def forecast(city: str, days: int = 1) -> str:
            """Tell the weather."""
            ran.append((city, days))
            return f"result-of-{city}"

        def broken() -> str:
            """Break."""
            raise KeyError("result-of-broken")

        calls = (
            ToolCall(id="call_1", name="forecast", arguments='{"city": "Rome", "days": 2}'),
            ToolCall(id="call_2", name="broken", arguments="{}"),
        )
        wanted = FakeAnswer(text="", tool_calls=calls, finish_reason="tool_call")
        options: Json = {"tools": [forecast, broken]}
        for choice in (None, "auto", "required", "forecast"):
            server.say(wanted, FakeAnswer(text="It is fine."))
            llm = self.make(keywords)
            asked = options | {"tool_choice": choice}
            answer = self.run(llm, partial(run_tools, messages=HELLO, **asked))
            assert (answer.text, answer.rounds) == ("It is fine.", 2)
        assert ran == [("Rome", 2)] * 4
        bodies = [json.dumps(body) for body in server.bodies]
        for first, second in zip(bodies[::2], bodies[1::2], strict=True):
            assert "Tell the weather." in first
            assert "result-of-Rome" not in first
            assert second.index("result-of-Rome") < second.index("result-of-broken")
            assert first.count("Tell the weather.") == second.count("Tell the weather.")
        server.say(wanted, FakeAnswer(text="It is fine."))

        async def stream(llm: BaseProvider) -> str:
            return "".join([piece async for piece in stream_tools(llm, HELLO, **options)])

        assert self.run(self.make(keywords), stream) == "It is fine."
        for more in ({"tool_choice": "none"}, {"parallel_tool_calls": False}):
            llm = self.make(keywords)
            assert self.run(llm, partial(type(llm).generate, messages=HELLO, **options, **more))

    def test_a_typed_output_is_asked_for_and_checked(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        wrong, right = '{"name": "Rome", "days": "many"}', '{"name": "Rome", "days": [1, 2]}'
        server.say(*[FakeAnswer(text=text) for text in (wrong, right, right, wrong)])
        llm = self.make(keywords)

        async def ask(llm: BaseProvider) -> None:
            response = await llm.request(HELLO, output=_Trip)
            assert response.output == _Trip("Rome", [1, 2])
            assert len(response.attempts) == 2
            stream = llm.stream(HELLO, output=_Trip)
            parts = [stream.partial() async for _ in stream]
            assert parts[-1] == {"name": "Rome", "days": [1, 2]}
            assert stream.response.output == response.output
            with pytest.raises(OutputInvalidError) as caught:
                await llm.request(HELLO, output=Output(_Trip, retries=0))
            assert caught.value.partial is not None
            assert caught.value.errors[0].startswith("days: ")

        self.run(llm, ask)
        first, second, *_ = map(json.dumps, server.bodies)
        assert "days" in first, "the schema is sent, or told"
        assert "days: " in second, "the error is told"

    def test_generate_never_returns_nothing(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        cases: list[tuple[FakeAnswer, type[LLMError]]] = [
            (FakeAnswer(text="", finish_reason="length"), OutputLimitError),
            (FakeAnswer(text=" \n"), InvalidResponseError),
        ]
        if self.filters_content:
            cases.append((FakeAnswer(text="", finish_reason="content_filter"), ContentBlockedError))
        for answer, kind in cases:
            server.say(answer, times=4)
            with pytest.raises(kind) as caught:
                self.run(self.make(keywords), lambda llm: llm.generate(HELLO))
            assert caught.value.partial is not None

            async def read(llm: BaseProvider) -> list[str]:
                return [piece async for piece in llm.stream(HELLO)]

            with pytest.raises(kind):
                self.run(self.make(keywords), read)
            whole, streamed = self.both(self.make(keywords))
            assert whole.finish_reason == streamed.finish_reason == answer.finish_reason

    # -- what is counted --------------------------------------------------------------------------

    def test_a_count_is_the_servers_own_where_it_has_one(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        usage = Usage(input_tokens=4321)
        server.say(FakeAnswer(usage=usage), to="count_tokens")
        llm = self.make(keywords, system_prompt="first-system")
        count = self.run(llm, lambda llm: llm.count_tokens(HELLO))
        assert (count.tokens == 4321) == self.counts_tokens
        assert server.bodies == []
        asked = [
            json.dumps(request.body)
            for request in server.received
            if server.operation(request) == "count_tokens"
        ]
        assert len(asked) == self.counts_tokens
        assert all("first-system" in body and HELLO[0].content in body for body in asked)

    def test_a_count_tells_what_the_request_would_fail_for(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        if not self.counts_tokens:
            return
        cases: list[tuple[ErrorKind, type[LLMError]]] = [
            ("authentication", AuthenticationError),
            ("permission", PermissionDeniedError),
            ("model_not_found", ModelNotFoundError),
            ("invalid_request", InvalidRequestError),
        ]
        for kind, expected in cases:
            server.say(FakeError(kind=kind), to="count_tokens")
            with pytest.raises(expected):
                self.run(self.make(keywords), lambda llm: llm.count_tokens(HELLO))
        with pytest.raises(AuthenticationError):
            self.run(self.make(keywords, api_key="wrong"), lambda llm: llm.count_tokens(HELLO))

    def test_a_server_that_cannot_count_is_made_up_for(
        self, server: FakeServer, keywords: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        causes: list[Step | None] = [
            FakeError(kind="overloaded"),
            FakeError(kind="rate_limit"),
            RawReply(status=404, body=b"no such page"),
            RawReply(body=b"<html>"),
            None,  # no server at all
        ]
        for cause in causes:
            dead = {"base_url": "http://127.0.0.1:9"} if cause is None else {}
            if cause is not None:
                server.say(cause, to="count_tokens")
            caplog.clear()
            with caplog.at_level(logging.WARNING, "bruno_llm"):
                llm = self.make(keywords | dead)
                count = self.run(llm, lambda llm: llm.count_tokens(HELLO))
            assert count.tokens > 0
            assert not count.exact
            told = [text for text in caplog.messages if text.startswith("tokens estimated")]
            assert len(told) == self.counts_tokens, cause

    # -- what goes wrong --------------------------------------------------------------------------

    @pytest.mark.parametrize(("kind", "expected"), EVERY_ERROR)
    @pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
    def test_errors_are_told_apart(
        self,
        server: FakeServer,
        keywords: dict[str, Any],
        kind: ErrorKind,
        expected: type[LLMError],
        *,
        streamed: bool,
    ) -> None:
        server.say(FakeError(kind=kind))

        async def ask(llm: BaseProvider) -> None:
            if streamed:
                await llm.stream(HELLO)
            else:
                await llm.request(HELLO)

        with pytest.raises(LLMError) as caught:
            self.run(self.make(keywords), ask)
        error = caught.value
        assert type(error) is expected
        assert error.provider == self.provider.name
        assert error.status_code is not None
        assert error.retryable == (
            expected in (RateLimitError, ServiceUnavailableError)
        ), "retryable"
        assert len(error.attempts) == 1
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(copy), str(copy)) == (expected, str(error))

    def test_an_error_inside_a_stream(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        server.say(FakeError(kind="overloaded", in_stream=True))

        async def read(llm: BaseProvider) -> list[str]:
            return [piece async for piece in llm.stream(HELLO)]

        with pytest.raises(LLMError) as caught:
            self.run(self.make(keywords), read)
        assert caught.value.retryable
        assert caught.value.partial is not None

    def test_a_stream_that_is_cut_is_an_error(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        server.say(Fault(after=3, then="close"))
        pieces: list[str] = []

        async def read(llm: BaseProvider) -> None:
            async for piece in llm.stream(HELLO):
                pieces.append(piece)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(StreamError) as caught:
            self.run(self.make(keywords), read)
        partial = caught.value.partial
        assert (partial.text if partial else "") == "".join(pieces)

    def test_what_may_pass_is_sent_again(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        retry = Retry(attempts=3, wait_initial=0)
        server.say(FakeError(kind="overloaded"), FakeError(kind="rate_limit"))
        response = self.run(self.make(keywords, retry=retry), lambda llm: llm.request(HELLO))
        errors = [attempt.error for attempt in response.attempts]
        assert errors == ["ServiceUnavailableError", "RateLimitError", None]
        server.say(FakeError(kind="quota"))
        with pytest.raises(QuotaExceededError) as caught:
            self.run(self.make(keywords, retry=retry), lambda llm: llm.request(HELLO))
        assert len(caught.value.attempts) == 1

    def test_an_unknown_model_names_the_closest(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        if not self.lists_models:
            return
        known = server.models[0]
        llm = self.make(keywords, model=known[:-1] + "~")
        with pytest.raises(ModelNotFoundError, match="closest on offer") as caught:
            self.run(llm, lambda llm: llm.generate(HELLO))
        assert known in caught.value.description

    def test_a_wrong_key_is_told_and_not_shown(
        self, server: FakeServer, keywords: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        if not self.provider.api_key_env:
            return
        canary = "sk-canary-0123456789"
        llm = self.make(keywords, api_key=canary)
        with caplog.at_level(logging.DEBUG), pytest.raises(AuthenticationError) as caught:
            self.run(llm, lambda llm: llm.generate(HELLO))
        diagnosis = self.run(llm, lambda llm: llm.diagnose())
        assert not diagnosis.ok
        shown = [repr(llm), str(caught.value), repr(caught.value), repr(vars(caught.value))]
        shown += [json.dumps(llm.get_model_info()), repr(diagnosis), caplog.text]
        assert not [text for text in shown if canary in text]
        assert [r for r in server.received if canary in json.dumps(dict(r.headers))]

    @pytest.mark.parametrize("fails", [False, True], ids=["answered", "refused"])
    def test_a_dropped_provider_leaves_nothing_open(
        self, server: FakeServer, keywords: dict[str, Any], *, fails: bool
    ) -> None:
        async def test() -> None:
            llm = self.make(keywords)
            await llm.generate(HELLO)
            if fails:
                server.say(FakeError(kind="permission"), times=2)
                with contextlib.suppress(PermissionDeniedError):
                    await llm.generate(HELLO)
                with contextlib.suppress(PermissionDeniedError):
                    await llm.stream(HELLO)
            left = weakref.ref(llm)
            del llm
            assert left() is None, "a cycle keeps the provider, and its connections with it"
            for _ in range(5):
                await asyncio.sleep(0)

        gc.collect()
        gc.disable()
        try:
            asyncio.run(test())
        finally:
            gc.enable()

    def test_a_dead_server_is_told(self, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords | {"base_url": "http://127.0.0.1:9"}, timeouts=Timeouts(connect=1))

        async def test(llm: BaseProvider) -> None:
            with pytest.raises(ServiceUnavailableError, match="cannot be reached") as caught:
                await llm.generate(HELLO)
            cause = caught.value.__cause__
            assert isinstance(cause, OSError), "the innermost cause is not told"
            told = "".join(traceback.format_exception(cause))
            assert "Traceback" not in told, "frames of libraries fill the traceback"
            assert not await llm.check_connection()
            assert "cannot be reached" in str((await llm.diagnose()).reason)

        self.run(llm, test)

    def test_leaving_a_stream_closes_the_connection(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        server.say(FakeAnswer(text=("long" * 250 + " ") * 5000))

        async def leave(llm: BaseProvider) -> None:
            async for _ in llm.stream(HELLO):
                break
            left = server.received[-1].left
            assert await asyncio.to_thread(left.wait, 2.0)

        self.run(self.make(keywords), leave)
