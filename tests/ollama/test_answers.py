"""What is read, down to the bytes."""

import asyncio
import json

import pytest
from bruno_llm_base import InvalidResponseError, ModelResponse, StreamError, Usage
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeAnswer, FakeOllama

SAID = "Grüße, 世界! 👋🏽👨‍👩‍👧 done"


def line(message, **more):
    head = {"model": "llama3.2", "created_at": "2026-11-22T09:36:18.1Z"}
    document = {**head, "message": {"role": "assistant", **message}, "done": False, **more}
    return json.dumps(document, ensure_ascii=False).encode() + b"\n"


def call(name, **arguments):
    function = {"index": 0, "name": name, "arguments": arguments}
    return line({"content": "", "tool_calls": [{"function": function}]})


END = {"done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3}


async def answered(packets, ask):
    """Return what *ask* makes of a server that sends *packets*, each by itself."""

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(row for row in head.lower().split(b"\r\n") if b"content-length" in row)
        await reader.readexactly(int(length.split(b":")[1]))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n")
        writer.write(b"connection: close\r\n\r\n")
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with OllamaProvider(base_url=f"http://127.0.0.1:{port}", max_retries=0) as llm:
            return await ask(llm)


async def read(llm):
    stream = llm.stream("hello")
    pieces = [piece async for piece in stream]
    return pieces, stream.response


@pytest.mark.parametrize("size", [1, 2, 3, 5])
async def test_characters_survive_packets_that_split_them(size):
    body = line({"content": SAID}) + line({"content": ""}, **END)
    packets = [body[at : at + size] for at in range(0, len(body), size)]
    pieces, response = await answered(packets, read)
    assert (pieces, response.text) == ([SAID], SAID)


async def test_many_lines_in_one_packet():
    pieces, response = await answered(
        [b"".join([line({"content": c}) for c in SAID] + [line({"content": ""}, **END)])], read
    )
    assert pieces == list(SAID)
    assert response.usage == Usage(input_tokens=5, output_tokens=3)


async def test_the_last_line_may_hold_text_and_lack_a_line_break():
    pieces, response = await answered(
        [line({"content": "a"}), line({"content": "b"}, **END)[:-1]], read
    )
    assert pieces == ["a", "b"]
    assert response.finish_reason == "stop"


async def test_two_tool_calls_of_one_index_stay_apart():
    _, response = await answered(
        [call("first", a=1), call("second", b={"c": ["é"]}), line({"content": "."}, **END)],
        read,
    )
    assert [(c.name, json.loads(c.arguments)) for c in response.tool_calls] == [
        ("first", {"a": 1}),
        ("second", {"b": {"c": ["é"]}}),
    ]
    assert response.finish_reason == "tool_call"


def parse(**more):
    llm = OllamaProvider()
    document = json.loads(line({"content": "hi"}, **{"done": True} | more))
    whole = llm.adapter.parse(document)
    assert whole == ModelResponse.join([llm.adapter.parse_event(document)])
    return whole


def test_counts_that_are_left_out():
    assert parse().usage == Usage(input_tokens=None, output_tokens=0)
    cached = parse(prompt_eval_count=9, prompt_eval_cached_count=0, eval_count=2)
    assert cached.usage == Usage(input_tokens=9, output_tokens=2, cache_read_tokens=0)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("load", "error"),
        ("unload", "error"),
        (None, "stop"),
        ("new", "stop"),
    ],
)
def test_why_it_stopped(word, reason):
    whole = parse(**{"done_reason": word} if word else {})
    assert (whole.finish_reason, whole.finish_detail) == (reason, word)


async def test_a_model_that_was_only_loaded_gave_no_answer():
    body = line({"content": ""}, done=True, done_reason="load")
    with pytest.raises(StreamError, match="load"):
        await answered([body], lambda llm: llm.generate("hello"))


async def test_a_whole_answer_that_breaks_off_is_an_error():
    with pytest.raises(InvalidResponseError):
        await answered([line({"content": "It is not"})], lambda llm: llm.generate("hello"))


async def test_reasoning_is_kept_apart():
    with FakeOllama() as server:
        server.say(FakeAnswer(text="42", reasoning="Let me think."), times=2)
        async with OllamaProvider(**server.connection()) as llm:
            whole = await llm.request("hello")
            pieces, response = await read(llm)
    assert (whole.text, whole.reasoning) == ("42", "Let me think.")
    assert (pieces, response.reasoning) == (["42"], "Let me think.")
