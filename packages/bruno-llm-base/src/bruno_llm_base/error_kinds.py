"""What kind of error a document tells of, and its figures.

Each vendor has codes of its own, which come first. What stands here is common to many: gateways,
clouds and servers of one's own pass on what others have said, whatever the API.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bruno_llm_base.error_documents import error_fields, object_in
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.failures import ErrorFacts, kind_of
from bruno_llm_base.types import Json

__all__ = ["read_error_document"]

_LONGEST_READ = 2_000
_ERROR, _TOO_LARGE_STATUS, _TOO_MANY, _SERVER_ERROR = 400, 413, 429, 500

# More special words outrank these, wherever they stand.
_BROAD = (InvalidRequestError, PermissionDeniedError, RateLimitError, ServiceUnavailableError)


def _any(*patterns: str) -> Callable[[str], object]:
    return re.compile("|".join(patterns), re.IGNORECASE).search


# Codes and types, in the order in which they are looked for.
_CODES = (
    (
        ContextLengthExceededError,
        _any("context_?(length|window|size)", "max_prompt_tokens", "tokens_limit_reached"),
    ),
    (AuthenticationError, _any("api_?key", "authentication", "unauthenticated", "unauthori[sz]ed")),
    (
        ContentBlockedError,
        _any("content_?(filter|policy)", "data_?inspection", "moderation", "responsible_?ai"),
    ),
    (
        QuotaExceededError,
        _any(
            *("insufficient_?(quota|balance|credit|fund)", "billing", "arrear", "spend_?limit"),
            *("budget_?exceeded", "payment_?required", "current_?quota", "credit_?balance"),
        ),
    ),
    (
        ModelNotFoundError,
        _any("model_?not_?(found|exist|available)", r"\b(unknown|invalid)_?model\b"),
    ),
    (PermissionDeniedError, _any("permission", "forbidden", "access_?denied", "unsupported_country")),
)

# Codes that say no more than an HTTP status does: they count where there is none.
_BROAD_CODES = (
    (RateLimitError, _any("rate_?limit", "throttl", "too_?many_?requests", "exhausted")),
    (
        ServiceUnavailableError,
        _any("overload", "unavailable", "capacity", "internal", "server", "timeout", "api_?error"),
    ),
    (
        InvalidRequestError,
        _any("invalid", "bad_?request", "validation", "unprocessable", "not_?found", "precondition"),
    ),
)

# Sentences, each with the HTTP statuses of errors under which it is believed.
_SENTENCES = (
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
            r"violat\w*[^.]{0,40}(policy|policies|guidelines|terms)",
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
_BROAD_SENTENCES = (
    (ServiceUnavailableError, _any("overload", "try again", "temporar", "timed? ?out", "internal")),
    (
        InvalidRequestError,
        _any(r"\b(invalid|malformed|unsupported|unrecognized|required|not supported|must)\b"),
    ),
)
# Standards know these as faults of the request.
_USUAL = frozenset({*range(400, 418), 421, 422, 426, 428, 429, 431, 451})
_FULL_CODE = _any("capacity", "overload")
_FULL = _any("capacity", "overload", "busy", "try again", "temporar")

# A limit of requests or tokens in a while.
_IN_A_WHILE = _any(
    r"rate.?limit|\bper.(second|min|minute|hour|day)\b|\b[TR]P[MD]\b|throttl|too many requests"
)
_A_DAY = _any(r"\bper.day\b|\bdaily\b|\b[TR]PD\b|PerDay")
_TOO_LARGE = _any(r"request (is )?too large")

# Figures stand in no field, so they are read where they can be; nothing depends on them.
_FIGURES = tuple(
    re.compile(
        re.sub("<([a-z]+)>", r"(?P<\1>\\d[\\d,]{0,14})", pattern), re.IGNORECASE | re.DOTALL
    )
    for pattern in (
        r"<actual>(?: \+ <more>)?(?: tokens)? > <limit>",
        r"must be <= <limit>\. given: <actual>(?:[^\d]{0,30} and <more>)?",
        r"limit:? <limit>, (?:used:? <used>, )?requested:? <actual>",
        r"maximum (?:context|prompt) length (?:of \S+ )?(?:is|of) <limit>\b"
        r"(?:.*?\b<actual> (?:input )?tokens)?",
        r"token count(?: of)?(?: \(?<actual>\)?)? exceeds the (?:limit of|maximum number of tokens"
        r" allowed)(?: \(?<limit>\)?)?",
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
        r"(?:max size:|context length (?:is|of)(?: only)?|should be \[\d+,) <limit>",
    )
)


def read_error_document(
    status: int, data: object, kinds: Mapping[str, type[LLMError]] | None = None
) -> ErrorFacts:
    """Read an error in whatever spelling.

    Args:
        status: The HTTP status.
        data: What the server has said: any JSON, or a text.
        kinds: What the vendor's own codes, types and reasons stand for.
    """
    fields = error_fields(data)
    details = [row for row in _list(fields.get("details")) if isinstance(row, dict)]
    codes = _codes(fields, details)
    message: str = fields["message"][:_LONGEST_READ]
    inner = fields.get("http_status")
    status = status if status >= _ERROR else inner or status
    kind = _kind(status, codes, message, kinds or {})
    code = next(iter(codes), None)
    facts = ErrorFacts(
        kind=kind,
        message=fields["message"],
        code=code,
        param=fields.get("param") or next(_inner_values(details, "fieldViolations", "field"), None),
        reason=fields.get("reason") or code if kind is ContentBlockedError else None,
        limit=fields.get("n_ctx"),
        actual=fields.get("n_prompt_tokens"),
        retry_after=next(filter(None, map(_seconds, _values(details, "retryDelay"))), None),
        request_id=fields.get("request_id") or fields.get("requestId"),
        status=inner,
    )
    if (kind or kind_of(status)) is RateLimitError:
        return _of_a_while(facts, message, _inner_values(details, "violations", "quotaId"))
    if kind is ContextLengthExceededError and facts.limit is None:
        limit, actual = _figures(message)
        return replace(facts, limit=limit, actual=actual)
    return facts


def _of_a_while(facts: ErrorFacts, message: str, quotas: Iterator[str]) -> ErrorFacts:
    """Return *facts* of a limit of requests or tokens in a while, and what it says of that."""
    if _A_DAY(message) or any(map(_A_DAY, quotas)):
        return replace(facts, kind=QuotaExceededError)
    limit, actual = _figures(message) if "token" in message.lower() else (None, None)
    hopeless = limit is not None and actual is not None and actual > limit
    if hopeless or _TOO_LARGE(message):  # it would not fit into any while
        facts = replace(facts, retryable=False)
    return replace(facts, limit=limit, actual=actual)


def _kind(
    status: int, codes: list[str], message: str, kinds: Mapping[str, type[LLMError]]
) -> type[LLMError] | None:
    """Return the kind that the vendor's codes, or all that is said, stand for, if any."""
    found = [kinds[code] for code in codes if code in kinds]
    words = " ".join(codes)
    found += [
        kind
        for kind, matches in _CODES
        # some servers call it an error of theirs that a text is too long
        if (status < _SERVER_ERROR or kind is ContextLengthExceededError) and matches(words)
    ]
    in_a_while = _IN_A_WHILE(message)
    found += [
        kind
        for kind, statuses, matches in _SENTENCES
        if (status < _ERROR or status in statuses)
        and not (in_a_while and kind is ContextLengthExceededError)
        and matches(message)
    ]
    special = [kind for kind in found if kind not in _BROAD]
    if special or found:
        return next(iter([*special, *sorted(found, key=_is_broadest)]))
    return _broad_kind(status, words, message)


