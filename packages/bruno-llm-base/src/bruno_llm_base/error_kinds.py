"""Which error of ours stands for what a server says: by its status, its codes and its sentences.

Gateways, clouds and servers of one's own pass on what others have said, so one table serves all APIs.
Its patterns are compiled when the first error is read, which most programs never do.
"""

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContentBlockedError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)

_BY_STATUS: dict[int, type[LLMError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    420: RateLimitError,
    429: RateLimitError,
    # Groq: no capacity (498); the server gave the request up, as Ollama does when it stops (499)
    **dict.fromkeys((408, 409, 425, 449, 498, 499), ServiceUnavailableError),
}
_REDIRECT, _ERROR, _TOO_LARGE, _TOO_MANY, _SERVER_ERROR = 300, 400, 413, 429, 500
# What standards know as faults of the request; a server may mean anything by others.
_USUAL = frozenset({*range(_ERROR, 418), 421, 422, 426, 428, 429, 431, 451})


class _Words(NamedTuple):
    """The patterns of what stands for a kind of error."""

    kind: type[LLMError]
    statuses: Collection[int]
    """Under which sentences are believed, beside success; a kind without any counts there alone."""
    codes: str
    sentences: str


_WORDS = (
    _Words(
        ContextLengthExceededError,
        (400, 413, 422, 500),
        r"context_?(length|window|size)|max_prompt_tokens|tokens_limit_reached",
        r"maximum (context|model|sequence) (length|size)|maximum (prompt|input) (length|token)"
        r"|\b(prompt|input|context|conversation) (is |was )?too long"
        r"|exceed\w*[^.]{0,60}(context|token limit|maximum (number of|input|prompt) tokens)"
        r"|exceed\w*[^.]{0,30}max\w* (allowed )?(input|prompt|sequence) length"
        r"|\b((input|prompt|total|requested) token|token count|context)[^.]{0,60}exceed"
        r"|\b(prompt|input) exceeds? (the )?(max|limit)|too long to fit"
        r"|(longer|greater|larger) than [^.]{0,30}(context|model) (length|window|size)"
        r"|longer than the (maximum )?(model|context)"
        r"|reduce (the length of )?(the|your) (messages|prompt|input)"
        r"|max_new_tokens`? must be <=|must have less than \d+ tokens|max size: [\d,]+ tokens"
        r"|(configured context size|context length) (is|of) (only )?\d"
        r"|range of input length should be|is too large to process|too many (input )?tokens",
    ),
    _Words(
        AuthenticationError,
        (400, 401, 403, 422),
        r"(invalid|incorrect|missing|expired|wrong)_?api_?key|api_?key_?(invalid|expired|missing)"
        r"|authentication|unauthenticated|unauthori[sz]ed|consumer_suspended",
        r"\b(incorrect|invalid|wrong|missing|expired|malformed|leaked|revoked)\b[^.]{0,30}"
        r"\b(api|access|auth\w*|secret)[ _-]?(key|token)\b"
        r"|\b(api|access|secret)[ _-]?(key|token)\b[^.]{0,60}\b(not valid|invalid|incorrect|expired"
        r"|leaked|revoked|not found|missing|not provided|disabled|deactivated|deleted)\b"
        r"|invalid (bearer|credential)|authentication (failed|error)|login fail"
        r"|^unauthori[sz]ed\W*$",
    ),
    _Words(
        ContentBlockedError,
        range(400, 500),
        r"content_?(filter|policy)|data_?inspection|moderation|responsible_?ai",
        r"content (filter|management policy|exists risk|moderation)|requires moderation"
        r"|(was|been|were) flagged|flagged (as|for)|safety system|responsible ai|new_sensitive"
        r"|inappropriate content|sensitive (content|words)|considered high risk"
        r"|content violat|violat\w*[^.]{0,40}\b(usage|content|safety) (polic|guideline)",
    ),
    _Words(
        QuotaExceededError,
        range(400, 500),
        r"insufficient_?(quota|balance|credit|fund)|arrear|spend_?limit|budget_?exceeded"
        r"|billing_?(error|hard|limit|not_?active)|payment_?required|current_?quota|credit_?balance",
        r"insufficient[ _](account )?(balance|credit|fund|quota)|balance is (too low|insufficient)"
        r"|(out of|not enough|no|any|more|all available|exceeded your[^.]{0,30}) credits|credit limit"
        r"|usage limits?\b|spending limit|spend limit|budget has been exceeded|account[^.]{0,20}arrears"
        r"|payment required|recharge|top up your|purchase (more )?credits|余额不足",
    ),
    _Words(
        MediaTooLargeError,
        (400, 413, 422),
        r"(image|file|media|pdf|video|audio)_(dimensions_|file_)?too_large",
        r"\b(image|pdf|document|audio|video)s? (file )?(exceeds? [\d.,]+ ?[kmg]i?b|(is|are) too large)"
        r"|image dimensions exceed|pdf pages may be provided|patches after processing"
        r"|request payload size exceeds",
    ),
    _Words(
        MediaTypeError,
        (400, 404, 415, 422, 500),
        r"(invalid|unsupported)_(image|media|audio|pdf|document)|image_parse_error",
        r"\b(image|audio|video|vision|pdf|document|multimodal)\b[^.]{0,20}\b(not|un)[ -]?supported"
        r"|(not|n't) support (image|vision|audio|video|pdf|document|multimodal)"
        r"|support image input|missing data required for image|media[_ ]type\b[^.]{0,30}\b(input should"
        r"|image)|(could not process|failed to load|invalid|unsupported) (image|pdf|audio|document)"
        r"|unable to process input|unsupported mime type|mime type must be|document has no pages"
        r"|image format \S+ not|image: unknown format|the pdf specified"
        r"|only supports one image"
        r"|(image_url|input_audio|file) is only supported by certain models"
        r"|(unknown variant|invalid value:) \W?(image_url|input_audio|video_url|audio_url|file)\b"
        r"|variant of untagged enum \w*content|content\W? ?:? ?(value )?must be a string"
        r"|not a multimodal model|at most 0 (image|audio|video)",
    ),
    _Words(
        MediaUnavailableError,
        (400, 403, 404, 422),
        r"file_expired|failed_to_download|image_url_unreachable",
        r"(unable to|failed to|could not|while|cannot) (download|fetch)|only https urls"
        r"|robots\.txt|unable to connect to the (url|server|host)|file not found: file"
        r"|unsupported file uri|permission to access the file\b",
    ),
    _Words(
        ModelNotFoundError,
        (400, 404),
        r"model_?not_?(found|exist|available)|\b(unknown|invalid)_?model\b",
        r"\bmodel\b.{0,120}?\b(not found|does ?n[o']t exist|does not exist|not exist)\b"
        r"|not a valid model|\b(no such|unknown|invalid) model\b|no endpoints found for|not found the model|^model: \S+$"
        r"|model identifier is invalid|on-demand throughput isn",
    ),
    _Words(
        PermissionDeniedError,
        (400, 403),
        r"permission|(?<!extra_)forbidden|access_?denied|unsupported_country",  # not of a field
        r"\b(location|country|region|territory)\b[^.]{0,40}\b(not|un)[ -]?(supported|available|allowed)"
        r"|\bnot (available|supported|allowed|accessible)\b[^.]{0,30}\b(country|region|location|plan|tier)"
        r"|\benable billing|billing (to be|is not|not|must be) |requires billing"
        r"|\b(plan|tier|subscription)\b[^.]{0,30}\bnot (include|support|allow)",
    ),
    _Words(RateLimitError, (), "rate_?limit|throttl|too_?many_?requests|exhausted", r"(?!)"),
    _Words(
        ServiceUnavailableError,
        (),
        "overload|unavailable|capacity|internal|server|timeout|api_?error",
        "overload|try again|temporar|timed? ?out|internal",
    ),
    _Words(
        InvalidRequestError,
        (),
        "invalid|bad_?request|validation|unprocessable|not_?found|precondition",
        r"\b(invalid|malformed|unsupported|unrecognized|required|not supported|must)\b"
        r"|^unexpected endpoint",  # LM Studio's 404, with the status 200
    ),
)

A_DAY = r"\bper.day\b|\bdaily\b|\b[TR]PD\b|PerDay"
REQUEST_TOO_LARGE = r"request (is )?too large"
_IN_A_WHILE = (  # a limit of requests or tokens
    r"rate.?limit|\bper.(second|min|minute|hour|day)\b|\b[TR]P[MD]\b|throttl|too many requests"
)
_FULL_CODES, _FULL = "capacity|overload", "capacity|overload|busy|try again|temporar"

# Figures stand in no field, so they are read where they can be; nothing depends on them.
_FIGURES = (
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


def has(pattern: str, text: str) -> bool:
    """Whether *pattern* stands in *text*, in any case."""
    return re.search(pattern, text, re.IGNORECASE) is not None


def kind_by_status(status: int) -> type[LLMError]:
    """Return what an HTTP *status* alone stands for."""
    if _REDIRECT <= status < _ERROR:  # it was not followed
        return InvalidResponseError
    is_clients = _ERROR <= status < _SERVER_ERROR
    return _BY_STATUS.get(status, InvalidRequestError if is_clients else ServiceUnavailableError)


def kind_of(
    status: int, codes: list[str], message: str, own: Mapping[str, type[LLMError]]
) -> type[LLMError] | None:
    """Return the kind that *codes*, the vendor's *own* first, and *message* stand for.

    None leaves it to the *status*: HTTP's, or the one that the document names.
    """
    all_codes = " ".join(codes)
    is_rate = has(_IN_A_WHILE, message)
    found = [own[code] for code in codes if code in own]
    for kind, statuses, patterns, _ in _WORDS:
        # some servers call it an error of theirs that a text is too long
        is_believed = status < _SERVER_ERROR or kind is ContextLengthExceededError
        if (status < _ERROR or (statuses and is_believed)) and has(patterns, all_codes):
            found.append(kind)
    for kind, statuses, _, patterns in _WORDS:
        is_other = is_rate and kind is ContextLengthExceededError
        if not is_other and (status < _ERROR or status in statuses) and has(patterns, message):
            found.append(kind)
    if found:
        return min(found, key=_breadth)
    if status == _TOO_LARGE and is_rate:
        return RateLimitError
    if _ERROR <= status < _SERVER_ERROR and status != _TOO_MANY:
        is_full = has(_FULL_CODES, all_codes) or (status not in _USUAL and has(_FULL, message))
        return ServiceUnavailableError if is_full else None
    return None


def _breadth(kind: type[LLMError]) -> int:
    """Return how much *kind* leaves open: of all that an error is called, the most special counts."""
    broad = (InvalidRequestError, RateLimitError, ServiceUnavailableError)
    return 2 if kind in broad else int(kind is PermissionDeniedError)


def figures_in(message: str) -> tuple[int | None, int | None]:
    """Return the limit of tokens that *message* names, and what was sent."""
    for figures in _FIGURES:
        pattern = re.sub("<([a-z]+)>", r"(?P<\1>\\d[\\d,]{0,14})", figures)
        if found := re.search(pattern, message, re.IGNORECASE | re.DOTALL):
            told = {name: int(n.replace(",", "")) for name, n in found.groupdict().items() if n}
            sent = told.get("actual")
            return told.get("limit"), None if sent is None else sent + told.get("more", 0)
    return None, None
