"""What the benchmark's server answers: the fakes' own documents, rendered before anyone asks."""

import json
import re
from functools import cache

from bruno_llm_testing import (
    FakeAnswer,
    FakeClaude,
    FakeGemini,
    FakeOllama,
    FakeOpenAI,
    FakeServer,
    Received,
)

__all__ = ["FAKES", "MODEL", "reply"]

FAKES: dict[str, FakeServer] = {
    "openai": FakeOpenAI(),
    "claude": FakeClaude(),
    "ollama": FakeOllama(),
    "gemini": FakeGemini(),
}
"""The fakes are not started: they only render."""

MODEL = re.compile(rb"bench-(whole|burst|paced|flood)-(\d+)(?:-of-(\d+))?")
"""The model that a client names says how it wants to be answered, with how many chunks, and together
with how many others: the answers begin when all of them have asked."""

_VENDOR_OF_PATH = (
    (b"/v1/messages", "claude"),
    (b"/api/chat", "ollama"),
    (b"/chat/completions", "openai"),
    (b"enerateContent", "gemini"),
)


def reply(head: bytes, body: bytes) -> tuple[str, list[bytes], int]:
    """Return how a request is to be answered, the pieces of the HTTP answer, and with how many others."""
    line = head[: head.index(b"\r\n")]
    vendor = next(name for path, name in _VENDOR_OF_PATH if path in line)
    found = MODEL.search(line) or MODEL.search(body)
    if found is None:
        raise ValueError("the request names no model of the benchmark's")
    manner = found[1].decode()
    return manner, _rendered(vendor, manner, int(found[2])), int(found[3] or 1)


@cache
def _rendered(vendor: str, manner: str, chunks: int) -> list[bytes]:
    fake = FAKES[vendor]
    model = f"bench-{manner}-{chunks}"
    asked = Received(
        method="POST",
        path=f"/v1/models/{model}:generateContent",
        query={"alt": "sse"},
        headers={},
        body={"model": model, "messages": ["-"], "stream_options": {"include_usage": True}},
    )
    answer = FakeAnswer(text=" ".join(["word"] * chunks))
    if manner == "whole":
        body = json.dumps(fake.render_answer(answer, asked)).encode()
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return [b"HTTP/1.1 200 OK\r\n" + head.encode() + body]
    head = f"content-type: {fake.content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    events = [b"%x\r\n%b\r\n" % (len(event), event) for event in fake.render_stream(answer, asked)]
    pieces = [b"HTTP/1.1 200 OK\r\n" + head.encode() + events[0], *events[1:]]
    pieces[-1] += b"0\r\n\r\n"
    return [b"".join(pieces)] if manner == "burst" else pieces
