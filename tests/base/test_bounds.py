"""What is held of an answer, on its way from the network to JSON."""

import json
import tracemalloc
from itertools import pairwise

import pytest
from bruno_llm_base import InvalidResponseError
from bruno_llm_base.transport import Reply
from bruno_llm_base.transport.framing import LineBuffer
from bruno_llm_base.transport.response import MAX_ANSWER, MAX_REFUSAL, MAX_STREAM, beginning
from hypothesis import given
from hypothesis import strategies as st

MIB = 2**20
pieces = st.lists(st.text("ab\n", max_size=9).map(str.encode), max_size=12)


class Response:
    """An answer of *size* bytes, which comes in reads of *each*."""

    def __init__(self, size, *, status=200, each=MIB):
        self.status_code, self.headers = status, {}
        self.sizes = [min(each, size - start) for start in range(0, size, each)]
        self.read = 0

    async def aiter_bytes(self):
        for size in self.sizes:
            self.read += size
            yield b"x" * size

    async def aclose(self):
        pass


@given(pieces, st.integers(0, 12))
def test_lines_are_whole_until_one_is_too_long(parts, longest):
    buffer, body, found = LineBuffer("ndjson", longest), b"", []
    for part in parts:
        body += part
        *lines, rest = body.split(b"\n")
        if len(rest) > longest:
            with pytest.raises(InvalidResponseError, match="a line of the answer exceeds"):
                buffer.feed(part)
            return
        found += buffer.feed(part)
        assert found == [line for line in lines if line]
    assert found + buffer.flush() == [line for line in body.split(b"\n") if line]


@pytest.mark.parametrize("each", [1000, 16_384])
def test_a_long_line_takes_no_longer_than_its_bytes(each):
    line = b"data:" + json.dumps("x" * 30 * MIB).encode()
    body = b"data:1\n" + line + b"\ndata:2\n"
    buffer, found = LineBuffer("sse", MAX_ANSWER), []
    for start, end in pairwise([*range(0, len(body), each), len(body)]):
        found += buffer.feed(body[start:end])
    assert found == [b"1", line[5:], b"2"]


@given(pieces, st.integers(0, 40))
async def test_the_beginning_is_all_that_is_allowed(parts, most):
    closed = []

    async def chunks():
        try:
            for part in parts:
                yield part
        finally:
            closed.append(True)

    assert await beginning(chunks(), most) == b"".join(parts)[:most]
    assert closed


async def test_the_longest_answer_is_read_and_one_byte_more_is_not():
    reply = Reply(Response(MAX_ANSWER))
    assert len(await reply.read()) == MAX_ANSWER
    reply = Reply(Response(MAX_ANSWER + 1))
    with pytest.raises(InvalidResponseError, match="longer than 67,108,864 bytes"):
        await reply.read()


@pytest.mark.parametrize("status", [100, 199, 300, 307, 400, 500, 599])
async def test_of_a_refusal_the_beginning_is_enough(status):
    response = Response(100 * MAX_REFUSAL, status=status, each=1000)
    assert len(await Reply(response).read()) == MAX_REFUSAL
    assert response.read < MAX_REFUSAL + 1000


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_error_does_not_keep_what_was_too_long(streamed):
    reply = Reply(Response(1000 * MIB))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidResponseError) as caught:
            _ = [batch async for batch in reply] if streamed else await reply.read()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.__traceback__ is not None
    assert held < 5 * MIB
    assert peak < 3 * MAX_ANSWER


async def test_a_stream_ends_somewhere():
    line = b'{"text": "' + b"x" * 1000 + b'"}\n'

    class Endless(Response):
        async def aiter_bytes(self):
            while True:
                self.read += MIB
                yield line * (MIB // len(line))

    response = Endless(0)
    reply = Reply(response, "ndjson")
    with pytest.raises(InvalidResponseError, match="the stream is longer"):
        _ = [len(batch) async for batch in reply]
    assert MAX_STREAM <= response.read <= MAX_STREAM + 2 * MIB
