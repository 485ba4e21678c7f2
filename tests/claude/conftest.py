from collections.abc import Iterator

import pytest
from bruno_llm_base import Retry
from bruno_llm_claude import ClaudeProvider
from bruno_llm_testing import FakeClaude


@pytest.fixture
def server() -> Iterator[FakeClaude]:
    with FakeClaude() as server:
        yield server


@pytest.fixture
def llm(server: FakeClaude) -> ClaudeProvider:
    return ClaudeProvider(**server.connection(), retry=Retry(attempts=1))


@pytest.fixture
def kind_of_llm(server: FakeClaude):
    """Make a provider with keywords of its own."""
    return lambda *model, **keywords: ClaudeProvider(*model, **server.connection(), **keywords)
