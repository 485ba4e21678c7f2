import asyncio

import pytest
from bruno_llm_base.limits.headers import LimitState, read_limits
from bruno_llm_base.limits.rate_limit import RateLimit
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st


def read(headers):
    headers = {name.lower(): value for name, value in headers.items()}  # as the clients' look-ups
    names = "x-ratelimit-{what}-{unit}", "anthropic-ratelimit-{unit}-{what}"
    return read_limits(headers, names[0]) or read_limits(headers, names[1])


@pytest.mark.parametrize(
    ("headers", "state"),
    [
        (
            {
                "x-ratelimit-limit-requests": "500",
                "x-ratelimit-remaining-requests": "499",
                "x-ratelimit-reset-requests": "120ms",
                "x-ratelimit-limit-tokens": "30000",
                "x-ratelimit-remaining-tokens": "29000",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            LimitState(
                requests_limit=500,
                requests_remaining=499,
                requests_reset=0.12,
                tokens_limit=30_000,
                tokens_remaining=29_000,
                tokens_reset=360.0,
            ),
        ),
        (
            {
                "Date": "Thu, 21 Aug 2025 12:41:00 GMT",
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2025-08-21T12:41:01Z",
                "anthropic-ratelimit-tokens-limit": "96000",
                "anthropic-ratelimit-tokens-remaining": "95000",
                "anthropic-ratelimit-tokens-reset": "2025-08-21T12:40:59Z",
                "anthropic-ratelimit-input-tokens-limit": "80000",
            },
            LimitState(
                requests_limit=50,
                requests_remaining=0,
                requests_reset=1.0,
                tokens_limit=96_000,
                tokens_remaining=95_000,
                tokens_reset=0.0,
            ),
        ),
        (
            {
                "date": "Thu, 21 Aug 2025 12:41:00 GMT",
                "anthropic-ratelimit-input-tokens-limit": "80000",
                "anthropic-ratelimit-input-tokens-remaining": "70000",
                "anthropic-ratelimit-input-tokens-reset": "2025-08-21T14:41:10.5+02:00",
                "anthropic-ratelimit-output-tokens-limit": "16000",
                "anthropic-ratelimit-output-tokens-remaining": "15000",
                "anthropic-ratelimit-output-tokens-reset": "2025-08-21T12:41:02Z",
            },
            LimitState(tokens_limit=96_000, tokens_remaining=85_000, tokens_reset=10.5),
        ),
        ({"X-RateLimit-Reset-Tokens": "1h2m3.5s"}, LimitState(tokens_reset=3723.5)),
        ({"x-ratelimit-reset-tokens": "7"}, LimitState(tokens_reset=7.0)),
        (
            {"x-ratelimit-limit-tokens": "-1", "x-ratelimit-remaining-tokens": "0"},
            None,
        ),
        (
            {
                "x-ratelimit-limit-requests": "0",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-remaining-tokens": "12",
            },
            LimitState(tokens_remaining=12),
        ),
        ({"x-ratelimit-remaining-tokens": "many", "x-ratelimit-reset-tokens": "soon"}, None),
        ({"anthropic-ratelimit-requests-reset": "tomorrow"}, None),
        ({"anthropic-ratelimit-input-tokens-remaining": "5"}, None),
        ({"content-type": "application/json"}, None),
        ({}, None),
    ],
)
def test_servers_say_their_limits_in_headers(headers, state):
    assert read(headers) == state


_names = st.one_of(
    st.just("date"),
    st.builds(
        "{}{}-{}".format,
        st.sampled_from(["x-ratelimit-", "anthropic-ratelimit-"]),
        st.sampled_from(["limit", "remaining", "reset", "requests", "tokens", "input-tokens"]),
        st.sampled_from(["limit", "remaining", "reset", "requests", "tokens"]),
    ),
)
_values = st.one_of(
    st.text(),
    st.from_regex(r"[0-9.]*(ms|s|m|h|d)*[0-9.]*(ms|s|m|h)?"),
    st.from_regex(r"-?[0-9]{0,20}"),
    st.datetimes().map(str),
    st.sampled_from(["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "9" * 5000, "nan"]),
)


@given(st.dictionaries(_names, _values))
@example({"anthropic-ratelimit-requests-limit": "0\x1f"})
@example({"x-ratelimit-limit-tokens": "\u0661\u0662", "x-ratelimit-reset-tokens": "1_0s"})
@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # `leap` has no state
)
def test_no_header_breaks_anything(leap, headers):
    state = read(headers)

    async def test():
        now = asyncio.get_running_loop().time
        limit = RateLimit(requests_per_minute=5, tokens_per_minute=50, clock=now)
        limit.lower(state)
        await limit.acquire(50)
        assert now() < 61

    leap(test())
