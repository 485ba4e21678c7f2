"""How many tokens media take at most, by OpenAI's own rules.

Those of pictures: https://developers.openai.com/api/docs/guides/images-vision, "Model sizing behavior" and
"Calculating costs", as of September 2026. Of sounds and of pages OpenAI tells none: what is written here
is more than has been seen.
"""

import math
import re
from struct import unpack_from
from typing import NamedTuple

from bruno_llm_base import Media
from bruno_llm_base.file_formats import pages_of, sniff
from bruno_llm_base.tokens import estimate_tokens

from bruno_llm_openai.counting import text_tokens

_PATCH, _TILE = 32, 512  # pixels
_LONGEST, _SHORTEST, _MOST_TILES = 2048, 768, 8


class _Patches(NamedTuple):
    """Models that see a picture as patches: how wide, and how many, at each detail."""

    models: str
    multiplier: float
    low: tuple[int, int]
    high: tuple[int, int]
    original: tuple[int, int]
    auto: str


_ALL = (2048, 6144)
_HIGH, _ORIGINAL = (2048, 2500), (6000, 10_000)
_PATCHES = (
    _Patches(r"gpt-4\.1-mini", 1.62, _ALL, _ALL, _ALL, "high"),
    _Patches(r"gpt-4\.1-nano", 2.46, _ALL, _ALL, _ALL, "high"),
    _Patches(r"o4-mini", 1.72, _ALL, _ALL, _ALL, "high"),
    _Patches(r"gpt-5-nano", 1.5, _ALL, _ALL, _ALL, "high"),
    _Patches(r"gpt-5\.[23]|gpt-5-mini|gpt-5[.\d]*-codex", 1.2, _ALL, _ALL, _ALL, "high"),
    _Patches(r"gpt-5\.4", 1.2, _ALL, _HIGH, _ORIGINAL, "high"),
    _Patches(r"gpt-5\.5", 1.2, (512, 256), _HIGH, _ORIGINAL, "original"),
    _Patches(r"", 1.2, (512, 256), _HIGH, (65_535, 30_000), "original"),  # and all newer ones
)
# Models that see a whole picture, and then tiles of it: the tokens of each
_TILES = (
    (r"gpt-4o-mini", 2833, 5667),
    (r"gpt-4(o|\.1(?!-[mn])|\.5|-)", 85, 170),
    (r"gpt-5(\.1)?(?!\.|[\d.]*-(mini|nano|codex))", 70, 140),
    (r"o[13]", 75, 150),
    (r"computer-use", 65, 129),
)
_READS_PAGES_HIGH = re.compile(r"gpt-5\.([6-9]|\d\d)|gpt-[6-9]|gpt-\d\d")

_WORDS_OF_A_PAGE, _PAGES = 1_500, 20  # tokens; where nothing tells how many pages there are
_PER_SECOND = 25
_SLOWEST = 4_000  # bytes a second, of compressed speech
_SAMPLES = {"audio/pcm": 48_000}


def most_tokens(media: Media, model: str) -> int:
    """Return the most tokens that *model* may read *media* as."""
    name = model.removeprefix("ft:")
    match media.kind:
        case "image":
            return _picture(media.pixels, media.detail, name)
        case "audio" | "video":
            return math.ceil(media.size / _bytes_per_second(media)) * _PER_SECOND
        case "document" if media.type == "application/pdf" or not media.data:
            pages = pages_of(media.data) if media.data else _PAGES
            high = "high" if _READS_PAGES_HIGH.match(name) else "low"
            return pages * (_WORDS_OF_A_PAGE + _picture(None, media.detail or high, name))
        case "document":
            words = media.text if media.data and sniff(media.data) == "text/plain" else ""
            if words:
                counted = text_tokens(words, model)
                return counted.tokens if counted else estimate_tokens(words)
            return media.size  # packed words, and no pictures: they are left out


def _picture(pixels: tuple[int, int] | None, detail: str | None, model: str) -> int:
    for pattern, base, tile in _TILES:
        if re.match(pattern, model):
            return base if detail == "low" else base + tile * _tiles(pixels)
    row = next(row for row in _PATCHES if re.match(row.models, model))
    sizes = {"low": row.low, "high": row.high, "original": row.original}
    longest, most = sizes.get(detail or "", sizes[row.auto])
    width, height = _fitted(pixels or (longest, longest), longest)
    patches = math.ceil(width / _PATCH) * math.ceil(height / _PATCH)
    return math.ceil(min(patches, most) * row.multiplier)


def _tiles(pixels: tuple[int, int] | None) -> int:
    if pixels is None:
        return _MOST_TILES
    width, height = _fitted(pixels, _LONGEST)
    scale = min(1.0, _SHORTEST / min(width, height))
    return math.ceil(width * scale / _TILE) * math.ceil(height * scale / _TILE)


def _fitted(pixels: tuple[int, int], longest: int) -> tuple[float, float]:
    scale = min(1.0, longest / max(pixels))
    return pixels[0] * scale, pixels[1] * scale


def _bytes_per_second(media: Media) -> int:
    header = media.data or b""
    if media.type == "audio/wav" and len(header) >= _OF_A_WAVE and header[12:16] == b"fmt ":
        return max(1, int(unpack_from("<I", header, 28)[0]))
    return _SAMPLES.get(str(media.type), _SLOWEST)


_OF_A_WAVE = 32  # bytes
