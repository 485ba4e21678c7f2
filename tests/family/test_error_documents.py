"""What a server says of an error reaches the user, and means the same, in whatever spelling."""

import json
from functools import partial

import pytest
from bruno_llm_base import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    FallbackLLM,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    MediaTooLargeError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
)
from bruno_llm_testing import Fault, MockLLM, RawReply

pytestmark = pytest.mark.usefixtures("unmeasured")

JSON = {"content_type": "application/json"}
AGAIN = Retry(attempts=3, wait_initial=0)
SAID = "the reason of it all"


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


async def call(llm, *, streamed):
    """Return the text of an answer."""
    if streamed:
        return "".join([piece async for piece in llm.stream("hi")])
    return (await llm.request("hi")).text


async def error_of(llm, raw, streamed, status, said, **headers):
    """Return the error that a call ends with where the server says *said*."""
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    raw.send(status, body, **(JSON | headers))
    raw.asked = 0
    with pytest.raises(LLMError) as caught:
        await call(llm, streamed=streamed)
    return caught.value


@pytest.fixture
async def fail(kind, raw, streamed):
    """Return the error of one attempt."""
    async with kind(**raw.connection(), max_retries=0) as llm:
        yield partial(error_of, llm, raw, streamed)


@pytest.fixture
def try_again(kind, raw, streamed):
    """Return the error of a call that may be sent three times, and how often it was sent."""

    async def try_again(*said, **headers):
        async with kind(**raw.connection(), retry=AGAIN) as llm:
            error = await error_of(llm, raw, streamed, *said, **headers)
        return error, raw.asked

    return try_again


GOOGLES = {
    "code": 429,
    "message": "You exceeded your current quota, please check your plan and billing details.",
    "status": "RESOURCE_EXHAUSTED",
    "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "33.5s"},
    ],
}
DAILY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PAGE = (
    f"<!DOCTYPE html><html><head><title>{SAID}</title><style>p {{color: red}}</style></head>"
    f"<body><h1>{SAID}</h1><script>alert('x')</script><p>nginx &amp; Co.</p></body></html>"
)

SPELLINGS = {
    "as most do": {"error": {"message": SAID}},
    "a sentence": {"error": SAID},
    "in a list": [{"error": {"message": SAID}}],
    "a list inside": {"error": [{"message": SAID}]},
    "several": {"success": False, "errors": [{"code": 7003, "message": SAID}]},
    "by field": {"title": "Bad", "errors": {"messages": [SAID]}},
    "flat": {"object": "error", "message": SAID, "type": "BadRequestError", "code": 400},
    "a message alone": {"message": SAID},
    "in capitals": {"__type": "ValidationException", "Message": SAID},
    "msg": {"code": "InvalidParameter", "msg": SAID},
    "a flag and a message": {"error": True, "message": SAID},
    "a word and a message": {"error": "Bad Request", "message": SAID},
    "OAuth": {"error": "invalid_request", "error_description": SAID},
    "FastAPI": {"detail": SAID},
    "FastAPI, an object": {"detail": {"error": SAID}},
    "FastAPI, a list": {"detail": [{"type": "missing", "loc": ["body", "x"], "msg": SAID}]},
    "a message that is an object": {
        "error": {"message": {"detail": [{"loc": ["body"], "msg": SAID}]}}
    },
    "MiniMax": {"choices": None, "base_resp": {"status_code": 2013, "status_msg": SAID}},
    "JSON as text": {"error": json.dumps({"error": {"message": SAID}})},
    "OpenRouter": {
        "error": {
            "message": "Provider returned error",
            "code": 400,
            "metadata": {"raw": json.dumps({"error": {"message": SAID}}), "provider_name": "X"},
        }
    },
    "OpenRouter, text": {"error": {"message": "Provider error", "metadata": {"raw": SAID}}},
    "Groq": {"error": {"message": "Failed to call a function", "failed_generation": SAID}},
    "nothing known": {"problem": {"reason": SAID}},
    "text": SAID.encode(),
    "a page": PAGE.encode(),
    "a page in a byte order of its own": b"\xef\xbb\xbf" + PAGE.encode(),
    "a document in a byte order of its own": b"\xef\xbb\xbf" + json.dumps({"error": SAID}).encode(),
}


async def test_the_servers_own_words_reach_the_user(fail):
    for spelling, said in SPELLINGS.items():
        for status, expected in ((400, InvalidRequestError), (500, ServiceUnavailableError)):
            error = await fail(status, said)
            assert type(error) is expected, spelling
            assert SAID in error.message, spelling
            assert error.status_code == status
            assert "<" not in error.message
            assert "alert" not in error.message


