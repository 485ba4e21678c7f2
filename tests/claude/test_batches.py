"""What is Claude's own about batches."""

import anthropic
import pytest
from bruno_llm_base import InvalidRequestError, QuotaExceededError
from bruno_llm_claude import ClaudeProvider
from bruno_llm_claude.provider import _headers
from bruno_llm_testing import FakeError


async def test_a_row_asks_what_the_request_would(server):
    async with ClaudeProvider(**server.connection()) as llm:
        await llm.request("one", reasoning="low", max_tokens=5000)
        await llm.batch({"a": "one"}, reasoning="low", max_tokens=5000)
    (made,) = server.batches.made
    assert made.rows["a"] == server.bodies[0]


async def test_a_wish_of_one_row_asks_for_the_header():
    bound = {"thinking": {"type": "adaptive", "block_binding": {}}}
    assert _headers({"requests": [{"params": {}}, {"params": bound}]}) == _headers(bound) != {}
    assert _headers({"requests": [{"params": {}}]}) == {}


async def test_a_rows_error_is_read_as_that_of_a_request(server):
    async with ClaudeProvider(**server.connection()) as llm:
        server.say(FakeError(kind="quota"))
        (item,) = [item async for item in (await llm.batch({"a": "one"})).results()]
    assert isinstance(item.error, QuotaExceededError)


async def test_the_batches_of_clouds_are_others():
    async with anthropic.AsyncAnthropicVertex(
        region="x", project_id="y", access_token="z"
    ) as client:
        llm = ClaudeProvider(client=client)
        with pytest.raises(InvalidRequestError, match="takes no batches"):
            await llm.batch({"a": "one"})


async def test_results_that_were_archived_are_asked_for_as_the_answer_says_so():
    async with ClaudeProvider(api_key="k") as llm:
        ended = {"id": "msgbatch_1", "processing_status": "ended", "results_url": None}
        assert llm.adapter.make_batches(llm.access).read(ended).results == [
            "/v1/messages/batches/msgbatch_1/results"
        ]
