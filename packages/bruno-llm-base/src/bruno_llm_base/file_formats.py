"""What the bytes of a file tell of it: its type, the size of a picture, the pages of a PDF.

None of it fails, or takes long, whatever the bytes are.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from struct import unpack_from

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


# -- documents ---------------------------------------------------------------------------------------

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_OBJECTS = re.compile(rb"/Type\s*/ObjStm\b")
_STREAM, _NEAR = re.compile(rb"stream\r?\n"), 400  # bytes behind the type
_LARGEST = 2**24  # bytes of all streams of objects, unpacked
_MOST_STREAMS = 100_000  # of them; documents have some hundreds
_BYTES_PER_PAGE = 2_000  # fewer than a page of words takes


def pages_of(data: bytes) -> int:
    """Return the most pages that the PDF in *data* has, old versions of a page counted too.

    Where they cannot be told, as in one that is encrypted, that is a guess by its size.
    """
    pages, left, guess = len(_PAGE.findall(data)), _LARGEST, -(-len(data) // _BYTES_PER_PAGE)
    for packed in _objects(data):  # since PDF 1.5 pages may be packed
        with suppress(zlib.error):
            objects = zlib.decompressobj().decompress(packed, left)
            pages += len(_PAGE.findall(objects))
            left -= len(objects)
        if left <= 0:
            return max(pages, guess)
    return pages or guess


def _objects(data: bytes) -> Iterator[memoryview]:
    """Yield the streams of objects in a PDF."""
    at = 0
    for _ in range(_MOST_STREAMS):
        found = _OBJECTS.search(data, at)
        if found is None:
            break
        at = found.end()
        if begin := _STREAM.search(data, at, at + _NEAR):
            at = data.find(b"endstream", begin.end())
            if at < 0:
                break
            yield memoryview(data)[begin.end() : at]