async def test_a_field_that_is_complained_about_is_named(fail):
    row = {"type": "missing", "loc": ["body", "messages", 0], "msg": "Field required", "input": "x"}
    error = await fail(422, {"detail": [row, row | {"loc": ["body", "n"]}]})
    assert "body.messages.0: Field required; body.n: Field required" in error.message
    assert error.param == "messages.0"


async def test_a_named_status_that_is_none_says_nothing(fail):
    for odd in ("unavailable", 1.5, ["503"]):
        error = await fail(200, {"error": {"message": SAID, "http_status": odd}})
        assert isinstance(error, ServiceUnavailableError)
        assert SAID in str(error)


async def test_a_long_page_is_cut_short(fail):
    error = await fail(400, b"<html><body>" + b"<p>word</p>" * 10_000, content_type="text/html")
    assert 100 < len(error.message) <= 1_000


async def test_where_nothing_is_said_the_status_is(fail):
    for body in (b"", b"{}", b"[]", b"null", b'{"error": null}', b"\x00\xff\x01"):
        assert (await fail(500, body)).message == "the server answered 500"


# -- what is said stands for the same error in any spelling ----------------------------------------


def shapes(message, **fields):
    """Yield an error in the usual object, flat, in a list, and as another server's."""
    error = {"message": message} | fields
    yield {"error": error}
    yield {"object": "error"} | error
    yield [{"error": error}]
    yield {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps(error)}}}


MANY = "This model's maximum context length is 2048 tokens. However, you requested 2723 tokens"
OVERFLOWS = {
    f"{MANY} (1699 in the messages, 1024 in the completion).": (2048, 2723),
    "prompt is too long: 215000 tokens > 200000 maximum": (200000, 215000),
    "request (19185 tokens) exceeds the available context size (16384 tokens)": (16384, 19185),
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).": (
        *(1048576, 1200000),
    ),
    "Prompt contains 40000 tokens, too large for model with 32768 maximum context length": (
        *(32768, 40000),
    ),
    "Input is too long for requested model.": (None, None),
    "prompt too long; exceeded max context length by 540451 tokens (ref: 00ad)": (None, None),
    "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 7234 `inputs` tokens and 2048": (
        *(8193, 9282),
    ),
    "Please reduce the length of the messages or completion.": (None, None),
    "Your input exceeds the context window of this model.": (None, None),
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.": (
        *(131072, 537812),
    ),
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).": (
        4096,
        5000,
    ),
    "prompt token count of 130000 exceeds the limit of 128000": (128000, 130000),
    "Your request exceeded model token limit: 262144 (requested: 300000)": (262144, 300000),
    "Range of input length should be [1, 129024]": (129024, None),
    "The prompt is too long: 300,000, model maximum context length: 262,143": (262143, 300000),
}


async def test_a_context_overflow_in_anyones_words(fail):
    for message, figures in OVERFLOWS.items():
        for data in shapes(message, code=400):
            for status in (200, 400):
                error = await fail(status, data)
                assert type(error) is ContextLengthExceededError, data
                assert (error.limit, error.actual) == figures, data


NO_OVERFLOWS = [
    "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens",
    "messages.0.content.1: image exceeds 5 MB maximum: 6000000 bytes > 5242880 bytes",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
]


async def test_other_things_may_be_too_large_as_well(fail):
    for message in NO_OVERFLOWS:
        kind = MediaTooLargeError if "image" in message else InvalidRequestError
        assert type(await fail(400, {"error": {"message": message}})) is kind


KINDS = [
    (400, "API key not valid. Please pass a valid API key.", AuthenticationError),
    (400, "API key expired. Please renew the API key.", AuthenticationError),
    (403, "Your API key was reported as leaked. Please use another API key.", AuthenticationError),
    (400, "Incorrect API key provided: te***ey.", AuthenticationError),
    (400, "User location is not supported for the API use.", PermissionDeniedError),
    (
        400,
        "Gemini API free tier is not available in your country. Please enable billing",
        PermissionDeniedError,
    ),
    (402, "Insufficient Balance", QuotaExceededError),
    (400, "Your credit balance is too low to access the Anthropic API.", QuotaExceededError),
    (402, "This request requires more credits, or fewer max_tokens.", QuotaExceededError),
    (429, "Your account is suspended due to insufficient balance", QuotaExceededError),
    (400, "Content Exists Risk", ContentBlockedError),
    (403, 'X requires moderation. Your input was flagged for "harassment".', ContentBlockedError),
    (400, "Input data may contain inappropriate content.", ContentBlockedError),
    (400, "Model Not Exist", ModelNotFoundError),
    (404, "The model `x` does not exist.", ModelNotFoundError),
    (401, "Access token invalid", AuthenticationError),
    (403, "No.", PermissionDeniedError),
    (404, "No such page.", InvalidRequestError),
]


