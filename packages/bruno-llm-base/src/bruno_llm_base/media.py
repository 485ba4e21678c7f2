"""Media on their way to a model: which files may be read, what their bytes are, and how large.

Everything here blocks, and is run in a thread.
"""

import os
import re
from base64 import b64encode
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from struct import unpack_from
from typing import Literal

from bruno_llm_base.exceptions import (
    ConfigurationError,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.parts import Media
from bruno_llm_base.policies import check_whole
from bruno_llm_base.values import shown

# Neither a pipe nor a terminal makes us wait, or becomes ours. Windows has some of these flags only.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC")
)
_CHUNK = (
    3 * 2**16
)  # bytes: a multiple of 3 for base64, and so few that other threads have their turn
_LONGEST_NAME = 80
_MOST_SEGMENTS = 10_000  # of a JPEG file, before its size; cameras write some dozens
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = (  # of ISO's container: https://mp4ra.org/registered-types/brands
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"avi", "image/avif"),
    (b"hei", "image/heic"),
    (b"hev", "image/heic"),
    (b"mif1", "image/heif"),
    (b"qt  ", "video/quicktime"),
    (b"3gp", "video/3gpp"),
)
_CONTROLS = bytes({*range(32), 127} - set(b"\t\n\f\r"))
_CONTROLS_SOUGHT = 2**20  # bytes, of a text
# Containers of sound or of film, which of them their first bytes do not tell
_EITHER = frozenset(
    f"{family}/{name}" for family in ("audio", "video") for name in ("mp4", "ogg", "webm")
)
_SAME = {"audio/m4a": "audio/mp4", "audio/mp3": "audio/mpeg", "image/jpg": "image/jpeg"}
_SPELLING = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9.+_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPolicy:
    """What of the media that a message names may be read or sent.

    What your program names itself, as `Media(...)` or in `attachments`, needs no leave: only
    `max_bytes` holds for it.

    Attributes:
        roots: The folders below which files may be read; a link counts as what it leads to.
        max_bytes: The most bytes of one file, and of all media of a request together.
        urls: Whether addresses are passed to vendors, who fetch them, or refused.
    """

    roots: Sequence[str | os.PathLike[str]] = ()
    max_bytes: int = 20_000_000
    urls: Literal["pass", "refuse"] = "pass"

    def __post_init__(self) -> None:
        """Check the values, and find the folders."""
        roots = self.roots
        are_paths = isinstance(roots, Sequence) and not isinstance(roots, str | bytes)
        if not are_paths or not all(root and isinstance(root, str | os.PathLike) for root in roots):
            raise ConfigurationError(
                f"MediaPolicy.roots is {shown(roots)}: give a list of folders, or none"
            )
        check_whole("MediaPolicy.max_bytes", self.max_bytes)
        if self.urls == "fetch":  # type: ignore[comparison-overlap]
            raise ConfigurationError(
                "MediaPolicy.urls is 'fetch', which a later version will know: give 'pass', and the"
                " vendor fetches addresses, or fetch them yourself and give the bytes"
            )
        if self.urls not in ("pass", "refuse"):
            raise ConfigurationError(
                f"MediaPolicy.urls is {shown(self.urls)}: give 'pass' or 'refuse'"
            )
        object.__setattr__(self, "roots", tuple(os.path.realpath(root) for root in roots))


def read_media(media: Media, policy: MediaPolicy | None = None, taken: int = 0) -> Media:
    """Return a copy of *media* that holds its content, and what is known of it.

    Args:
        media: What is to be sent. An address or an id is only checked.
        policy: What the user allows; without one, no file that a message names is read.
        taken: The bytes of the request's other media.

    Raises:
        MediaUnavailableError: The file is not there, or may not be read.
        MediaTooLargeError: It is larger than the policy allows.
        MediaTypeError: What it is cannot be told.
    """
    if media.url is not None or media.id is not None:
        if media.url and not media.is_trusted and policy and policy.urls == "refuse":
            raise _unavailable(
                media,
                f"a message names the address of {_name(media)}, which MediaPolicy(urls='refuse')"
                " forbids: give urls='pass', or Media(url=...)",
            )
        return copy(media)
    limits = policy or MediaPolicy()
    data = _content(media, policy, limits.max_bytes) if media.data is None else media.data
    size = len(data)
    if size + taken > limits.max_bytes:
        raise _too_large(media, size + taken if taken else size, limits.max_bytes, taken)
    read = Media(
        data=data,
        type=_type_of(media, data),
        detail=media.detail,
        name=media.name if media.path is None else media.label,
        state=media.state,
        index=media.index,
    )
    view = memoryview(data)
    pieces = [b64encode(view[at : at + _CHUNK]) for at in range(0, size, _CHUNK)]
    read.encoded = b"".join(pieces).decode("ascii")
    read.pixels, read.size = pixels_of(data), size
    return read


