"""What a server says of an error, whatever its spelling: one flat object.

Servers agree on `{"error": {"message": ...}}` at most. Gateways, web frameworks and proxies answer with
lists, texts and pages, and with documents inside the texts of other documents.
"""

import json
import re
from contextlib import suppress

from jiter import from_json

from bruno_llm_base.parts import Json, object_in

_DEEPEST, _MOST_ROWS, _LONGEST_TEXT, _LONGEST_DOCUMENT = 8, 5, 20_000, 200
_SENTENCES = (
    *("message", "msg", "error_description", "error_message", "errorMessage", "Message"),
    *("status_msg", "faultstring", "description", "title"),
)
_LISTS = ("errors", "detail")  # by field, where they are objects
_NESTS = ("error", "Error", "fault", *_LISTS, "base_resp", *_SENTENCES)
_CODES = ("code", "error_code", "errorCode", "Code", "__type", "status_code")
_STATUSES = ("status_code", "statusCode", "http_status", "status", *_CODES)
SIGNS_OF_ERRORS = frozenset(("errors", "base_resp", "detail", *_SENTENCES))
"""The fields of which an error has one, but for `error`, and those that say what it is."""
_OBJECTS = ("details", "metadata")  # that are kept as they are
_FINE = frozenset({"", "0", "200", "ok", "success", "succeeded"})
_ALONE = frozenset({"message", "msg", "detail", "request_id", "requestId", "trace_id", "timestamp"})
_WRONG = re.compile(r"error|exception|fail", re.IGNORECASE)

_PAGE = re.compile(r"\s*<[a-z!?]", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<(script|style|svg)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"<[^>]*>?")
_TWICE = re.compile(r"^(.{1,100}) \1(?= |$)")  # a page's title and its first heading


def is_page(said: str) -> bool:
    """Whether *said* is HTML."""
    return _PAGE.match(said) is not None


def plain_text(said: str) -> str:
    """Return *said* on one line; of a page, what people would read of it."""
    text = said[:_LONGEST_TEXT]
    if is_page(text):
        from html import unescape  # for errors only, and it loads a large table

        text = unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text)))
    shown = "".join([c if c.isprintable() and c != "\ufffd" else " " for c in text])
    return _TWICE.sub(r"\1", " ".join(shown.split()))


def error_fields(data: object) -> Json:
    """Return what *data*, any JSON or text, says of an error.

    `message` holds all that it says in words. `code`, `type`, `param`, `http_status` and all other
    fields are there as far as it has them: of several, the one in the innermost object counts.
    """
    said, fields = _read(data, _DEEPEST)
    distinct: list[str] = []
    for text in said:
        if not any(text in other for other in distinct):
            distinct.append(text)
    message = "; ".join(distinct)
    named = any(map(fields.get, ("code", "type", "status")))
    if not message and not named and not _is_blank(data):
        whole = json.dumps(data, ensure_ascii=False, default=str)
        message = whole if len(whole) <= _LONGEST_DOCUMENT else ""
    return fields | {"message": message}


def is_error(data: Json, *, readable: bool) -> bool:
    """Whether *data*, which came with a status of success and holds no answer, is an error.

    Words alone do not make it one where it is *readable* as a part of an answer, which says nothing.
    """
    if data.get("error") or data.get("errors") or "error" in (data.get("object"), data.get("type")):
        return True
    if not _is_fine(object_in(data.get("base_resp")).get("status_code")):
        return True
    words = {name: data[name] for name in ("detail", *_SENTENCES) if name in data}
    if not words:
        return False
    kinds = (data.get(name) for name in ("type", "object", "status", "event"))
    is_likely = (
        not readable
        or data.get("success") is False
        or data.keys() <= _ALONE
        or _status(data) is not None
        or not all(_is_fine(data.get(name)) for name in _CODES)
        or any(isinstance(kind, str) and _WRONG.search(kind) for kind in kinds)
    )
    return is_likely and bool(_read(words, _DEEPEST)[0])


def _is_blank(value: object) -> bool:
    if isinstance(value, dict | list):
        return all(map(_is_blank, value.values() if isinstance(value, dict) else value))
    return value is None or value == ""


def _is_fine(code: object) -> bool:
    return not isinstance(code, str | int) or isinstance(code, bool) or str(code).lower() in _FINE


def _read(value: object, depth: int) -> tuple[list[str], Json]:
    """Return the sentences and the fields in *value*."""
    if isinstance(value, str):
        inner = None
        with suppress(ValueError):
            inner = from_json(value.strip().encode(errors="replace"))
        if depth and isinstance(inner, dict | list):
            return _read(inner, depth - 1)
        text = plain_text(value)
        return [text] if text else [], {}
    said: list[str] = []
    fields: Json = {}
    if isinstance(value, list) and depth:
        for row in value[:_MOST_ROWS]:
            words, found = _read(row, depth - 1)
            said += words
            fields = found | fields
    elif isinstance(value, dict) and depth:
        fields = _own_fields(value)
        # OpenRouter passes on what another vendor has said
        raw = object_in(value.get("metadata")).get("raw")
        for name, inner in (*((n, value.get(n)) for n in _NESTS), ("raw", raw)):
            words, found = _read(inner, depth - 1)
            if not words and name in _LISTS:
                rows = [(n, _read(v, depth - 1)[0]) for n, v in object_in(inner).items()]
                words = [f"{row}: {texts[0]}" for row, texts in rows[:_MOST_ROWS] if texts]
            said += words
            fields |= found
        # Groq passes on what the model has written instead of a call
        said += [f"failed_generation: {t}" for t in _read(value.get("failed_generation"), 0)[0]]
        place = value.get("loc")  # where FastAPI says what field it speaks of
        if isinstance(place, list) and place and said:
            names = [str(name) for name in place]
            fields["param"] = ".".join(names[1:] or names)
            said[0] = f"{'.'.join(names)}: {said[0]}"
    return said, fields


def _own_fields(data: Json) -> Json:
    """Return the plain values of *data*, the code and the status under one name each."""
    plain = {n: v for n, v in data.items() if isinstance(v, str | int | float) or n in _OBJECTS}
    if plain.get("type") == "error":
        del plain["type"]  # it only says that this is one
    plain.pop("http_status", None)  # which may be anything
    word = plain.get("error")
    codes = [*map(plain.get, _CODES), word if isinstance(word, str) and " " not in word else None]
    reasons = object_in(data.get("metadata")).get("reasons")  # of OpenRouter's moderation
    found = {
        "code": next(filter(None, codes), None),
        "http_status": _status(data),
        "reason": reasons[0] if isinstance(reasons, list) and reasons else data.get("reason"),
    }
    return plain | {name: value for name, value in found.items() if value is not None}


def _status(data: Json) -> int | None:
    """Return the HTTP status that *data* names."""
    for value in map(data.get, _STATUSES):
        if isinstance(value, str | int) and re.fullmatch(r"[45]\d\d", str(value)):
            return int(value)
    return None