async def test_a_sentence_tells_the_kind(fail):
    for status, message, expected in KINDS:
        for data in shapes(message):
            error = await fail(status, data)
            assert (type(error), error.retryable) == (expected, False), data


async def test_a_moderation_says_why(fail):
    document = {"message": "Your input was flagged", "metadata": {"reasons": ["harassment"]}}
    error = await fail(403, {"error": document})
    assert type(error) is ContentBlockedError
    assert error.reason == "harassment"


CODES = [
    ({"code": "invalid_api_key"}, AuthenticationError),
    ({"code": "InvalidApiKey"}, AuthenticationError),
    ({"code": "insufficient_quota"}, QuotaExceededError),
    ({"code": "Arrearage"}, QuotaExceededError),
    ({"code": "data_inspection_failed"}, ContentBlockedError),
    ({"code": "content_filter"}, ContentBlockedError),
    ({"code": "context_length_exceeded"}, ContextLengthExceededError),
    ({"type": "exceed_context_size_error"}, ContextLengthExceededError),
    ({"code": "model_not_found"}, ModelNotFoundError),
    ({"code": "unsupported_country_region_territory"}, PermissionDeniedError),
]


async def test_a_code_tells_the_kind(fail):
    for fields, expected in CODES:
        for data in shapes(SAID, **fields):
            for status in (200, 400):
                error = await fail(status, data)
                assert (type(error), error.retryable) == (expected, False), data


async def test_a_vendors_number_is_no_status(fail):
    for number in (110, 503, "429"):
        error = await fail(401, {"error": {"code": number, "message": "Access token invalid"}})
        assert (type(error), error.status_code) == (AuthenticationError, 401)


async def test_inside_a_success_it_is(try_again):
    for number, expected, asked in (
        (400, InvalidRequestError, 1),
        (503, ServiceUnavailableError, 3),
    ):
        document = {"object": "error", "message": SAID, "code": number}
        error, times = await try_again(200, document)
        assert (type(error), error.status_code, times) == (expected, number, asked)
        assert SAID in error.message


# -- success that is none ---------------------------------------------------------------------------

FOREIGN = [
    ({"code": 1004, "msg": SAID}, ServiceUnavailableError),
    ({"base_resp": {"status_code": 1004, "status_msg": SAID}}, ServiceUnavailableError),
    ({"detail": SAID}, ServiceUnavailableError),
    ({"message": SAID}, ServiceUnavailableError),
    ({"type": "error", "message": SAID}, ServiceUnavailableError),
    ({"object": "error", "reason": SAID}, ServiceUnavailableError),
    ({"status": "error", "message": SAID}, ServiceUnavailableError),
    ({"success": False, "message": SAID}, ServiceUnavailableError),
    ({"code": "InvalidParameter", "message": SAID, "request_id": "r"}, InvalidRequestError),
    ({"type": "invalid_request_error", "message": SAID, "param": None}, InvalidRequestError),
    ([{"error": {"message": SAID, "status": "PERMISSION_DENIED"}}], PermissionDeniedError),
    ({"code": 1004, "msg": "login fail: carry the secret, for " + SAID}, AuthenticationError),
]


async def test_a_success_may_be_an_error(fail):
    for data, expected in FOREIGN:
        error = await fail(200, data)
        assert type(error) is expected, data
        assert SAID in error.message, data


async def test_a_page_is_told_as_one(try_again):
    error, times = await try_again(200, PAGE.encode(), content_type="text/html")
    assert type(error) is InvalidResponseError
    for words in ("a web page, not with JSON", SAID, "check base_url"):
        assert words in error.message
    assert times == 1


async def test_text_is_quoted(fail):
    error = await fail(200, SAID.encode(), content_type="text/plain")
    assert type(error) is InvalidResponseError
    assert f"not JSON: {SAID!r}" in error.message


# -- limits -----------------------------------------------------------------------------------------