def _name(media: Media) -> str:
    """Return what errors call *media*: its path as it was given, where it has one."""
    name = media.label if media.path is None else media.path
    return repr(name if len(name) <= _LONGEST_NAME else f"...{name[3 - _LONGEST_NAME :]}")


def _unavailable(media: Media, text: str) -> MediaUnavailableError:
    return MediaUnavailableError(text, media=media.label)


def _too_large(media: Media, size: int, most: int, taken: int = 0) -> MediaTooLargeError:
    what = f"the media up to {_name(media)} have" if taken else f"{_name(media)} has"
    return MediaTooLargeError(
        f"{what} {size:,} bytes, and {most:,} are allowed: make it smaller, or give the provider"
        " media=MediaPolicy(max_bytes=...)",
        media=media.label,
    )


# -- files -------------------------------------------------------------------------------------------


def _content(media: Media, policy: MediaPolicy | None, most: int) -> bytes:
    """Return the content of a file that may be read, once it is known to be one."""
    name, path = _name(media), str(media.path)
    try:
        file = os.open(path, _FLAGS) if media.is_trusted else _open_below(media, policy)
    except FileNotFoundError:
        raise _unavailable(media, f"{name} does not exist: give the path of a file") from None
    except PermissionError:
        raise _unavailable(
            media, f"{name} may not be read by this process: give it the right, or the bytes"
        ) from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise _unavailable(media, f"{name} cannot be opened ({why}): give another path") from None
    try:
        data = _read(media, file, most)
    except OSError as error:
        raise _unavailable(
            media, f"{name} cannot be read ({error.strerror}): give another file"
        ) from None
    finally:
        os.close(file)
    if not data:
        raise _unavailable(media, f"{name} is empty: give a file with some content")
    return data


