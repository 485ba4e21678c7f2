"""Thoughts that a model writes into its answer, between `<think>` and `</think>`.

Servers of open models leave them there where nobody told them how the model marks its thoughts.
"""

from dataclasses import replace

from bruno_llm_base.parts import Part, Reasoning, Text
from bruno_llm_base.types import ModelResponse

__all__ = ["ThinkTags"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkTags:
    """Moves the thoughts of one answer out of its text, wherever its pieces are cut.

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
            if isinstance(part, Text):
                parts += self._split(part)
            else:
                parts += [*self.rest(), part]
        return replace(response, parts=tuple(parts))

    def rest(self) -> list[Part]:
        """Return what was held back, since no more text follows."""
        held, self._held = self._held, ""
        return self._said(held.rstrip() if self._inside else held, None)

    def _split(self, part: Text) -> list[Part]:
        text, found = self._held + part.text, list[Part]()
        while True:
            tag = _CLOSE if self._inside else _OPEN
            before, met, after = text.partition(tag)
            if not met:
                break
            found += self._said(before.rstrip() if self._inside else before, part.index)
            self._inside, self._begins, text = not self._inside, True, after
        kept = text[: len(text) - _begun(text, tag)]
        kept = kept.rstrip() if self._inside else kept
        self._held = text[len(kept) :]
        return found + self._said(kept, part.index)

    def _said(self, text: str, index: int | None) -> list[Part]:
        if self._begins:
            text = text.lstrip()
        if not text:
            return []
        self._begins = False
        return [Reasoning(text) if self._inside else Text(text, index)]


def _begun(text: str, tag: str) -> int:
    """Return how many characters at the end of *text* may be the beginning of *tag*."""
    return next((size for size in range(len(tag) - 1, 0, -1) if text.endswith(tag[:size])), 0)