async def test_googles_wait_and_daily_quota_are_read_behind_any_api(fail):
    for data in ([{"error": GOOGLES}], {"error": GOOGLES}):
        for status in (200, 429):
            error = await fail(status, data)
            assert (type(error), error.retry_after) == (RateLimitError, 33.5)
    daily = GOOGLES | {"details": [*GOOGLES["details"], DAILY]}
    assert type(await fail(429, [{"error": daily}])) is QuotaExceededError


PER_MINUTE = "on tokens per minute (TPM): Limit 6000,"


async def test_what_is_larger_than_the_minute_is_asked_for_once(try_again):
    message = f"Request too large for model `m` {PER_MINUTE} Requested 14810, please reduce it"
    for data in shapes(message, type="tokens", code="rate_limit_exceeded"):
        for status in (413, 429):
            error, times = await try_again(status, data)
            assert (type(error), error.retryable, times) == (RateLimitError, False, 1)
            assert (error.limit, error.actual) == (6000, 14810)


async def test_what_fits_into_the_next_minute_is_asked_for_again(try_again):
    message = f"Rate limit reached for model `m` {PER_MINUTE} Used 5000, Requested 1481."
    error, times = await try_again(429, {"error": {"message": message}})
    assert (type(error), times) == (RateLimitError, 3)
    assert (error.limit, error.actual) == (6000, 1481)


async def test_a_day_is_too_long_to_wait(try_again):
    message = (
        "Rate limit reached on tokens per day (TPD): Limit 100000, Used 99000, Requested 2000."
    )
    error, times = await try_again(429, {"error": {"message": message}})
    assert (type(error), times) == (QuotaExceededError, 1)


# -- again, or not ----------------------------------------------------------------------------------


async def test_a_server_without_room_is_asked_again(fail, try_again):
    document = {"message": "Flex tier capacity exceeded, please try again later"}
    for status in (420, 425, 430, 449, 498, 499):
        assert (await fail(status, {"error": document})).retryable, status
    _, times = await try_again(498, {"error": document | {"code": "capacity_exceeded"}})
    assert times == 3


@pytest.mark.parametrize("again", [True, False])
async def test_the_server_says_whether_to_ask_again(fail, try_again, again):
    document, said = {"error": {"message": SAID}}, str(again).lower()
    for status in (400, 404, 409, 429, 500, 529):
        error = await fail(status, document, x_should_retry=said)
        assert error.retryable is again, status
    _, times = await try_again(400 if again else 503, document, x_should_retry=said)
    assert times == (3 if again else 1)


async def test_another_model_is_asked_where_this_one_may_not_be_used(kind, raw, streamed):
    message = "User location is not supported for the API use."
    error = {"code": 400, "message": message, "status": "FAILED_PRECONDITION"}
    raw.send(400, json.dumps({"error": error}).encode(), **JSON)
    async with kind(**raw.connection(), retry=AGAIN) as llm:
        chain = FallbackLLM([llm, MockLLM("from the other")])
        assert await call(chain, streamed=streamed) == "from the other"
    assert raw.asked == 1


async def test_a_refused_key_is_told_in_the_servers_words_without_the_key(fail):
    message = "Incorrect API key provided: sk-pr********ab12. It was revoked at https://x.ai/keys."
    error = await fail(401, {"error": {"message": message}})
    assert "Incorrect API key provided: ***" in error.message
    assert "It was revoked at https://x.ai/keys" in error.message
    assert "sk-pr" not in str(error)
    assert "ab12" not in str(error)


@pytest.mark.parametrize("said", [{"code": ""}, {"type": ""}, {"code": "", "type": ""}])
async def test_an_empty_word_is_no_code(fail, said):
    error = await fail(400, {"error": {"message": SAID} | said})
    assert error.code is None
    assert "code" not in str(error)


async def test_an_empty_code_hides_no_type(fail):
    error = await fail(400, {"error": {"message": SAID, "type": "x_error", "code": ""}})
    assert error.code == "x_error"


async def test_a_refusal_that_breaks_off_is_no_broken_stream(kind, fake, streamed):
    with fake() as server:
        body = json.dumps({"error": SAID * 10}).encode()
        refusal = RawReply(status=503, headers={"content-type": "application/json"}, body=body)
        server.say(Fault(refusal, after=1, then="close"))
        async with kind(**server.connection(), max_retries=0) as llm:
            with pytest.raises(ServiceUnavailableError, match="the address is"):
                await call(llm, streamed=streamed)
