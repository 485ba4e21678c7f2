"""Test the service without a server, a vendor or a key: `pip install bruno-llm-testing httpx2`."""

import pytest
import service
from bruno_llm import Budget, CostTracker, RateLimitError
from bruno_llm_testing import MockLLM
from fastapi.testclient import TestClient


@pytest.fixture
def client(mock_llm: MockLLM) -> TestClient:
    """Let ana ask a mock."""
    shared = service.Service(mock_llm, CostTracker(), Budget("0.50", by="user"))
    mine = {service.service_of: lambda: shared, service.user_of: lambda: "ana"}
    service.app.dependency_overrides.update(mine)
    return TestClient(service.app)


def test_an_answer_is_streamed(client: TestClient, mock_llm: MockLLM) -> None:
    """A mock streams word by word."""
    mock_llm.say("Light scatters.")
    said = client.post("/stream", json={"text": "Why is the sky blue?"}).text
    assert said.startswith('data: "Light"\n\ndata: " scatters."\n\nevent: done\ndata: {')
    assert mock_llm.calls[0].prompt == "Why is the sky blue?"


def test_a_user_is_told_when_to_come_back(client: TestClient, mock_llm: MockLLM) -> None:
    """An error's `retry_after` is a header."""
    mock_llm.say(RateLimitError("too many requests", retry_after=20))
    response = client.post("/ask", json={"text": "Why is the sky blue?"})
    assert response.status_code == 429
    assert response.headers["retry-after"] == "20"
