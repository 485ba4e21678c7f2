"""Pictures, sounds, films and documents in the words of OpenAI's two APIs.

See https://developers.openai.com/api/docs/guides/images-vision, /file-inputs and /audio. What other
servers of the protocol add: vLLM and OpenRouter take films and sounds by address
(https://docs.vllm.ai/en/latest/features/multimodal_inputs.html), OpenRouter documents by address, and it
sends pictures beside the content of a message (https://openrouter.ai/docs/guides/overview/multimodal).
"""

from base64 import b64decode
from contextlib import suppress
from mimetypes import guess_extension
from typing import Any

from bruno_llm_base import Json, Media, MediaRules, Part, Text, VendorBlock
from bruno_llm_base.file_formats import sniff
from bruno_llm_base.lenient import read_text
from bruno_llm_base.parts import object_in

from bruno_llm_openai import models
from bruno_llm_openai.row import VendorRow

_PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
_SOUNDS = ("audio/wav", "audio/mpeg")
_LARGEST_FILE = 50_000_000  # bytes; of pictures no limit is told that is as small

_ANY = ("image/*", "audio/*", "video/*", "application/pdf")

_FORMATS = {"audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/x-wav": "wav"}
_BEGINNINGS = {
    b"RIFF": "audio/wav",
    b"fLaC": "audio/flac",
    b"OggS": "audio/ogg",
    b"ID3": "audio/mpeg",
}
_BARE = "audio/pcm"  # samples without a header: 16 bits, 24,000 a second
# Indexes of what is spoken and of its sound, of which there is one each; calls count from 0 upwards
_SPOKEN, _SOUND = 2**20, 2**20 + 1


def chat_rules(model: str) -> MediaRules:
    """Return what *model* of OpenAI takes through Chat Completions, where texts are no files."""
    pictures = _PICTURES if models.sees(model) else ()
    sounds = _SOUNDS if models.hears(model) else ()
    types = (*pictures, *sounds, "application/pdf")
    return MediaRules(types=types, url_types=("image/*",), ids=True, max_bytes=_LARGEST_FILE)


def row_rules(row: VendorRow, model: str) -> MediaRules:
    """Return what *model* of a vendor takes; where that is not known, all that one may: it says so itself."""
    known = row.media_of(model)
    types = _ANY if known is None else known
    return MediaRules(types=types, url_types=types, ids=bool(types))


def response_rules(model: str) -> MediaRules:
    """Return what *model* of OpenAI takes through Responses, which reads many sorts of documents."""
    types = (*(_PICTURES if models.sees(model) else ()), "text/*", "application/*")
    return MediaRules(
        types=types, url_types=types, ids=True, in_results=True, max_bytes=_LARGEST_FILE
    )


def chat_piece(media: Media) -> Json:
    """Return *media* as a piece of a message."""
    if media.id is not None:
        return {"type": "file", "file": {"file_id": media.id}}
    address = media.url or media.data_url
    match media.kind:
        case "image":
            return {"type": "image_url", "image_url": {"url": address} | _detail(media)}
        case "audio" if media.url is None:
            form = _FORMATS.get(str(media.type), str(media.type).partition("/")[2])
            return {"type": "input_audio", "input_audio": {"data": media.encoded, "format": form}}
        case "audio" | "video" as kind:
            return {"type": f"{kind}_url", f"{kind}_url": {"url": address}}
        case "document":
            return {"type": "file", "file": {"filename": _filename(media), "file_data": address}}


def response_piece(media: Media) -> Json:
    """Return *media* as a piece of an item; an uploaded file is a document unless its type says otherwise."""
    if media.kind == "image" and (media.id is None or media.type is not None):
        where = {"file_id": media.id} if media.id else {"image_url": media.url or media.data_url}
        return {"type": "input_image", "detail": "auto"} | where | _detail(media)
    if media.id is not None:
        where = {"file_id": media.id}
    elif media.url is not None:
        where = {"file_url": media.url}
    else:
        where = {"filename": _filename(media), "file_data": media.data_url}
    return {"type": "input_file"} | where | _detail(media)


def _detail(media: Media) -> Json:
    return {"detail": media.detail} if media.detail else {}


def _filename(media: Media) -> str:
    # the API knows many types by their ending alone
    return media.name or f"document{guess_extension(media.type or '') or ''}"


def made(message: Json, api: str) -> list[Part]:
    """Return what is spoken, its sound, and the pictures in a message or a delta; *api* made them."""
    found: list[Part] = []
    audio = object_in(message.get("audio"))
    if words := read_text(audio.get("transcript"), "transcript"):
        found.append(Text(words, _SPOKEN))
    state = {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}
    content, is_whole = b64decode(audio.get("data") or ""), {"id", "expires_at"} <= audio.keys()
    if content or state:
        kind = sniff(content) if is_whole else _beginning(content)
        if not (kind or "").startswith("audio/"):
            kind = _BARE if content or is_whole else None
        found.append(Media(data=content, type=kind, state=VendorBlock(api, state), index=_SOUND))
    for image in message.get("images") or ():
        with suppress(KeyError, TypeError, ValueError):  # what is none costs itself alone
            found.append(picture(image))
    return found


def _beginning(content: bytes) -> str | None:
    found = (kind for start, kind in _BEGINNINGS.items() if content.startswith(start))
    return next(found, None)


def picture(piece: Any) -> Media:
    """Return the picture in a piece of a message that a model has made."""
    url = piece["image_url"]
    return Media(url=url if isinstance(url, str) else url["url"])


def drawn(item: Json, index: int | None, api: str) -> Media:
    """Return the picture in an item of a response; it goes back as that item."""
    own = {name: value for name, value in item.items() if name != "result" and value is not None}
    form = item.get("output_format") or "png"
    kind = "image/svg+xml" if form == "svg" else f"image/{form}"
    state = VendorBlock(api, own)
    return Media(data=b64decode(item["result"]), type=kind, state=state, index=index)
