"""Pictures, sounds and files in OpenAI's two APIs: what they refuse of them, what they take, what models make.

See https://developers.openai.com/api/docs/guides/images-vision, /file-inputs and /audio; the sentences are
those that the API has been seen to say.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from bruno_llm_base import Json, Media

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_SOUNDS = {"wav": (b"RIFF",), "mp3": (b"ID3", b"\xff")}
_DETAILS = ("auto", "low", "high", "original")
_BLIND = "gpt-3.5"
_PATCH, _MOST_PATCHES = 32, 30_000
_AUDIO_ID, _EXPIRES = "audio_67ccd2bed1ec8190b14f964a", 1795363378
_OF_ROLE = {
    "user": ("text", "image_url", "input_audio", "file", "input_text", "input_image", "input_file"),
    "assistant": ("text", "refusal", "output_text"),
}
_TEXTS = ("text", "input_text")
Complaint = tuple[str | None, str, str]
"""A code, a sentence, and the field."""


def media_complaint(body: Json) -> Complaint | None:
    """Return what either API would say about media that are not as they should be."""
    field = "input" if "input" in body else "messages"
    for place, kinds, piece in _pieces(body.get(field), field):
        if piece.get("type") not in kinds:
            known = ", ".join(f"'{kind}'" for kind in kinds)
            return (
                "invalid_value",
                f"Invalid value: '{piece.get('type')}'. Supported values are: {known}.",
                f"{place}.type",
            )
        match piece["type"]:
            case "image_url":
                wrong = _picture_complaint(body, piece.get("image_url"), place, "url")
            case "input_image":
                wrong = _picture_complaint(body, piece, place, "image_url")
            case "input_audio":
                wrong = _sound_complaint(body, piece.get("input_audio"), place)
            case "file":
                wrong = _file_complaint(piece.get("file"), place, pdf_alone=True)
            case "input_file":
                wrong = _file_complaint(piece, place, pdf_alone=False)
            case _:
                wrong = None
        if wrong:
            return wrong
    return None


def _pieces(asked: Any, field: str) -> Iterator[tuple[str, tuple[str, ...], Json]]:
    """Yield the pieces of content in a request: where they stand, what may stand there, and what does."""
    for number, item in enumerate(asked if isinstance(asked, list) else ()):
        if not isinstance(item, dict):
            continue
        kinds = _OF_ROLE.get(item.get("role", ""), _TEXTS)
        name = "content"
        if str(item.get("type")).endswith("_call_output"):
            kinds, name = _OF_ROLE["user"], "output"
        content = item.get(name)
        for inner, piece in enumerate(content if isinstance(content, list) else ()):
            yield f"{field}[{number}].{name}[{inner}]", kinds, piece


def _picture_complaint(  # noqa: PLR0911 - one for each complaint
    body: Json, picture: Any, place: str, name: str
) -> Complaint | None:
    if str(body.get("model")).startswith(_BLIND):
        said = "Invalid content type. image_url is only supported by certain models."
        return None, said, f"{place}.type"
    if not isinstance(picture, dict) or picture.get("detail", "auto") not in _DETAILS:
        return "invalid_value", "Invalid value.", place
    if picture.get("file_id"):
        return None
    url = picture.get(name)
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:image/")):
        said = "Invalid image URL. Expected a valid URL, but got a value with an invalid format."
        return "invalid_image_url", said, f"{place}.{name}"
    if not url.startswith("data:"):
        return None
    content = _content(url)
    if content is None:
        return "invalid_base64_image", "Invalid base64 image_url.", f"{place}.{name}"
    if not content.startswith(_PICTURES):
        said = (
            "You uploaded an unsupported image. Please make sure your image has of one the following"
            " formats: ['png', 'jpeg', 'gif', 'webp']."
        )
        return "invalid_image_format", said, f"{place}.{name}"
    if (patches := _patches(content)) > _MOST_PATCHES:
        said = (
            f"The image you provided requires {patches} patches after processing, exceeding the limit"
            f" of {_MOST_PATCHES}. Please resize the image and try again."
        )
        return "invalid_value", said, place.partition("[")[0]
    return None


def _patches(content: bytes) -> int:
    """Return of how many patches a picture is made, where it is a PNG."""
    if not content.startswith(_PICTURES[0]):
        return 0
    sides = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
    return math.prod(-(-side // _PATCH) for side in sides)


def _sound_complaint(body: Json, sound: Any, place: str) -> Complaint | None:
    if "audio" not in str(body.get("model")):
        said = "Invalid content type. input_audio is only supported by certain models."
        return None, said, f"{place}.type"
    if not isinstance(sound, dict) or sound.get("format") not in _SOUNDS:
        return "invalid_value", "Invalid value. Supported values are: 'wav' and 'mp3'.", place
    content = _decoded(sound.get("data"))
    if content is None or not content.startswith(_SOUNDS[sound["format"]]):
        said = "The data provided for 'input_audio' is not of valid audio format."
        return "invalid_value", said, f"{place}.input_audio.data"
    return None


def _file_complaint(file: Any, place: str, *, pdf_alone: bool) -> Complaint | None:
    names = ("file_data", "file_id", *(() if pdf_alone else ("file_url",)))
    if not isinstance(file, dict) or sum(name in file for name in names) != 1:
        return (
            "missing_required_parameter",
            f"Missing required parameter: '{place}.file_id'.",
            place,
        )
    data = file.get("file_data")
    if data is None:
        return None
    kind = data.partition(";")[0].removeprefix("data:")
    if pdf_alone and kind != "application/pdf":
        said = (
            f"Invalid file data: '{place}.file.file_data'. Expected a base64-encoded data URL with an"
            " application/pdf MIME type (e.g. 'data:application/pdf;base64,SGVsbG8sIFdvcmxkIQ=='),"
            f" but got unsupported MIME type '{kind}'."
        )
        return "invalid_value", said, f"{place}.file.file_data"
    if not file.get("filename") or not _content(data):
        return (
            "missing_required_parameter",
            f"Missing required parameter: '{place}.filename'.",
            place,
        )
    return None


def _content(url: str) -> bytes | None:
    return _decoded(url.partition(";base64,")[2])


def _decoded(data: Any) -> bytes | None:
    try:
        return b64decode(data, validate=True) or None
    except (TypeError, ValueError):
        return None


def media_tokens(value: Json) -> int | None:
    """Return what *value*, an object in a request, takes where it is a picture, a sound or a file."""
    known = {"image_url": 1_229, "input_image": 1_229, "input_audio": 50}
    return known.get(str(value.get("type")), 2_000 if value.get("type") in _FILES else None)


_FILES = ("file", "input_file")


def spoken(media: tuple[Media, ...]) -> Media | None:
    """Return the sound among *media*, of which an answer has one at most."""
    return next((each for each in media if each.kind == "audio"), None)


def audio_field(sound: Media, transcript: str) -> Json:
    """Return what stands in a message that is spoken."""
    field = {"id": _AUDIO_ID, "data": encoded(sound), "expires_at": _EXPIRES}
    return field | {"transcript": transcript}


def audio_deltas(sound: Media, pieces: list[str]) -> list[Json]:
    """Return a spoken message as it is streamed: words and sound in turn."""
    content, size = sound.data or b"", 6
    sounds = [content[at : at + size] for at in range(0, len(content), size)]
    deltas: list[Json] = [{"id": _AUDIO_ID, "transcript": pieces[0] if pieces else ""}]
    deltas += [{"id": _AUDIO_ID, "data": b64encode(each).decode()} for each in sounds]
    deltas[2:2] = [{"id": _AUDIO_ID, "transcript": piece} for piece in pieces[1:]]
    return [*deltas, {"expires_at": _EXPIRES}]


def images_field(media: tuple[Media, ...]) -> list[Json]:
    """Return the pictures among *media* as OpenRouter puts them into a message."""
    pictures = [each for each in media if each.kind == "image"]
    return [
        {
            "type": "image_url",
            "image_url": {"url": f"data:{each.type};base64,{encoded(each)}"},
            "index": place,
        }
        for place, each in enumerate(pictures)
    ]


def image_items(media: tuple[Media, ...]) -> list[Json]:
    """Return the pictures among *media* as the items of a response."""
    pictures = [each for each in media if each.kind == "image"]
    return [
        {
            "id": f"ig_fake{place}",
            "type": "image_generation_call",
            "status": "completed",
            "action": "generate",
            "background": "opaque",
            "output_format": (each.type or "image/png").partition("/")[2],
            "quality": "low",
            "result": encoded(each),
            "revised_prompt": "A picture.",
            "size": "1024x1024",
        }
        for place, each in enumerate(pictures)
    ]


def image_events(item: Json) -> list[Json]:
    """Return how a picture is streamed, before the whole item: a part of it first."""
    kind = "response.image_generation_call"
    partial = {"partial_image_b64": item["result"], "partial_image_index": 0}
    partial |= {name: item[name] for name in ("background", "output_format", "quality", "size")}
    return [
        {"type": f"{kind}.in_progress"},
        {"type": f"{kind}.generating"},
        {"type": f"{kind}.partial_image"} | partial,
        {"type": f"{kind}.completed"},
    ]


def encoded(media: Media) -> str:
    """Return the content of *media* in base64."""
    return b64encode(media.data or b"").decode()
