"""Media as messages name them: by a path, by an address, or in a block of one of the vendors' APIs."""

import re
from base64 import b64decode
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

from bruno_llm_base.parts import Json, Media, part_from_json

# Of any scheme: one that is not known is not a path either. A drive of Windows has one letter.
_ADDRESS = re.compile(r"data:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_OF_AN_ADDRESS = ("url", "image_url", "file_url")
_OF_CONTENT = ("data", "file_data")
_INNER = ("image_url", "input_audio", "file", "source")
_BLOCKS = ("image_url", "input_audio", "file", "input_image", "input_file", "image", "document")


def media_of(given: object, *, is_trusted: bool = False) -> Media:
    """Return the media that *given* names: a path or an address, a vendor's block, or `Media`.

    Args:
        given: What an attachment, a message's metadata or its content holds.
        is_trusted: Whether the program says so, and not a message.

    Raises:
        ValueError: It makes no sense; the text says why, and quotes no content.
        TypeError: Its fields are of other types than they should be.
    """
    if isinstance(given, Media):
        return given
    if isinstance(given, Mapping):
        media = _in_block(given)
    elif isinstance(given, str | PathLike):
        path: Any = fspath(given)
        media = Media(url=path) if _ADDRESS.match(str(path)) else Media(path)
    else:
        raise TypeError(f"it is a {type(given).__name__}: give a path, an address or Media")
    media.is_trusted = is_trusted
    return media


def _in_block(block: Mapping[str, Any]) -> Media:
    """Return the media in a block of OpenAI's two APIs, of Anthropic's, or of `part_to_json`."""
    kind = block.get("type")
    if kind == "media":
        media = part_from_json(block)
        assert isinstance(media, Media)  # noqa: S101 - as its type says
        return media
    if kind not in _BLOCKS:
        raise ValueError(
            f"a block of type {kind!r:.40} is not known: give"
            ' {"type": "text", "text": "..."}, {"type": "image_url", ...} or Media(...)'
        )
    inner = [block[name] for name in _INNER if isinstance(block.get(name), Mapping)]
    fields = {**block, **inner[0]} if inner else block
    sound = fields.get("format")
    described: Json = {
        "type": fields.get("media_type") or (f"audio/{sound}" if sound else None),
        "detail": fields.get("detail"),
        "name": fields.get("filename") or fields.get("title"),
    }
    address, content = _first(fields, _OF_AN_ADDRESS), _first(fields, _OF_CONTENT)
    if address is not None:
        media = media_of(address)
        given: Json = {"path": media.path, "url": media.url, "data": media.data}
        described["type"] = described["type"] or media.type
        return Media(**given, **described)
    if content is None:
        return Media(id=fields.get("file_id"), **described)
    if content.startswith("data:"):
        return Media(url=content, **described)
    if fields.get("type") == "text":
        return Media(data=content.encode(), **described)
    try:
        data = b64decode(content, validate=True)
    except ValueError:
        raise ValueError(f"the content of a block of type {kind!r} is not base64") from None
    return Media(data=data, **described)


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((fields[name] for name in names if isinstance(fields.get(name), str)), None)
