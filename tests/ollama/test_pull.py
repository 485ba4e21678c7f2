"""A model is pulled: what the server reports, and what goes wrong."""

import asyncio

import httpx
import pytest
from bruno_llm_base import (
    InvalidResponseError,
    ModelNotFoundError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.response import Progress
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeError, FakeOllama, Fault, RawReply
from ollama import AsyncClient, ResponseError


@pytest.fixture
def server():
    with FakeOllama() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OllamaProvider(base_url=server.address, max_retries=0) as llm:
        yield llm


async def test_all_steps_are_reported(server, llm):
    reports = [report async for report in llm.pull("smollm2:135m")]
    assert reports[0] == Progress(step="pulling manifest")
    assert reports[-1] == Progress(step="success")
    parts = [report for report in reports if report.part is not None]
    assert [report.done for report in parts[:3]] == [0, 1_009_688_688, 2_019_377_376]
    assert {report.total for report in parts[:3]} == {2_019_377_376}
    assert "smollm2:135m" in await llm.list_models()
    assert server.received[0].body == {"model": "smollm2:135m", "stream": True}


async def test_the_providers_own_model_is_meant_without_a_name(server, llm):
    assert [report async for report in llm.pull()][-1].step == "success"
    assert server.received[0].body["model"] == "llama3.2"


async def test_an_unknown_model_is_an_error_inside_the_stream(server, llm):
    reports = llm.pull("nobody")
    assert (await anext(reports)).step == "pulling manifest"
    with pytest.raises(ModelNotFoundError, match=r"file does not exist; https://ollama.com"):
        await anext(reports)
    assert len(server.received) == 1


async def test_a_stream_without_its_end_is_an_error(server, llm):
    server.say(Fault(after=3, then="end"))
    with pytest.raises(StreamError, match="before the answer was complete"):
        async for _ in llm.pull("smollm2:135m"):
            pass


async def test_what_was_begun_is_not_sent_again(server):
    async with OllamaProvider(base_url=server.address) as llm:
        server.say(FakeError(kind="server_error", in_stream=True))
        with pytest.raises(ServiceUnavailableError):
            async for _ in llm.pull("smollm2:135m"):
                pass
        assert len(server.received) == 1
        server.say(FakeError(kind="overloaded", retry_after=0.01))
        assert [report async for report in llm.pull("smollm2:135m")][-1].step == "success"
        assert len(server.received) == 3


async def test_what_is_no_report_is_an_error(server, llm):
    server.say(RawReply(body=b'{"status": 7}\n'))
    with pytest.raises(InvalidResponseError):
        await anext(llm.pull("smollm2:135m"))


async def test_leaving_closes_the_connection(server, llm):
    server.say(Fault(after=2, then="stall"))
    reports = llm.pull("smollm2:135m")
    await anext(reports)
    await reports.aclose()
    assert await asyncio.to_thread(server.received[0].left.wait, 5)


async def test_the_official_client_reads_the_fake(server):
    async with AsyncClient(server.address) as client:
        reports = [part async for part in await client.pull("smollm2:135m", stream=True)]
        assert (reports[0].status, reports[-1].status) == ("pulling manifest", "success")
        layers = [report for report in reports if report.digest]
        assert [report.completed for report in layers[:2]] == [None, 1_009_688_688]
        assert layers[0].total == 2_019_377_376
        with pytest.raises(ResponseError, match="file does not exist"):
            async for _ in await client.pull("nobody", stream=True):
                pass
        assert (await client.pull("llama3.2")).status == "success"
        with pytest.raises(ResponseError, match="file does not exist"):
            await client.pull("nobody")


async def test_an_unknown_model_is_no_success_without_a_stream_either(server):
    async with httpx.AsyncClient(base_url=server.address) as client:
        reply = await client.post("/api/pull", json={"model": "nobody", "stream": False})
    assert (reply.status_code, "error" in reply.json()) == (500, True)