def _read(media: Media, file: int, most: int) -> bytes:
    found = os.fstat(file)
    if S_ISDIR(found.st_mode):
        raise _unavailable(media, f"{_name(media)} is a folder: give the path of a file")
    if not S_ISREG(found.st_mode):
        raise _unavailable(
            media, f"{_name(media)} is a pipe, a socket or a device: give the path of a file"
        )
    if found.st_size > most:
        raise _too_large(media, found.st_size, most)
    pieces, left = [], most + 1  # files grow, and those of /proc do not tell their size
    while left and (piece := os.read(file, min(left, 2**20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _open_below(media: Media, policy: MediaPolicy | None) -> int:
    """Open a file that a message names, if it is below one of the folders that the policy allows."""
    if policy is None or not policy.roots:
        raise _unavailable(
            media,
            f"a message names the file {_name(media)}, and no file that a message names is read"
            " unless the provider has media=MediaPolicy(roots=[...]), the folders to read from; or"
            " give Media(path=...)",
        )
    real = Path(os.path.realpath(str(media.path)))
    root = next((Path(root) for root in policy.roots if real.is_relative_to(root)), None)
    if root is None:
        raise _unavailable(
            media,
            f"a message names the file {_name(media)}, which is not below one of the folders in"
            " MediaPolicy.roots: move it there, add its folder, or give Media(path=...)",
        )
    if os.open not in os.supports_dir_fd:
        return os.open(real, _FLAGS)
    # Folder by folder, and no link is followed: one would have been put there since just now.
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    *folders, file = real.relative_to(root).parts or (".",)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
            os.close(place)
            place = below
        return os.open(file, _FLAGS | os.O_NOFOLLOW, dir_fd=place)
    finally:
        os.close(place)


# -- types -------------------------------------------------------------------------------------------


def _type_of(media: Media, data: bytes) -> str:
    """Return the type of *data*: what the bytes say, or else what the user says."""
    said = (media.type or "").partition(";")[0].strip().lower()
    said = _SAME.get(said, said)
    found = sniff(data)
    if found is None or (found == "text/plain" and _is_written(said)):
        if not _SPELLING.fullmatch(said):
            raise MediaTypeError(
                f"what {_name(media)} is cannot be told from its bytes: give"
                " Media(..., type='...'), such as 'image/png'",
                media=media.label,
            )
        return said
    is_either = {said, found} <= _EITHER and said[5:] == found[5:]
    return said if is_either else found


def _is_written(kind: str) -> bool:
    """Whether a file of this type may be text: it is no picture, sound or film, and no PDF."""
    family = kind.partition("/")[0]
    is_text = family in ("text", "application") and kind != "application/pdf"
    return is_text or kind.endswith("+xml")


def sniff(data: bytes) -> str | None:
    """Return the MIME type of *data* by its first bytes, or of a text in UTF-8; None if not known."""
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return kind
    found = _container(data[:64]) or _frames(data[:4])
    return found or ("text/plain" if _is_text(data) else None)


def _container(data: bytes) -> str | None:
    """Return the type of a file whose first bytes name a container, and what it contains."""
    form, content = data[:4], data[8:12]
    if form in (b"RIFF", b"RF64"):
        return _RIFF.get(content)
    if form == b"FORM":
        return "audio/aiff" if content in (b"AIFF", b"AIFC") else None
    if form == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in data else "video/x-matroska"
    if data[4:8] == b"ftyp":
        found = (kind for start, kind in _BRANDS if content.startswith(start))
        return next(found, "video/mp4")
    is_bitmap = data[:2] == b"BM" and data[6:10] == b"\0\0\0\0"
    return "image/bmp" if is_bitmap else None


def _frames(header: bytes) -> str | None:
    """Return the type of bare frames of sound: MPEG's layers II and III, or AAC."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    if layer == 0:
        return "audio/aac" if header[1] >= 0xF0 and version >= 2 else None
    bitrate, rate = header[2] >> 4, header[2] >> 2 & 3
    is_sound = layer in (1, 2) and version != 1 and 0 < bitrate < 15 and rate != 3
    return "audio/mpeg" if is_sound else None


def _is_text(data: bytes) -> bool:
    start = data[:_CONTROLS_SOUGHT]
    if not data or len(start.translate(None, _CONTROLS)) < len(start):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- pictures ----------------------------------------------------------------------------------------


def pixels_of(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, JPEG, GIF or WebP picture, by its header; None if not told."""
    kind, found = sniff(data[:64]), tuple[int, ...]()
    if kind == "image/png" and data[12:16] == b"IHDR" and len(data) >= 24:
        found = unpack_from(">II", data, 16)
    elif kind == "image/gif" and len(data) >= 10:
        found = unpack_from("<HH", data, 6)
    elif kind == "image/webp" and len(data) >= 30:  # of the smallest file too
        found = _pixels_of_webp(data)
    elif kind == "image/jpeg":
        found = _pixels_of_jpeg(data)
    return (found[0], found[1]) if found and all(found) else None


def _pixels_of_webp(data: bytes) -> tuple[int, ...]:
    """Read one of the three headers of https://developers.google.com/speed/webp/docs/riff_container."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return width + 1, height + 1
    if chunk == b"VP8L" and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return ()


_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_FRAME_STARTS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))  # these have no segment behind them


def _pixels_of_jpeg(data: bytes) -> tuple[int, ...]:
    """Walk from segment to segment to the one that begins a frame (ITU-T T.81, B.1 and B.2)."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        marker = _MARKER.match(data, at)
        if marker is None or len(data) < marker.end() + 7:
            break
        at, kind = marker.end(), marker[1][0]
        if kind in _FRAME_STARTS:
            height, width = unpack_from(">HH", data, at + 3)
            return width, height
        if kind not in _WITHOUT_LENGTH:
            (length,) = unpack_from(">H", data, at)
            at += length
    return ()
