"""Pictures, sounds and documents of logged messages: kept once, by the hash of what they hold."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from bruno_core.models import Message
from bruno_llm_base.parts import Json, part_from_json


@dataclass(frozen=True, slots=True)
class Attachment:
    """What went with a question; its content is kept only where it stands nowhere else."""

    id: str
    type: str | None
    path: str | None
    url: str | None
    content: bytes | None


def put_away(message: Message, attachments: list[Attachment]) -> Json:
    """Return *message* as JSON in which media are named by their hashes, and add them to *attachments*."""
    written = message.model_dump(mode="json", include={"role", "content", "metadata"})

    def put(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(put, value))
        if not isinstance(value, dict):
            return value
        if value.get("type") != "media":
            return {name: put(each) for name, each in value.items()}
        attachments.append(_attachment(value))
        kept = {name: each for name, each in value.items() if name != "data"}
        return kept | {"attachment": attachments[-1].id, "path": attachments[-1].path}

    return {name: put(value) for name, value in written.items() if value}


def put_back(written: Any, content_of: Callable[[str], bytes]) -> Any:
    """Return what `put_away` wrote, with the media; *content_of* finds that of an attachment."""
    if isinstance(written, list):
        return [put_back(each, content_of) for each in written]
    if not isinstance(written, dict):
        return written
    if "attachment" not in written or written.get("type") != "media":
        return {name: put_back(each, content_of) for name, each in written.items()}
    media = {name: each for name, each in written.items() if name != "attachment" and each}
    if not any(media.get(name) for name in ("path", "url", "id")):
        media["data"] = b64encode(content_of(written["attachment"])).decode()
    read: Any = part_from_json(media)
    read.is_trusted = True  # the user has attached it
    return read


def _attachment(media: Json) -> Attachment:
    content = b64decode(media["data"]) if "data" in media else None
    path, url = media.get("path"), media.get("url")
    held = content or str(url or media.get("id")).encode()
    if path is not None:
        path = str(Path(path).expanduser().absolute())
        held = path.encode()
        with suppress(OSError):  # it may be gone by now
            held = Path(path).read_bytes()
    return Attachment(sha256(held).hexdigest(), media.get("media_type"), path, url, content)
