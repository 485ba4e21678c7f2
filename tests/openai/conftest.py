import pytest
from bruno_llm_base import Retry
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeOpenAI


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
async def llm(server):
    async with OpenAIProvider(**server.connection(), retry=Retry(attempts=1)) as llm:
        yield llm
