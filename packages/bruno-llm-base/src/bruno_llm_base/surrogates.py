"""Halves of characters: what JSON says with two escapes that a server has torn apart."""

import json

from bruno_llm_base.parts import Part, Text, part_from_json, part_to_json
from bruno_llm_base.types import ModelResponse

__all__ = ["Halves", "mended"]

_FIRST_HALVES = ("\ud800", "\udbff")


def _joined(text: str) -> str:
    """Return *text* with neighbouring halves as one character, and U+FFFD for those left alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def mended(part: Part) -> Part:
    """Return *part* with whole characters only."""
    return part_from_json(json.loads(_joined(json.dumps(part_to_json(part), ensure_ascii=False))))


class Halves:
    """The texts of a stream, whose halves of characters wait for each other."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def whole(self, response: ModelResponse) -> list[str]:
        """Return the texts in *response* with whole characters only."""
        texts = [self._whole(part.text) for part in response.parts if isinstance(part, Text)]
        return [text for text in texts if text]

    def rest(self) -> str:
        """Return what stands for a half to which the other never came."""
        half, self._half = self._half, ""
        return _joined(half)

    def _whole(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            text, self._half = text[:-1], text[-1]
        return _joined(text)
