"""Pictures and documents in the words of the Messages API.

See https://platform.claude.com/docs/en/build-with-claude/vision, /pdf-support and /citations.
"""

import math
import re
from collections.abc import Iterable

from bruno_llm_base import Json, Media
from bruno_llm_base.file_formats import pages_of

_DETAILS = (
    "downsize",
    "error",
)  # what is done with a picture that is too large to be looked at whole
_LONGEST_TITLE = 500

_PATCH = 28  # pixels of a side of what is one token
# Until version 4.6, and since then: the longest side that is looked at, and the most tokens.
_OLD, _NEW = (1568, 1568), (2576, 4784)
_IS_OLD = re.compile(r"claude-(\d|instant|(opus|sonnet|haiku)-4(-[0-6]\b|-20|@|$))")
# A page is read as its words, 3,000 tokens at most, and as a picture of 1,568. Models with a window of
# 200,000 take 100 pages; what the others take, up to 600, is hardly ever sent by its address.
_PAGE, _UNSEEN_PAGES = 4_600, 100
_BYTES_PER_TOKEN = 2  # of a text, in any language and of any kind


def block(media: Media) -> Json:
    """Return *media*, which have been read, as a block."""
    if media.kind == "image":
        is_told = media.detail in _DETAILS
        told = {"transformations": {"oversized_image": media.detail}} if is_told else {}
        return {"type": "image", "source": _source(media)} | told
    title = media.label if media.url else media.name
    named = {"title": title[:_LONGEST_TITLE]} if title else {}
    return {"type": "document", "source": _source(media)} | named


def _source(media: Media) -> Json:
    if media.id is not None:
        return {"type": "file", "file_id": media.id}
    if media.url is not None:
        return {"type": "url", "url": media.url}
    if media.kind == "image" or media.type == "application/pdf":
        return {"type": "base64", "media_type": media.type, "data": media.encoded}
    return {"type": "text", "media_type": "text/plain", "data": media.text}


def cite(messages: list[Json], citations: object) -> None:
    """Ask for the places in all documents of *messages* on which the answer rests; it is all or none."""
    asked = citations if isinstance(citations, dict) else {"enabled": bool(citations)}
    for message in messages:
        for each in _documents(message["content"]):
            each["citations"] = asked


def _documents(blocks: Iterable[Json]) -> Iterable[Json]:
    for each in blocks:
        if each["type"] == "document":
            yield each
        elif each["type"] == "tool_result" and isinstance(each["content"], list):
            yield from _documents(each["content"])


def tokens(media: Media, model: str) -> int:
    """Return the most tokens that *model* reads *media* as; a guess where they are not here."""
    if media.kind == "image":
        edge, most = _OLD if _IS_OLD.match(model) else _NEW
        if media.pixels is None:
            return most
        shown = min(1.0, edge / max(media.pixels))
        width, height = (math.ceil(side * shown / _PATCH) for side in media.pixels)
        return min(width * height, most)
    if media.data is None:
        return _UNSEEN_PAGES * _PAGE
    if media.type == "application/pdf":
        return pages_of(media.data) * _PAGE
    return -(-media.size // _BYTES_PER_TOKEN)
