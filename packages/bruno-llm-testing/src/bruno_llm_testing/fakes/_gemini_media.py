"""Media in generateContent: what it refuses of them, and what they take.

See https://ai.google.dev/gemini-api/docs/file-input-methods and /media-resolution; the sentences are those
that the API has been seen to say, but for the one on results of tools.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator

from bruno_llm_base import Json, Media

_PICTURES = {
    "image/png": b"\x89PNG",
    "image/jpeg": b"\xff\xd8\xff",
    "image/webp": b"RIFF",
    "image/heic": b"",
    "image/heif": b"",
}
_KINDS = ("image/", "audio/", "video/", "text/", "application/pdf")
_UNREADABLE = (
    "Unable to process input image. Please retry or report in"
    " https://developers.generativeai.google/guide/troubleshooting"
)
_FILE = re.compile(r"https?://\S+|gs://\S+/\S+")
_OF_3 = re.compile(r"gemini-(?:[3-9]|\d\d)")
_LEVELS = {"LOW": 280, "MEDIUM": 560, "HIGH": 1120, "ULTRA_HIGH": 2240}
_PAGE, _SECOND, _BYTES_OF_A_SECOND = 560, 32, 16_000


def complaint(body: Json, model: str) -> str | None:
    """Return what the API would say about media in *body* that are not as they should be."""
    for path, part in _media(body):
        if ".function_response" in path and not _OF_3.match(model):
            return "Function response parts are not supported by this model."
        if said := _complaint(part, path):
            return said
    return None


def _complaint(part: Json, path: str) -> str | None:  # noqa: PLR0911 - a check after the other
    level = part.get("mediaResolution", {}).get("level")
    if level is not None and str(level).removeprefix("MEDIA_RESOLUTION_") not in _LEVELS:
        return (
            f"Invalid value at '{path}.media_resolution.level' (type.googleapis.com/...), {level!r}"
        )
    if file := part.get("fileData"):
        address = str(file.get("fileUri"))
        if not _FILE.fullmatch(address):
            return f"Invalid or unsupported file uri: {address}"
        if ".invalid/" in address:
            return "Cannot fetch content from the provided URL."
        return None
    blob = part["inlineData"]
    said = blob.get("mimeType") or blob.get("mime_type")  # google-genai's own spelling
    kind = str(said).partition(";")[0]
    family = kind.partition("/")[0]
    if not kind.startswith(_KINDS) or (family == "image" and kind not in _PICTURES):
        return f"Unsupported MIME type: {kind}"
    try:
        content = b64decode(blob["data"], validate=True)
    except (KeyError, ValueError):
        return f"Invalid value at '{path}.inline_data.data' (TYPE_BYTES), Base64 decoding failed"
    if not content.startswith(_PICTURES.get(kind, b"")):
        return _UNREADABLE
    is_broken = kind == "application/pdf" and not content.startswith(b"%PDF")
    return "The document has no pages." if is_broken else None


def _media(body: Json) -> Iterator[tuple[str, Json]]:
    """Yield each part of *body* that holds media, and where it stands."""
    for place, content in enumerate(body["contents"]):
        for number, part in enumerate(content.get("parts") or ()):
            path = f"contents[{place}].parts[{number}]"
            result = part.get("functionResponse", {})
            yield from (
                (f"{path}.function_response.parts[{n}]", inner)
                for n, inner in enumerate(result.get("parts", ()))
            )
            if part.keys() & {"inlineData", "fileData"}:
                yield path, part


def media_tokens(part: Json) -> int | None:
    """Return what a part takes that holds media; None for anything else."""
    if not part.keys() & {"inlineData", "fileData"}:
        return None
    blob = part.get("inlineData", {})
    kind = str((blob or part["fileData"]).get("mimeType", "image/"))
    size = len(blob.get("data", "")) * 3 // 4
    if kind.startswith("image/"):
        level = part.get("mediaResolution", {}).get("level", "HIGH")
        return _LEVELS[level.removeprefix("MEDIA_RESOLUTION_")]
    if kind == "application/pdf":
        return _PAGE * max(1, b64decode(blob.get("data", "")).count(b"/Type /Page\n"))
    return size // 4 if kind.startswith("text/") else _SECOND * (1 + size // _BYTES_OF_A_SECOND)


def made(media: Media, pieces: int = 1) -> list[Json]:
    """Return what a model has made as parts; bare waves in so many *pieces*."""
    data = media.data or b""
    size = -(-len(data) // pieces) if str(media.type).startswith("audio/L16") else len(data)
    return [
        {"inlineData": {"mimeType": media.type, "data": b64encode(data[at : at + size]).decode()}}
        for at in range(0, len(data), size)
    ]
