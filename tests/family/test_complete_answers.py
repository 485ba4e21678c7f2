"""An answer ends with its server's last word or the body's end, wherever its packets are cut."""

import json
from pathlib import Path

import httpx
import pytest
from bruno_llm_base import ContentBlockedError, LLMError, Retry, StreamError, ToolCall
from bruno_llm_base.transport import Reply
from bruno_llm_ollama import OllamaProvider

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*/*.json"))


class Cut:
    """A transport by which *body* comes in the given pieces."""

    status_code = 200
    headers = httpx.Headers({"content-type": "text/event-stream"})

    def __init__(self, name):
        self.framing = "ndjson" if name == "ollama" else "sse"
        self.pieces = []

    async def send(self, method, path, body=None):
        return Reply(self, self.framing)

    async def aiter_bytes(self):
        for piece in self.pieces:
            yield piece

    async def aclose(self):
        pass


async def read(llm):
    """Return the pieces of a stream and its answer, whether or not there is a text."""
    stream, pieces = llm.stream("hi"), []
    try:
        async for piece in stream:
            pieces.append(piece)  # noqa: PERF401 - what came before the error counts
    except LLMError:
        pass  # a block, a call without text: complete all the same
    response = stream.response
    return "".join(pieces), (response.parts, response.finish_reason, response.usage, response.id)


@pytest.mark.parametrize("name", ["openai", "claude", "gemini", "ollama"])
async def test_packets_may_be_cut_anywhere(name, kind):
    """Every recorded stream, cut in two at every byte, and event by event."""
    transport = Cut(name)

    class Offline(kind):
        @staticmethod
        def open_transport(access, timeouts):
            return transport

    llm = Offline(api_key="k", retry=Retry(attempts=1))
    for path in RECORDED:
        if path.parent.name != name:
            continue
        end = b"\n" if name == "ollama" else b"\n\n"
        lead = b"" if name == "ollama" else b"data: "
        documents = json.loads(path.read_text())["stream"]
        events = [lead + json.dumps(document).encode() + end for document in documents]
        events += [b"data: [DONE]\n\n"] if name == "openai" else []
        body = b"".join(events)
        transport.pieces = [body]
        whole = await read(llm)
        transport.pieces = events
        assert await read(llm) == whole, path
        borders = [len(b"".join(events[:place])) for place in range(1, len(events))]
        for place in sorted({*range(1, len(body), 37), *borders}):
            transport.pieces = [body[:place], body[place:]]
            assert await read(llm) == whole, (path, place)


# -- what follows an early end ---------------------------------------------------------------------

COUNTS = {
    "openai": {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}},
    "gemini": {
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}
    },
}


def stops(name, text=None, call=None, word=None):
    """Return the documents of one chunk that says *text* or calls, and that it is the end."""
    arguments = "{}"
    if name == "openai":
        delta = {"content": text} if text else {}
        if call:
            function = {"name": call, "arguments": arguments}
            delta = {"tool_calls": [{"index": 0, "id": "c1", "function": function}]}
        choice = {"index": 0, "delta": delta, "finish_reason": word or "stop"}
        return [{"id": "x", "model": "m", "choices": [choice]} | COUNTS[name]]
    if name == "gemini":
        parts = [{"text": text}] if text else []
        parts += [{"functionCall": {"name": call, "args": {}}}] if call else []
        candidate = {"content": {"parts": parts}, "finishReason": word or "STOP", "index": 0}
        return [{"candidates": [candidate]} | COUNTS[name]]
    if name == "ollama":
        calls = [{"function": {"name": call, "arguments": {}}}] if call else []
        message = {"role": "assistant", "content": text or "", "tool_calls": calls}
        return [{"model": "m", "message": message, "done": False}]
    block = (
        {"type": "tool_use", "id": "c1", "name": call, "input": {}} if call else {"type": "text"}
    )
    said = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }
    end = {"delta": {"stop_reason": word or "end_turn"}, "usage": {"output_tokens": 3}}
    return [
        {"type": "content_block_start", "index": 1 if call else 0, "content_block": block},
        *([said] if text else []),
        {"type": "message_delta", **end},
    ]


FIRST = {
    "claude": [
        {
            "type": "message_start",
            "message": {"id": "x", "model": "m", "usage": {"input_tokens": 5}},
        }
    ]
}
LAST = {
    "claude": [{"type": "message_stop"}],
    "ollama": [{"model": "m", "done": True, "done_reason": "stop", "eval_count": 3}],
    "openai": [b"[DONE]"],
}


def stream(name, *chunks):
    return [*FIRST.get(name, []), *(d for c in chunks for d in c), *LAST.get(name, [])]


async def test_text_after_an_early_end_counts(name, raw, client):
    raw.say(stream(name, stops(name, "One "), stops(name, "two "), stops(name, "three")))
    text, (parts, reason, usage, _) = await read(client)
    assert text == "One two three"
    assert "".join(part.text for part in parts) == text
    assert (reason, usage.output_tokens) == ("stop", 3)


async def test_a_call_after_an_early_end_counts(name, raw, client):
    raw.say(stream(name, stops(name, "Look. "), stops(name, call="f")))
    text, (parts, reason, *_) = await read(client)
    assert text == "Look. "
    assert [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)] == [
        ("f", "{}")
    ]
    assert reason == "tool_call"


BLOCKS = {"openai": "content_filter", "gemini": "SAFETY", "claude": "refusal"}


@pytest.mark.parametrize("name", BLOCKS)
async def test_a_later_block_outranks_an_earlier_stop(name, raw, client):
    raw.say(stream(name, stops(name, "So far "), stops(name, word=BLOCKS[name]), stops(name, ".")))
    with pytest.raises(ContentBlockedError):
        async for _ in client.stream("hi"):
            pass


@pytest.mark.parametrize("name", ["openai", "claude", "gemini"])
async def test_an_error_after_an_early_end_is_told_with_what_came(name, raw, client):
    error = {"type": "error", "error": {"message": "it burns", "type": "api_error", "code": 503}}
    raw.say(stream(name, stops(name, "So far "), [error]))
    with pytest.raises(LLMError, match="it burns") as caught:
        async for _ in client.stream("hi"):
            pass
    assert caught.value.partial.text == "So far "


@pytest.mark.parametrize("name", ["openai", "claude"])
async def test_the_last_word_is_enough(name, raw, client):
    """Some servers never say why they stopped; the last word says that they did."""
    said = stops(name, "Hello")[:-1] if name == "claude" else stops(name, "Hello")
    if name == "openai":
        said[0]["choices"][0]["finish_reason"] = None
    raw.say(stream(name, said))
    text, (_, reason, *_) = await read(client)
    assert (text, reason) == ("Hello", "stop")


async def test_an_end_without_a_last_word_or_a_reason_is_none(name, raw, client):
    said = {
        "openai": {"choices": [{"index": 0, "delta": {"content": "Hello"}}]},
        "claude": stops("claude", "Hello")[1],
        "gemini": {"candidates": [{"content": {"parts": [{"text": "Hello"}]}}]},
        "ollama": stops("ollama", "Hello")[0],
    }
    raw.say([said[name]])
    with pytest.raises(StreamError, match="no finish_reason came") as caught:
        async for _ in client.stream("hi"):
            pass
    assert caught.value.partial.text == "Hello"


async def test_a_connection_that_fails_to_close_is_told_at_debug_level_only(caplog):
    class Stuck(Cut):
        async def aclose(self):
            raise OSError("a socket of its own mind")

    class Offline(OllamaProvider):
        @staticmethod
        def open_transport(access, timeouts):
            return transport

    transport = Stuck("ollama")
    transport.pieces = [b'{"message":{"content":"hi"},"done":true,"done_reason":"stop"}\n']
    with caplog.at_level("DEBUG", "bruno_llm"):
        assert await Offline().generate("hi") == "hi"
    (record,) = [r for r in caplog.records if "closing a connection" in r.getMessage()]
    assert (record.levelname, record.getMessage()) == (
        "DEBUG",
        "closing a connection failed: OSError",
    )
