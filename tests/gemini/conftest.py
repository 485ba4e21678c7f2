from collections.abc import Iterator

import pytest
from bruno_llm_testing import FakeGemini


@pytest.fixture
def server() -> Iterator[FakeGemini]:
    with FakeGemini() as server:
        yield server
