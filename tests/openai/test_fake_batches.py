"""The fake's files and batches are what the official SDK expects."""

import json

import openai
import pytest
from bruno_llm_base import ConfigurationError, Usage
from bruno_llm_testing import FakeAnswer, FakeError, Fault

MODEL = "gpt-6.1-terra"
CHAT, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/responses", "/v1/embeddings"
BODIES = {
    CHAT: {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]},
    RESPONSES: {"model": MODEL, "input": "Hi"},
    EMBEDDINGS: {"model": "text-embedding-3-small", "input": ["Hi"], "dimensions": 4},
}


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(
        **server.connection(), max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def row(key, url=CHAT, **fields):
    return {"custom_id": key, "method": "POST", "url": url, "body": BODIES[url]} | fields


async def submit(client, *rows, endpoint=CHAT):
    content = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows)
    file = await client.files.create(file=("rows.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"a": "b"}
    )


async def written(client, file_id):
    content = await client.files.content(file_id)
    return {line["custom_id"]: line for line in map(json.loads, content.text.splitlines())}


@pytest.mark.parametrize("endpoint", BODIES)
async def test_a_batch_ends_at_once(client, server, endpoint):
    usage = Usage(input_tokens=5, output_tokens=2)
    answers = [FakeAnswer(text=text, usage=usage) for text in ("one", "zwei 世界\u2028")]
    server.say(*answers, to="embeddings" if endpoint == EMBEDDINGS else "text")
    made = await submit(client, row("a", endpoint), row("b", endpoint), endpoint=endpoint)
    assert (made.status, made.request_counts.total, made.output_file_id) == ("validating", 2, None)
    ended = await client.batches.retrieve(made.id)
    assert (ended.status, ended.error_file_id, ended.errors) == ("completed", None, None)
    assert (ended.request_counts.completed, ended.request_counts.failed) == (2, 0)
    assert (ended.model, ended.metadata) == (BODIES[endpoint]["model"], {"a": "b"})
    lines = await written(client, ended.output_file_id)
    assert list(lines) == ["b", "a"]  # in no order that may be relied on
    body = lines["b"]["response"]["body"]
    assert lines["b"]["error"] is None
    match endpoint:
        case "/v1/chat/completions":
            answer = openai.types.chat.ChatCompletion.model_validate(body, strict=True)
            assert answer.choices[0].message.content == "zwei 世界\u2028"
        case "/v1/responses":
            assert body["output"][0]["content"][0]["text"] == "zwei 世界\u2028"
        case _:
            assert len(body["data"][0]["embedding"]) == 4
    assert ended.usage.input_tokens == 10
    assert list(server.batches.made[0].rows) == ["a", "b"]


async def test_rows_fail_one_by_one_or_all(client, server):
    server.say(FakeAnswer(text="ok"), FakeError(kind="server_error"))
    mixed = [row("good"), row("bad"), row("worse", body=BODIES[CHAT] | {"messages": []})]
    ended = await client.batches.retrieve((await submit(client, *mixed)).id)
    assert (ended.status, ended.request_counts.failed) == ("completed", 2)
    assert list(await written(client, ended.output_file_id)) == ["good"]
    lines = await written(client, ended.error_file_id)
    assert [lines[key]["response"]["status_code"] for key in ("bad", "worse")] == [500, 400]
    assert lines["worse"]["response"]["body"]["error"]["param"] == "messages"
    server.say(FakeError(kind="quota"))
    ended = await client.batches.retrieve((await submit(client, row("only"))).id)
    assert (ended.status, ended.output_file_id) == ("completed", None)


@pytest.mark.parametrize("state", ["expired", "cancelled"])
async def test_what_was_done_stays_when_a_batch_ends_early(client, server, state):
    server.batches.hold()
    made = await submit(client, row("a"), row("b"), row("c"))
    server.batches.answer(1)
    running = await client.batches.retrieve(made.id)
    assert (running.status, running.request_counts.completed) == ("in_progress", 1)
    if state == "expired":
        server.batches.expire()
    else:
        assert (await client.batches.cancel(made.id)).status == "cancelling"
    ended = await client.batches.retrieve(made.id)
    assert (ended.status, ended.request_counts.completed) == (state, 1)
    assert getattr(ended, f"{state}_at") > ended.created_at
    assert list(await written(client, ended.output_file_id)) == ["a"]
    lost = await written(client, ended.error_file_id)
    assert {line["error"]["code"] for line in lost.values()} == {f"batch_{state}"}
    assert {line["response"] for line in lost.values()} == {None}
    with pytest.raises(openai.ConflictError):
        await client.batches.cancel(made.id)
    with pytest.raises(ConfigurationError, match="hold"):
        server.batches.finish()


async def test_a_held_batch_ends_when_the_test_says_so(client, server):
    server.batches.hold()
    made = [await submit(client, row("a"), row("b")) for _ in range(2)]
    assert (await client.batches.retrieve(made[0].id)).status == "in_progress"
    server.batches.answer(1)
    server.batches.finish()
    assert {(await client.batches.retrieve(one.id)).status for one in made} == {"completed"}
    broken = await submit(client, row("a"))
    server.batches.fail("It rained.")
    ended = await client.batches.retrieve(broken.id)
    assert (ended.status, ended.errors.data[0].message) == ("failed", "It rained.")


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "empty_file"),
        ([b'{"custom_id": \n'], "invalid_json_line"),
        ([b"[1]\n"], "invalid_json_line"),
        ([row("a"), row("a")], "duplicate_custom_id"),
        ([row("a"), row("b", RESPONSES)], "url_mismatch"),
        ([row("a", method="GET")], "invalid_method"),
        ([row("a"), row("b", body=BODIES[CHAT] | {"model": "gpt-4.1"})], "model_mismatch"),
        ([row("a", body=None)], "missing_required_parameter"),
        ([row("a"), row("b"), row("c")], "too_many_tasks"),
    ],
)
async def test_a_file_that_is_wrong_fails_the_batch_later(client, server, rows, code):
    server.batches.most_rows = 2
    made = await submit(client, *rows)
    assert made.status == "validating"
    ended = await client.batches.retrieve(made.id)
    assert (ended.status, ended.errors.data[0].code) == ("failed", code)
    assert (ended.output_file_id, ended.error_file_id) == (None, None)
    if code == "duplicate_custom_id":
        assert ended.errors.data[0].line == 2


