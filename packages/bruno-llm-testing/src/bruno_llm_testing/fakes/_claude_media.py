"""Pictures and documents in Anthropic's Messages API: what it refuses of them, and what they take.

See https://platform.claude.com/docs/en/build-with-claude/vision and /pdf-support; the sentences are those
that the API has been seen to say.
"""

import math
import struct
from base64 import b64decode
from collections.abc import Iterator

from bruno_llm_base import Json

_SIGNATURES = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}
_KNOWN = "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
_SOURCES = {
    "image": ("base64", "url", "file"),
    "document": ("base64", "text", "content", "url", "file"),
}
_FIELDS = {
    "base64": "data",
    "text": "data",
    "file": "file_id",
    "url": "url",
    "content": "content",
}
_MOST_BYTES, _MOST_PIXELS, _FEWER_PIXELS, _MANY = 10 * 1024 * 1024, 8000, 2000, 20
_PATCH, _MOST_EDGE, _MOST_TOKENS, _PAGE = 28, 2576, 4784, 2_500


def media_complaints(messages: list[Json]) -> Iterator[str]:
    """Yield what the API would say about pictures and documents that are not as they should be."""
    for path, block in _media(messages):
        kind, source = block["type"], block.get("source")
        if not isinstance(source, dict) or source.get("type") not in _SOURCES[kind]:
            yield f"{path}.{kind}.source: Field required"
            return
        where = f"{path}.{kind}.source.{source['type']}"
        field = _FIELDS[source["type"]]
        if not source.get(field):
            yield f"{where}.{field}: Field required"
        elif source["type"] == "base64":
            yield from _content_complaints(kind, source, where)
        elif source["type"] == "url" and not source["url"].startswith("https://"):
            yield "Only HTTPS URLs are supported."
        elif source["type"] == "text" and source.get("media_type") != "text/plain":
            yield f"{where}.media_type: Input should be 'text/plain'"
    if details := dimension_details(messages):
        most = details["max_side_length_pixels"]
        many = " for many-image requests" if most < _MOST_PIXELS else ""
        yield (
            f"{details['paths'][0]}.image.source.base64.data: At least one of the image dimensions"
            f" exceed max allowed size{many}: {most} pixels"
        )


def _content_complaints(kind: str, source: Json, where: str) -> Iterator[str]:
    named, data = source.get("media_type"), source["data"]
    try:
        content = b64decode(data, validate=True)
    except ValueError:
        yield f"{where}.data: Invalid base64 data"
        return
    if kind == "document":
        if named != "application/pdf":
            yield f"{where}.media_type: Input should be 'application/pdf'"
        if not content.startswith(b"%PDF"):
            yield f"{where}.data: The PDF specified was not valid."
        return
    found = next((kind for sign, kind in _SIGNATURES.items() if content.startswith(sign)), None)
    if named not in _SIGNATURES.values():
        yield f"{where}.media_type: Input should be {_KNOWN}"
    elif len(data) > _MOST_BYTES:
        yield f"{where}: image exceeds 10 MB maximum: {len(data)} bytes > {_MOST_BYTES} bytes"
    elif found is None:
        yield f"{where}.data: Could not process image"
    elif found != named:
        yield (
            f"{where}: The image was specified using the {named} media type, but the image appears"
            f" to be a {found} image"
        )


def dimension_details(messages: list[Json]) -> Json | None:
    """Return the details of the error that pictures are too wide or too high, where they are."""
    images = [(path, block) for path, block in _media(messages) if block["type"] == "image"]
    most = _MOST_PIXELS if len(images) <= _MANY else _FEWER_PIXELS
    paths = [path for path, block in images if max(_pixels(block["source"])) > most]
    if not paths:
        return None
    return {
        "error_code": "image_dimensions_too_large",
        "max_side_length_pixels": most,
        "paths": paths,
    }


def media_tokens(block: Json) -> int | None:
    """Return what a picture or a document takes; None for anything else."""
    if block.get("type") not in _SOURCES or not isinstance(source := block.get("source"), dict):
        return None
    if block["type"] == "image":
        width, height = _pixels(source)
        shrunk = min(1, _MOST_EDGE / max(width, height))
        patches = [math.ceil(side * shrunk / _PATCH) for side in (width, height)]
        return min(patches[0] * patches[1], _MOST_TOKENS)
    if source["type"] != "base64":
        return -(-len(source.get("data", "")) // 4) if source["type"] == "text" else _PAGE
    pages = b64decode(source["data"]).replace(b"/Type /Pages", b"").count(b"/Type /Page")
    return _PAGE * max(pages, 1)


_PNG_HEADER = 24  # bytes, up to its height


def _pixels(source: Json) -> tuple[int, int]:
    """Return the size of a PNG; pictures of other kinds, and from elsewhere, are of one size."""
    content = b64decode(source["data"][:32]) if source["type"] == "base64" else b""
    if not content.startswith(b"\x89PNG") or len(content) < _PNG_HEADER:
        return 1000, 1000
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _media(messages: list[Json]) -> Iterator[tuple[str, Json]]:
    """Yield the pictures and documents in *messages* and in results of tools, and where they are."""
    for place, message in enumerate(messages):
        if isinstance(message["content"], list):
            yield from _media_in(f"messages.{place}.content", message["content"])


def _media_in(path: str, blocks: list[Json]) -> Iterator[tuple[str, Json]]:
    for place, block in enumerate(blocks):
        if block["type"] in _SOURCES:
            yield f"{path}.{place}", block
        elif block["type"] == "tool_result" and isinstance(block.get("content"), list):
            yield from _media_in(f"{path}.{place}.content", block["content"])
