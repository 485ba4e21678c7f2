"""Pictures, sounds, films and documents in the words of generateContent, and what they take.

See https://ai.google.dev/gemini-api/docs/file-input-methods and /media-resolution.
"""

import math
import re
from struct import unpack_from

from bruno_llm_base import Json, Media
from bruno_llm_base.file_formats import pages_of

_FILES = (
    "https://generativelanguage.googleapis.com/v1beta/"  # where its ids lead, wherever it is asked
)
_LEVEL = "MEDIA_RESOLUTION_"
_YOUTUBE = re.compile(r"https?://(?:\w+\.)?(?:youtube\.com|youtu\.be)/", re.IGNORECASE)


def build_media(media: Media) -> Json:
    """Return *media* as a part of a turn, or of the result of a tool."""
    named = {"mimeType": media.type} if media.type else {}
    part: Json
    if media.encoded:
        part = {"inlineData": named | {"data": media.encoded}}
    else:
        part = {"fileData": named | {"fileUri": media.url or _address(str(media.id))}}
    if media.detail not in (None, "auto"):
        level = str(media.detail).upper()
        part["mediaResolution"] = {"level": _LEVEL + level.removeprefix(_LEVEL)}
    return part


def _address(identifier: str) -> str:
    """Return the address of an uploaded file, which the API wants instead of its name."""
    if "://" in identifier:
        return identifier
    return f"{_FILES}files/{identifier.removeprefix('files/')}"


# -- tokens --------------------------------------------------------------------------------------------

_WINDOW = 2**20  # no model of today reads more
_OF_A_TILE, _MOST_TILES = 258, 24
_LONGEST_SIDE, _SMALL, _SMALLEST_CROP, _LARGEST_CROP = 3072, 384, 256, 768
_OF_A_WAVE, _UNTOLD = 32, 2**32 - 1
# Two times, and then the units of a second, and how many of them there are; in 64 bits in version 1.
_MOVIE_HEADER = re.compile(rb"mvhd(?:\x01.{19}(.{12})|\x00.{11}(.{8}))", re.DOTALL)
_OF_A_PICTURE = {"LOW": 280, "MEDIUM": 560, "HIGH": 1120, "ULTRA_HIGH": 2240}
_MOST_PAGES = 1000
_SOUND = 32  # a second
_FRAME, _DETAILED_FRAME = 258, 280  # one a second
_BYTES_OF_SOUND, _BYTES_OF_FILM = 2_000, 4_000  # a second, where hardly any file has fewer


def tokens_of(media: Media, *, from_3: bool) -> int:
    """Return the most tokens that Gemini, up to 2.5 or *from_3* on, may read *media* as.

    Where neither a WAV file nor an MPEG-4 one tells how long it is, its size does: that may be much too
    many.
    """
    if media.kind == "audio":
        return _within(_SOUND * _seconds(media, _BYTES_OF_SOUND))
    if media.kind == "video" or _YOUTUBE.match(media.url or ""):
        frame = _DETAILED_FRAME if from_3 else _FRAME
        return _within((_SOUND + frame) * _seconds(media, _BYTES_OF_FILM))
    if media.type == "application/pdf":
        pages = pages_of(media.data) if media.data else _MOST_PAGES
        return _within(pages * (_of_a_picture(media) if from_3 else _OF_A_TILE))
    if media.kind == "image":
        return _of_a_picture(media) if from_3 else _OF_A_TILE * _tiles(media.pixels)
    return _within(media.size or _WINDOW)


def _within(tokens: int) -> int:
    return min(tokens, _WINDOW)


def _seconds(media: Media, rate: int) -> int:
    """Return how long a sound or film of so many bytes a second may be."""
    data = media.data
    if not data:
        return _WINDOW
    if data[:4] == b"RIFF" and data[12:16] == b"fmt " and len(data) >= _OF_A_WAVE:
        rate = max(rate, *unpack_from("<I", data, 28))
    return math.ceil(_of_mpeg_4(data) or media.size / rate)


def _of_mpeg_4(data: bytes) -> float | None:
    """Return the seconds of a film, or sound, in ISO's container (ISO/IEC 14496-12, 8.2.2)."""
    found = _MOVIE_HEADER.search(data) if data[4:8] == b"ftyp" else None
    if found is None:
        return None
    scale, duration = unpack_from(">IQ" if found[1] else ">II", found[1] or found[2])
    return duration / scale if scale and duration < _UNTOLD else None


def _of_a_picture(media: Media) -> int:
    level = (media.detail or "").upper().removeprefix(_LEVEL)
    return _OF_A_PICTURE.get(level, _OF_A_PICTURE["HIGH"])


def _tiles(pixels: tuple[int, int] | None) -> int:
    """Return into how many tiles a picture is cut."""
    if pixels is None:
        return _MOST_TILES
    if max(pixels) <= _SMALL:
        return 1
    longest = max(_LONGEST_SIDE, *pixels)
    width, height = (-(-side * _LONGEST_SIDE // longest) for side in pixels)
    crop = min(max(int(min(width, height) / 1.5), _SMALLEST_CROP), _LARGEST_CROP)
    return math.ceil(width / crop) * math.ceil(height / crop)
