from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bruno_llm_gemini import transport
from bruno_llm_testing import FakeGemini
from google.genai import types


@pytest.fixture
def server() -> Iterator[FakeGemini]:
    with FakeGemini() as server:
        yield server


@pytest.fixture
async def http() -> AsyncIterator[Any]:
    """A client of the HTTP library whose clients the SDK takes."""
    async with transport._http_library(types.HttpOptions).AsyncClient() as client:
        yield client
