"""The words by which errors are told apart, and their figures read.

They are compiled when the first error is read, which most programs never do.
"""

import re
from collections.abc import Callable

from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)

__all__ = [
    "A_DAY",
    "BROAD_CODES",
    "BROAD_SENTENCES",
    "CODES",
    "FIGURES",
    "FULL",
    "FULL_CODE",
    "IN_A_WHILE",
    "SENTENCES",
    "TOO_LARGE",
]


def _any(*patterns: str) -> Callable[[str], object]:
    return re.compile("|".join(patterns), re.IGNORECASE).search


# Codes and types, in the order in which they are looked for.
CODES = (
    (
        ContextLengthExceededError,
        _any("context_?(length|window|size)", "max_prompt_tokens", "tokens_limit_reached"),
    ),
    (
        AuthenticationError,
        _any(
            "(invalid|incorrect|missing|expired|wrong)_?api_?key|api_?key_?(invalid|expired|missing)",
            *("authentication", "unauthenticated", "unauthori[sz]ed", "consumer_suspended"),
        ),
    ),
    (
        ContentBlockedError,
        _any("content_?(filter|policy)", "data_?inspection", "moderation", "responsible_?ai"),
    ),
    (
        QuotaExceededError,
        _any(
            *("insufficient_?(quota|balance|credit|fund)", "arrear", "spend_?limit"),
            *(
                "billing_?(error|hard|limit|not_?active)",
                "budget_?exceeded",
                "payment_?required",
                "current_?quota",
                "credit_?balance",
            ),
        ),
    ),
    (
        ModelNotFoundError,
        _any("model_?not_?(found|exist|available)", r"\b(unknown|invalid)_?model\b"),
    ),
    (
        PermissionDeniedError,
        _any("permission", "forbidden", "access_?denied", "unsupported_country"),
    ),
)

# Codes that say no more than an HTTP status does: they count where there is none.
BROAD_CODES = (
    (RateLimitError, _any("rate_?limit", "throttl", "too_?many_?requests", "exhausted")),
    (
        ServiceUnavailableError,
        _any("overload", "unavailable", "capacity", "internal", "server", "timeout", "api_?error"),
    ),
    (
        InvalidRequestError,
        _any(
            "invalid", "bad_?request", "validation", "unprocessable", "not_?found", "precondition"
        ),
    ),
)

