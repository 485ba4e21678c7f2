"""What is Gemini's own about batches."""

import pytest
from bruno_llm_base import AuthenticationError, InvalidRequestError, RateLimitError, Retry
from bruno_llm_gemini import GeminiProvider, batches
from bruno_llm_testing import FakeAnswer, FakeError
from google import genai


@pytest.fixture
async def llm(server):
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        yield llm


async def items_of(batch):
    return {item.key: item async for item in batch.results()}


async def test_a_row_asks_what_the_request_would(llm, server):
    await llm.request("one", max_tokens=50, temperature=0.5)
    batch = await llm.batch({"a": "one"}, max_tokens=50, temperature=0.5)
    assert list(server.batches.made[0].rows.values()) == server.bodies
    assert batch.id == f"gemini:{server.batches.made[0].id}"


async def test_many_rows_or_bytes_go_as_a_file(llm, server):
    sizes = [(1, 10), (batches._MOST_INLINE_ROWS, 10), (batches._MOST_INLINE_ROWS + 1, 10)]
    for rows, size in [*sizes, (2, batches._MOST_INLINE // 2)]:
        batch = await llm.batch({str(n): "x" * size for n in range(rows)})
        assert len(await items_of(batch)) == rows
    assert [made.details["file"] for made in server.batches.made] == [False, False, True, True]


async def test_a_large_file_arrives_whole(llm, server):
    text = "世界\u2028" * 400_000
    server.say(FakeAnswer(text="ok"))
    items = await items_of(await llm.batch({"a": text}))
    assert items["a"].text == "ok"
    (body,) = server.batches.made[0].rows.values()
    assert body["contents"][0]["parts"][0]["text"] == text


async def test_an_upload_may_be_refused(server, monkeypatch):
    monkeypatch.setattr(batches, "_MOST_INLINE_ROWS", 0)
    wrong = server.connection() | {"api_key": "wrong"}
    async with GeminiProvider(**wrong, retry=Retry(attempts=1)) as llm:
        with pytest.raises(AuthenticationError):
            await llm.batch({"a": "one"})
    async with GeminiProvider(**server.connection(), retry=Retry(attempts=2, wait_max=0)) as llm:
        server.say(FakeError(kind="rate_limit", retry_after=0), to="batches")
        assert len(await items_of(await llm.batch({"a": "one"}))) == 1


@pytest.mark.parametrize("code", [8, 429])
async def test_an_error_of_a_row_has_the_number_of_grpc(llm, server, code):
    server.say(FakeError(kind="rate_limit"))
    batch = await llm.batch({"a": "one"})
    (row,) = (
        llm.adapter.make_batches(llm.access)
        .read(server.batches._operation(server.batches.made[0]))
        .rows
    )
    result = llm.adapter.make_batches(llm.access).read_result(
        row | {"error": row["error"] | {"code": code}}
    )
    assert (result.status, result.error["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")
    items = await items_of(batch)
    assert isinstance(items["a"].error, RateLimitError)


async def test_a_client_of_the_users_takes_none(server):
    client = genai.Client(api_key="k", http_options={"base_url": server.address})
    llm = GeminiProvider(client=client)
    with pytest.raises(InvalidRequestError, match="takes no batches"):
        await llm.batch({"a": "one"})
    client.close()


@pytest.mark.parametrize(
    ("state", "status"),
    [(None, "waiting"), ("BATCH_STATE_PAUSED", "running"), ("BATCH_STATE_NEW_WORD", "running")],
)
async def test_a_state_that_is_not_known_is_no_end(llm, state, status):
    document = {"name": "batches/1", "metadata": {"state": state}}
    assert llm.adapter.make_batches(llm.access).read(document).status == status
    assert llm.adapter.make_batches(llm.access).read(document | {"done": True}).status == "ended"
