"""The fake's batches and files are what the official SDK expects."""

import io
import json

import pytest
from bruno_llm_testing import FakeAnswer, FakeError
from google import genai
from google.genai import types

MODEL = "gemini-3.8-flash"
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]


@pytest.fixture
async def client(server, http):
    options = types.HttpOptions(
        base_url=server.address,
        httpx_async_client=http,
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    with genai.Client(api_key=server.api_key, http_options=options) as client:
        yield client.aio


def row(key, **request):
    return {"contents": CONTENTS, "metadata": {"key": key}} | request


def line(key, **request):
    return {"key": key, "request": {"contents": CONTENTS} | request}


async def submit_file(client, *rows):
    content = b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows)
    config = {"mime_type": "application/jsonl", "display_name": "rows"}
    file = await client.files.upload(file=io.BytesIO(content), config=config)
    return await client.batches.create(model=MODEL, src=file.name, config={"display_name": "it"})


async def written(client, job):
    content = await client.files.download(file=job.dest.file_name)
    return {said["key"]: said for said in map(json.loads, content.splitlines())}


async def test_a_batch_of_one_request_ends_at_once(client, server):
    server.say(FakeAnswer(text="one"), FakeError(kind="server_error"), FakeAnswer(text="drei"))
    made = await client.batches.create(
        model=MODEL, src=[row("a"), row("b"), row("c")], config={"display_name": "it"}
    )
    assert (made.state.name, made.done, made.dest) == ("JOB_STATE_PENDING", False, None)
    ended = await client.batches.get(name=made.name)
    assert (ended.state.name, ended.display_name) == ("JOB_STATE_SUCCEEDED", "it")
    assert ended.create_time < ended.end_time
    first, second, third = ended.dest.inlined_responses
    assert (first.metadata, first.response.text) == ({"key": "a"}, "one")
    assert (second.metadata, second.response, second.error.code) == ({"key": "b"}, None, 13)
    assert third.response.text == "drei"
    assert third.response.usage_metadata.prompt_token_count == 11


async def test_a_file_of_requests_becomes_a_file_of_results(client, server):
    server.say(FakeAnswer(text="one"), FakeError(kind="rate_limit"))
    made = await submit_file(client, line("a"), line("b"), line("c", contents=[]))
    ended = await client.batches.get(name=made.name)
    assert (ended.state.name, ended.dest.inlined_responses) == ("JOB_STATE_SUCCEEDED", None)
    done = await written(client, ended)
    answer = types.GenerateContentResponse._from_response(response=done["a"]["response"], kwargs={})
    assert answer.candidates[0].content.parts[0].text == "one"
    assert [done[key]["error"]["code"] for key in ("b", "c")] == [8, 3]
    files = [file async for file in await client.files.list()]
    assert {file.source.name for file in files} == {"UPLOADED", "GENERATED"}
    with pytest.raises(genai.errors.ClientError, match="Only generated"):
        await client.files.download(file=files[0].name)
    assert (await client.files.get(name=files[0].name)).display_name == "rows"
    await client.files.delete(name=files[0].name)
    with pytest.raises(genai.errors.ClientError, match="not found"):
        await client.files.get(name=files[0].name)


@pytest.mark.filterwarnings("ignore:.*is experimental")
async def test_embeddings(client, server):
    source = types.EmbeddingsBatchJobSource(
        inlined_requests={"contents": ["Hi"], "config": {"output_dimensionality": 4}}
    )
    made = await client.batches.create_embeddings(model="gemini-embedding-001", src=source)
    ended = await client.batches.get(name=made.name)
    (answer,) = ended.dest.inlined_embed_content_responses
    assert len(answer.response.embedding.values) == 4


@pytest.mark.parametrize("by_file", [False, True])
@pytest.mark.parametrize("state", ["EXPIRED", "CANCELLED"])
async def test_a_batch_may_end_early(client, server, state, by_file):
    server.batches.hold()
    if by_file:
        made = await submit_file(client, line("a"), line("b"))
    else:
        made = await client.batches.create(model=MODEL, src=[row("a"), row("b")])
    server.batches.answer(1)
    assert (await client.batches.get(name=made.name)).state.name == "JOB_STATE_RUNNING"
    if state == "EXPIRED":
        server.batches.expire()
    else:
        await client.batches.cancel(name=made.name)
    ended = await client.batches.get(name=made.name)
    assert ended.state.name == f"JOB_STATE_{state}"
    if state == "EXPIRED":  # Google keeps nothing then
        assert ended.dest is None
    elif by_file:
        done = await written(client, ended)
        assert ("response" in done["a"], done["b"]["error"]["code"]) == (True, 1)
    else:
        first, second = ended.dest.inlined_responses
        assert (first.error, second.error.code) == (None, 1)


async def test_a_held_batch_ends_when_the_test_says_so(client, server):
    server.batches.hold()
    made = await client.batches.create(model=MODEL, src=[row("a")])
    server.batches.finish()
    assert (await client.batches.get(name=made.name)).state.name == "JOB_STATE_SUCCEEDED"
    made = await client.batches.create(model=MODEL, src=[row("a")])
    server.batches.fail("It rained.")
    assert (await client.batches.get(name=made.name)).state.name == "JOB_STATE_FAILED"
    assert server.batches.made[-1].problem == "It rained."


@pytest.mark.parametrize("rows", [[], [b"{\n"], [b"[]\n"], [{"key": "a"}], [line("a"), line("a")]])
async def test_a_file_that_is_wrong_fails_the_batch_later(client, rows):
    made = await submit_file(client, *rows)
    assert made.state.name == "JOB_STATE_PENDING"
    assert (await client.batches.get(name=made.name)).state.name == "JOB_STATE_FAILED"


async def test_what_is_refused_at_once(client, server):
    server.batches.most_bytes = 100
    for asked, match in (
        ({"src": []}, "no requests"),
        ({"src": [row("a" * 100)]}, "exceeds the limit"),
        ({"src": "files/1"}, "not found"),
        ({"src": [row("a")], "model": "gemini-0"}, "is not found"),
    ):
        with pytest.raises(genai.errors.ClientError, match=match):
            await client.batches.create(**{"model": MODEL} | asked)
    with pytest.raises(genai.errors.ClientError, match="not found"):
        await client.batches.get(name="batches/1")
    server.say(FakeError(kind="quota"), to="batches")
    with pytest.raises(genai.errors.ClientError, match="RESOURCE_EXHAUSTED"):
        await client.batches.create(model=MODEL, src=[row("a")])
    server.api_key = "another"
    with pytest.raises(genai.errors.ClientError, match="API key not valid"):
        await client.batches.get(name="batches/1")


async def test_batches_are_listed_and_deleted(client):
    made = [(await client.batches.create(model=MODEL, src=[row("a")])).name for _ in range(3)]
    listed = [job.name async for job in await client.batches.list(config={"page_size": 2})]
    assert listed == made[::-1]
    await client.batches.delete(name=made[0])
    assert [job.name async for job in await client.batches.list()] == made[:0:-1]