async def test_what_is_refused_at_once(client, server):
    server.batches.most_bytes = 20
    with pytest.raises(openai.BadRequestError, match=r"Must be \.jsonl"):
        await client.files.create(file=("rows.txt", b"{}"), purpose="batch")
    with pytest.raises(openai.APIStatusError, match="too large"):
        await client.files.create(file=("rows.jsonl", b" " * 21), purpose="batch")
    file = await client.files.create(file=("rows.jsonl", b"{}"), purpose="user_data")
    for wrong in ({"input_file_id": file.id}, {"endpoint": "/v1/x"}, {"completion_window": "1h"}):
        asked = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h"} | wrong
        with pytest.raises(openai.BadRequestError):
            await client.batches.create(**asked)
    with pytest.raises(openai.NotFoundError):
        await client.batches.retrieve("batch_1")
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="wrong").batches.retrieve("batch_1")


async def test_files_and_batches_are_listed_and_files_deleted(client, server):
    made = [(await submit(client, row("a"))).id for _ in range(3)]
    assert [batch.id async for batch in client.batches.list(limit=2)] == made[::-1]
    files = [file async for file in client.files.list()]
    assert {file.purpose for file in files} == {"batch", "batch_output"}
    assert (await client.files.retrieve(files[0].id)).filename == "rows.jsonl"
    assert (await client.files.delete(files[0].id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.content(files[0].id)


async def test_what_asks_about_batches_may_fail_too(client, server):
    made = await submit(client, row("a"))
    file = (await client.batches.retrieve(made.id)).output_file_id
    server.say(FakeError(kind="overloaded"), Fault(after=1, then="close"), to="batches")
    with pytest.raises(openai.InternalServerError):
        await client.batches.retrieve(made.id)
    with pytest.raises(openai.APIConnectionError):
        await client.files.content(file)
    assert (await client.files.content(file)).content