# Sentences, each with the HTTP statuses of errors under which it is believed.
SENTENCES = (
    (
        ContextLengthExceededError,
        (400, 413, 422, 500),
        _any(
            r"maximum (context|model|sequence) (length|size)|maximum (prompt|input) (length|token)",
            r"\b(prompt|input|context|conversation) (is |was )?too long",
            r"exceed\w*[^.]{0,60}(context|token limit|maximum (number of|input|prompt) tokens)",
            r"exceed\w*[^.]{0,30}max\w* (allowed )?(input|prompt|sequence) length",
            r"\b((input|prompt|total|requested) token|token count|context)[^.]{0,60}exceed",
            r"\b(prompt|input) exceeds? (the )?(max|limit)|too long to fit",
            r"(longer|greater|larger) than [^.]{0,30}(context|model) (length|window|size)",
            r"longer than the (maximum )?(model|context)",
            r"reduce (the length of )?(the|your) (messages|prompt|input)",
            r"max_new_tokens`? must be <=|must have less than \d+ tokens|max size: [\d,]+ tokens",
            r"(configured context size|context length) (is|of) (only )?\d",
            r"range of input length should be|is too large to process|too many (input )?tokens",
        ),
    ),
    (
        AuthenticationError,
        (400, 401, 403, 422),
        _any(
            r"\b(incorrect|invalid|wrong|missing|expired|malformed|leaked|revoked)\b[^.]{0,30}"
            r"\b(api|access|auth\w*|secret)[ _-]?(key|token)\b",
            r"\b(api|access|secret)[ _-]?(key|token)\b[^.]{0,60}\b(not valid|invalid|incorrect|expired"
            r"|leaked|revoked|not found|missing|not provided|disabled|deactivated|deleted)\b",
            r"invalid (bearer|credential)|authentication (failed|error)|login fail",
            r"^unauthori[sz]ed\W*$",
        ),
    ),
    (
        ContentBlockedError,
        range(400, 500),
        _any(
            r"content (filter|management policy|exists risk|moderation)|requires moderation",
            r"(was|been|were) flagged|flagged (as|for)|safety system|responsible ai|new_sensitive",
            r"inappropriate content|sensitive (content|words)|considered high risk",
            r"content violat|violat\w*[^.]{0,40}\b(usage|content|safety) (polic|guideline)",
        ),
    ),
    (
        QuotaExceededError,
        range(400, 500),
        _any(
            r"insufficient[ _](account )?(balance|credit|fund|quota)|balance is (too low|insufficient)",
            r"(out of|not enough|no|any|more|all available|exceeded your[^.]{0,30}) credits|credit limit",
            r"usage limits?\b|spending limit|spend limit|budget has been exceeded|account[^.]{0,20}arrears",
            r"payment required|recharge|top up your|purchase (more )?credits|余额不足",
        ),
    ),
    (
        ModelNotFoundError,
        (400, 404),
        _any(
            r"\bmodel\b.{0,120}?\b(not found|does ?n[o']t exist|does not exist|not exist)\b",
            r"not a valid model|\b(no such|unknown|invalid) model\b|no endpoints found for",
            r"^model: \S+$",
        ),
    ),
    (
        PermissionDeniedError,
        (400, 403),
        _any(
            r"\b(location|country|region|territory)\b[^.]{0,40}\b(not|un)[ -]?(supported|available|allowed)",
            r"\bnot (available|supported|allowed|accessible)\b[^.]{0,30}\b(country|region|location|plan|tier)",
            r"\benable billing|billing (to be|is not|not|must be) |requires billing",
            r"\b(plan|tier|subscription)\b[^.]{0,30}\bnot (include|support|allow)",
        ),
    ),
)
BROAD_SENTENCES = (
    (ServiceUnavailableError, _any("overload", "try again", "temporar", "timed? ?out", "internal")),
    (
        InvalidRequestError,
        _any(r"\b(invalid|malformed|unsupported|unrecognized|required|not supported|must)\b"),
    ),
)
FULL_CODE = _any("capacity", "overload")
FULL = _any("capacity", "overload", "busy", "try again", "temporar")

# A limit of requests or tokens in a while.
IN_A_WHILE = _any(
    r"rate.?limit|\bper.(second|min|minute|hour|day)\b|\b[TR]P[MD]\b|throttl|too many requests"
)
A_DAY = _any(r"\bper.day\b|\bdaily\b|\b[TR]PD\b|PerDay")
TOO_LARGE = _any(r"request (is )?too large")

# Figures stand in no field, so they are read where they can be; nothing depends on them.
FIGURES = tuple(
    re.compile(re.sub("<([a-z]+)>", r"(?P<\1>\\d[\\d,]{0,14})", pattern), re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"<actual>(?: \+ <more>)?(?: tokens)? > <limit>",
        r"must be <= <limit>\. given: <actual>(?:[^\d]{0,30} and <more>)?",
        r"limit:? <limit>, (?:used:? <used>, )?requested:? <actual>",
        r"(?:context|prompt) length (?:of \S+ )?(?:is|of) <limit>\b(?:.*?\b<actual> (?:input )?tokens)?",
        r"token count(?: of)?(?: \(?<actual>\)?)? exceeds the limit of <limit>",
        r"token count(?: \(?<actual>\)?)? exceeds the maximum number .*? allowed(?: \(?<limit>\)?)?",
        r"<actual> (?:input )?tokens\b.{0,80}?\b(?:context (?:size|length|window)|limit)\D{0,20}<limit>",
        r"contains <actual> tokens.{0,60}? with <limit> maximum",
        r"too long: <actual>, \D{0,60}<limit>",
        r"length is <actual> while limit is <limit>",
        r"token limit: <limit>(?: \(requested: <actual>\))?",
        r"max input tokens: <limit>, request input token count: <actual>",
        r"length \(?<actual>\)? (?:exceeds|is longer|is too long).{0,60}?<limit>",
        r"less than <limit> tokens\. given: <actual>",
        r"number of tokens \(<actual>\) exceeded [^\d]{0,40}<limit>",
        r"limit of <limit> tokens(?:.*?\b<actual> tokens)?",
        r"(?:max size:|context length (?:is|of) only|should be \[\d+,) <limit>",
    )
)
