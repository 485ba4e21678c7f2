"""Media on their way to a model: which files may be read, and how.

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
from typing import ClassVar, Literal

from bruno_llm_base.exceptions import (
    ConfigurationError,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.file_formats import pixels_of, sniff
from bruno_llm_base.parts import Media
from bruno_llm_base.policies import Policy, check_whole
from bruno_llm_base.values import shown

# Neither a pipe nor a terminal makes us wait, or becomes ours. Windows has some of these flags only.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_BINARY", "O_CLOEXEC")
)
# Bytes: a multiple of 3 for base64, and so few that other threads have their turn
_CHUNK = 3 * 2**16
_LONGEST_NAME = 80
# Containers of sound or of film, which of them their first bytes do not tell
_EITHER = frozenset(
    f"{family}/{name}" for family in ("audio", "video") for name in ("mp4", "ogg", "webm")
)
_SAME = {"audio/m4a": "audio/mp4", "audio/mp3": "audio/mpeg", "image/jpg": "image/jpeg"}
_SPELLING = re.compile(r"[a-z0-9]+/[a-z0-9][a-z0-9.+_-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPolicy(Policy):
    """What of the media that a message names may be read or sent.

    What your program names itself, as `Media(...)` or in `attachments`, needs no leave: only
    `max_bytes` holds for it.

    Attributes:
        roots: The folders below which files may be read; a link counts as what it leads to.
        max_bytes: The most bytes of one file, and of all media of a request together.
        urls: Whether addresses are passed to vendors, who fetch them, or refused.
    """

    example: ClassVar[str] = 'MediaPolicy(roots=["uploads"]), the folders that may be read'

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
        checked = copy(media)
        checked.type = _said(media) or None
        return checked
    limits = policy or MediaPolicy()
    data = _content(media, policy, limits.max_bytes) if media.data is None else media.data
    size = len(data)
    if size + taken > limits.max_bytes:
        raise _too_large(media, size + taken if taken else size, limits.max_bytes, taken)
    read = Media(
        data=data,
        type=_type_of(media, data),
        detail=media.detail,
        name=media.label if media.path or media.name else None,
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
    return MediaUnavailableError(text, media=media.label, another_may_answer=False)


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


def _said(media: Media) -> str:
    """Return the type that the user says, as vendors spell it."""
    said = (media.type or "").partition(";")[0].strip().lower()
    return _SAME.get(said, said)


def _type_of(media: Media, data: bytes) -> str:
    """Return the type of *data*: what the bytes say, or else what the user says."""
    said = _said(media)
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
    """Whether a file of this type may be text, as pictures, sounds, films and PDFs are not."""
    family = kind.partition("/")[0]
    is_text = family in ("text", "application") and kind != "application/pdf"
    return is_text or kind.endswith("+xml")