def _is_broadest(kind: type[LLMError]) -> bool:
    return kind is not PermissionDeniedError


def _broad_kind(status: int, words: str, message: str) -> type[LLMError] | None:
    """Return the kind of an error of which no more is known than that it is one."""
    if status < _ERROR:
        rules = [(kind, matches(words)) for kind, matches in _BROAD_CODES]
        rules += [(kind, matches(message)) for kind, matches in _BROAD_SENTENCES]
        return next((kind for kind, matched in rules if matched), None)
    if status == _TOO_LARGE_STATUS and _IN_A_WHILE(message):
        return RateLimitError
    full = _FULL_CODE(words) or (status not in _USUAL and _FULL(message))
    if full and status < _SERVER_ERROR and status != _TOO_MANY:
        return ServiceUnavailableError
    return None


def _codes(fields: Json, details: list[Json]) -> list[str]:
    """Return the words for the error: the most special first, and numbers last."""
    code, kind = fields.get("code"), fields.get("type")
    number = str(code).isdecimal()
    words = [
        object_in(fields.get("details")).get("error_code"),  # Anthropic
        None if number else code,
        *_values(details, "reason"),  # Google
        kind,
        fields.get("status"),
        code if number else None,
    ]
    return [str(word) for word in words if word is not None and not isinstance(word, bool)]


# Google's details, each of which names its type (https://google.aip.dev/193).


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _values(rows: list[Any], name: str) -> Iterator[str]:
    return (str(row[name]) for row in rows if isinstance(row, dict) and row.get(name))


def _inner_values(details: list[Json], outer: str, name: str) -> Iterator[str]:
    return _values([row for detail in details for row in _list(detail.get(outer))], name)


def _seconds(delay: str) -> float | None:
    """Read a protobuf duration in JSON, such as "45.837906927s"."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", delay)
    return float(found[1]) if found else None


def _figures(message: str) -> tuple[int | None, int | None]:
    """Return the limit that *message* tells of, and what was sent."""
    for pattern in _FIGURES:
        if found := pattern.search(message):
            told = {name: int(n.replace(",", "")) for name, n in found.groupdict().items() if n}
            sent = told.get("actual")
            return told.get("limit"), None if sent is None else sent + told.get("more", 0)
    return None, None
