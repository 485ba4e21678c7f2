"""How many pages a PDF has, by which vendors count it: no more than that is read of it."""

import re
import zlib

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_OBJECTS = re.compile(rb"/Type\s*/ObjStm\b.{0,400}?stream\r?\n", re.DOTALL)
_LARGEST = 2**24  # bytes of one stream of objects, unpacked
_BYTES_PER_PAGE = 2_000  # fewer than a page of words takes


def pages_of(data: bytes) -> int:
    """Return the most pages that the PDF in *data* has, old versions of a page counted too.

    Where they cannot be told, as in one that is encrypted, that is a guess by its size.
    """
    pages = len(_PAGE.findall(data))
    for found in _OBJECTS.finditer(data):  # since PDF 1.5 pages may be packed
        try:
            objects = zlib.decompressobj().decompress(memoryview(data)[found.end() :], _LARGEST)
        except zlib.error:
            continue
        pages += len(_PAGE.findall(objects))
    return pages or -(-len(data) // _BYTES_PER_PAGE)
