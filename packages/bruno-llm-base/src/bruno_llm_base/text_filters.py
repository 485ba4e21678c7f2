"""What few servers make necessary for the text of an answer, wherever its pieces are cut.

`SurrogateJoiner` joins halves of characters: what JSON says with two escapes that a server has torn
apart. `ThinkTags` moves thoughts out of the text that a model writes between `<think>` and `</think>`,
as servers of open models leave them there where they were not told how the model marks its thoughts.
"""

import json
from dataclasses import replace

from bruno_llm_base.parts import Part, Reasoning, Text, part_from_json, part_to_json
from bruno_llm_base.response import ModelResponse

__all__ = ["SurrogateJoiner", "ThinkTags", "with_whole_characters"]

_FIRST_HALVES = ("\ud800", "\udbff")
_OPEN, _CLOSE = "<think>", "</think>"


def _joined(text: str) -> str:
    """Return *text* with neighbouring halves as one character, and U+FFFD for those left alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def with_whole_characters(part: Part) -> Part:
    """Return *part* with whole characters only."""
    return part_from_json(json.loads(_joined(json.dumps(part_to_json(part), ensure_ascii=False))))


class SurrogateJoiner:
    """Holds a half of a character, at the end of a text, until the other half comes."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def split(self, response: ModelResponse) -> ModelResponse:
        """Return the texts of *response* with whole characters only."""
        texts = [self._whole(part.text) for part in response.parts if isinstance(part, Text)]
        return replace(response, parts=tuple(Text(text) for text in texts if text))

    def rest(self) -> list[Part]:
        """Return what stands for a half to which the other never came."""
        half, self._half = self._half, ""
        return [Text(_joined(half))] if half else []

    def _whole(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if text and _FIRST_HALVES[0] <= text[-1] <= _FIRST_HALVES[1]:
            text, self._half = text[:-1], text[-1]
        return _joined(text)


class ThinkTags:
    """Moves the thoughts of one answer out of its text.

    White space around a thought belongs to the tags. A thought that is never closed is one to its
    end. What may be the beginning of a tag is held back until the next piece.
    """

    __slots__ = ("_begins", "_held", "_inside")

    def __init__(self) -> None:
        self._inside = False
        self._held = ""
        self._begins = False  # whether white space that comes next follows a tag

    def split(self, response: ModelResponse) -> ModelResponse:
        """Return *response*, the next part of the answer, with thoughts as such."""
        parts: list[Part] = []
        for part in response.parts:
            parts += self._split(part) if isinstance(part, Text) else [*self.rest(), part]
        return replace(response, parts=tuple(parts))

    def rest(self) -> list[Part]:
        """Return what was held back, since no more text follows."""
        held, self._held = self._held, ""
        return self._part(held.rstrip() if self._inside else held, None)

    def _split(self, part: Text) -> list[Part]:
        text, found = self._held + part.text, list[Part]()
        while True:
            tag = _CLOSE if self._inside else _OPEN
            before, met, after = text.partition(tag)
            if not met:
                break
            found += self._part(before.rstrip() if self._inside else before, part.index)
            self._inside, self._begins, text = not self._inside, True, after
        begun = next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
        kept = text[: len(text) - begun]
        kept = kept.rstrip() if self._inside else kept
        self._held = text[len(kept) :]
        return found + self._part(kept, part.index)

    def _part(self, text: str, index: int | None) -> list[Part]:
        text = text.lstrip() if self._begins else text
        if not text:
            return []
        self._begins = False
        return [Reasoning(text) if self._inside else Text(text, index)]
