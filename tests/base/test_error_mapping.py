import email.utils
import pickle
import time

import bruno_core.utils.exceptions as core
import pytest
from bruno_llm_base import exceptions as ours
from bruno_llm_base.error_mapping import ErrorFacts, error_from, server_wait
from bruno_llm_base.exceptions import Attempt
from bruno_llm_base.parts import Text
from bruno_llm_base.response import ModelResponse


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)
def test_the_servers_wait_is_read(headers, seconds):
    assert server_wait(headers) == seconds


def test_a_date_is_a_wait_too():
    wait = server_wait({"retry-after": email.utils.formatdate(time.time() + 9000, usegmt=True)})
    assert 8000 < wait <= 9000


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (302, ours.InvalidResponseError, False),
        (400, ours.InvalidRequestError, False),
        (401, ours.AuthenticationError, False),
        (402, ours.QuotaExceededError, False),
        (403, ours.PermissionDeniedError, False),
        (404, ours.InvalidRequestError, False),
        (408, ours.ServiceUnavailableError, True),
        (409, ours.ServiceUnavailableError, True),
        (422, ours.InvalidRequestError, False),
        (429, ours.RateLimitError, True),
        (500, ours.ServiceUnavailableError, True),
        (529, ours.ServiceUnavailableError, True),
    ],
)
def test_a_status_alone_is_enough(status, kind, retryable):
    error = error_from(ErrorFacts(request_id="req_1"), status, {"retry-after": "3"})
    assert type(error) is kind
    assert (error.status_code, error.retryable) == (status, retryable)
    assert (error.request_id, error.retry_after) == ("req_1", 3)
    assert error.message


def test_a_complaint_about_a_key_is_not_repeated():
    facts = ErrorFacts(message="Incorrect API key provided: sk-proj-1234")
    assert "1234" not in str(error_from(facts, 401, {}))


def kinds():
    named = [getattr(ours, name) for name in ours.__all__]
    return [kind for kind in named if issubclass(kind, core.LLMError)]


@pytest.mark.parametrize("kind", kinds())
def test_errors_are_of_bruno_cores_family_and_pickle(kind):
    error = kind(
        "went wrong",
        provider="p",
        model="m",
        status_code=500,
        retry_after=2.5,
        attempts=[Attempt(duration=1, error="RateLimitError")],
        partial=ModelResponse(parts=(Text("so far"),)),
        cause=ValueError("inner"),
    )
    assert isinstance(error, core.LLMError)
    assert isinstance(error.__cause__, ValueError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert str(copy) == str(error) == "went wrong (provider p, model m, status 500)"
    assert (copy.retry_after, copy.attempts, copy.partial) == (2.5, error.attempts, error.partial)
    assert "so far" not in str(error) + repr(error)


def test_errors_are_also_what_others_expect():
    assert issubclass(ours.LLMTimeoutError, TimeoutError)
    assert issubclass(ours.StreamError, core.StreamError)
    assert issubclass(ours.ConfigurationError, core.ConfigError)
