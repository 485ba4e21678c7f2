"""What the API refuses, and how that is told."""

import pytest
from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    MediaTooLargeError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_testing import FakeError


def document(kind, message="", code=None):
    details = {"error_code": code} if code else None
    inner = {"type": kind, "message": message, "details": details}
    return {"type": "error", "error": inner, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (document("authentication_error"), AuthenticationError),
        (document("permission_error"), PermissionDeniedError),
        (document("billing_error"), QuotaExceededError),
        (document("rate_limit_error"), RateLimitError),
        (document("rate_limit_error", code="ramp_limit_exceeded"), RateLimitError),
        (document("rate_limit_error", code="enforced_spend_limit_reached"), QuotaExceededError),
        (document("rate_limit_error", code="contract_spend_limit_reached"), QuotaExceededError),
        (document("invalid_request_error", code="organization_on_hold"), PermissionDeniedError),
        (document("overloaded_error"), ServiceUnavailableError),
        (document("api_error"), ServiceUnavailableError),
        (document("timeout_error"), ServiceUnavailableError),
        (document("request_too_large"), MediaTooLargeError),
        (document("invalid_request_error", "model: Field required"), InvalidRequestError),
        (document("not_found_error", "model: claude-9"), ModelNotFoundError),
        (document("not_found_error", "Not found"), InvalidRequestError),
        (
            document("invalid_request_error", "Your credit balance is too low to access the API."),
            QuotaExceededError,
        ),
        (
            document("invalid_request_error", "You have reached your specified API usage limits."),
            QuotaExceededError,
        ),
        (document("something_new"), None),
        ({"message": "Input is too long for requested model."}, ContextLengthExceededError),
        ({"message": "Too many requests"}, None),
        ({"error": {"code": 429, "message": "Quota", "details": [{}]}}, None),
        ({"error": "broken"}, None),
    ],
)
def test_the_kind_of_an_error(llm, data, kind):
    assert llm.adapter.read_error(200, {}, data).kind is kind


@pytest.mark.parametrize(
    ("message", "limit", "actual"),
    [
        ("prompt is too long: 215000 tokens > 200000 maximum", 200000, 215000),
        ("prompt is too long", None, None),
        (
            "input length and `max_tokens` exceed context limit: 195000 + 16000 > 200000, ...",
            200000,
            211000,
        ),
    ],
)
def test_a_conversation_that_is_too_long(llm, message, limit, actual):
    facts = llm.adapter.read_error(400, {}, document("invalid_request_error", message))
    assert facts.kind is ContextLengthExceededError
    assert (facts.limit, facts.actual) == (limit, actual)


def test_a_local_server_reports_its_window_in_fields(llm):
    error = {
        "code": 400,
        "type": "exceed_context_size_error",
        "message": "request (1234 tokens) exceeds the available context size (1000 tokens)",
        "n_prompt_tokens": 1234,
        "n_ctx": 1000,
    }
    facts = llm.adapter.read_error(400, {}, {"error": error})
    assert facts.kind is ContextLengthExceededError
    assert (facts.limit, facts.actual) == (1000, 1234)


async def test_what_an_error_tells(llm, server):
    server.say(FakeError(kind="rate_limit", headers={"retry-after": "2"}))
    with pytest.raises(RateLimitError) as caught:
        await llm.generate("Hi")
    error = caught.value
    assert (error.status_code, error.code) == (429, "rate_limit_error")
    assert error.retry_after == 2
    assert error.request_id == "req_018EeWyXxfu5pfWkrYcMdjWG"


async def test_an_error_inside_a_stream_keeps_what_came_before(llm, server):
    server.say(FakeError(kind="overloaded", in_stream=True))
    with pytest.raises(ServiceUnavailableError) as caught:
        _ = [piece async for piece in llm.stream("Hi")]
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hello"
    assert caught.value.code == "overloaded_error"
