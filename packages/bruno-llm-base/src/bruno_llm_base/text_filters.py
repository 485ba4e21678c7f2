"""What few servers make necessary for the text of an answer, wherever its pieces are cut."""

import json
from dataclasses import replace

from bruno_llm_base.parts import Part, Reasoning, Text, part_from_json, part_to_json, text_of
from bruno_llm_base.response import ModelResponse


def _whole(text: str) -> str:
    """Return *text* with neighbouring halves as one character, and U+FFFD for those left alone."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Holds half of a character, which JSON can say and a server tore off, until the other comes."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def split(self, response: ModelResponse) -> ModelResponse:
        """Return the text of *response* with whole characters only."""
        text, self._half = self._half + text_of(response.parts), ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return replace(response, parts=(Text(_whole(text)),) if text else ())

    @staticmethod
    def mended(part: Part) -> Part:
        """Return a whole *part* with whole characters only."""
        return part_from_json(
            json.loads(_whole(json.dumps(part_to_json(part), ensure_ascii=False)))
        )

    def rest(self) -> list[Part]:
        """Return what stands for a half to which the other never came."""
        half, self._half = self._half, ""
        return [Text(_whole(half))] if half else []


class ThinkTags:
    """Moves thoughts out of the text, where a server of an open model left them between tags.

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
            parts += self._split(part.text) if isinstance(part, Text) else [*self.rest(), part]
        return replace(response, parts=tuple(parts))

    def rest(self) -> list[Part]:
        """Return what was held back, since no more text follows."""
        held, self._held = self._held, ""
        return self._part(held)

    def _split(self, text: str) -> list[Part]:
        text, found = self._held + text, list[Part]()
        while True:
            tag = "</think>" if self._inside else "<think>"
            before, met, after = text.partition(tag)
            if not met:
                break
            found += self._part(before)
            self._inside, self._begins, text = not self._inside, True, after
        begun = next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
        kept = text[: len(text) - begun]
        kept = kept.rstrip() if self._inside else kept
        self._held = text[len(kept) :]
        return found + self._part(kept)

    def _part(self, text: str) -> list[Part]:
        text = text.lstrip() if self._begins else text
        text = text.rstrip() if self._inside else text
        if not text:
            return []
        self._begins = False
        return [Reasoning(text) if self._inside else Text(text)]
