"""Text that arrives in any pieces, cut anew into words or sentences, for speech output.

A cutter looks at each character once and decides by what came before it, so its pieces do not
depend on how the text arrived, and together they are the text, to the character. It takes no list
of languages and no model: the rules serve text that mixes languages, as answers do.
"""

# ruff: noqa: RUF001 - other scripts' signs look like ours

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.writing import Short, breaks, glued, is_wide, short_form

__all__ = ["MAX_CHARS", "Recut", "SentenceCutter", "WordCutter", "sentences", "words"]

MAX_CHARS = 300
"""How long a sentence may get before it is cut without an end."""

_LONGEST_WORD = 100

_FULL_STOPS = frozenset("。！？｡؟۔।॥։።፧၊။។៕᠃᠉‼⁇⁈⁉⸮")  # need no space after them, nor a capital
_STOPS = frozenset(".!?…．") | _FULL_STOPS
_BRACKETS = frozenset(")]}）］｝」』】〉》〕〗")
_CLOSERS = _BRACKETS | frozenset("\"'”’»›*_`~＂＇")
_CLOSERS_AFTER_DOTS = _CLOSERS | frozenset("“‘«‹")  # in German, and not after a full-width stop
_PAUSES = frozenset(",;:—–，、；：､،؛")
_GOES_ON = _STOPS | _BRACKETS | frozenset(",;:&/=，、；：،؛")
_NEW_LINES = frozenset("\n\r\v\f\x85\u2028\u2029")
_LONGEST_SHORT_FORM = 12


class _Cutter(ABC):
    """What arrives, held until a piece is complete."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._spoken = False  # whether anything but spaces is held

    def feed(self, text: str) -> list[str]:
        """Return the pieces that *text* completes."""
        held, pieces = self._held, []
        for char in text:
            joined = bool(held) and glued(held[-1], char)
            while held and not joined and (size := self._complete(char)):
                pieces.append("".join(held[:size]))
                del held[:size]
                self._spoken = bool(held)
            held.append(char)
            self._see(char, joined=joined)
        return pieces

    def flush(self) -> list[str]:
        """Return what is left at the end of the text, if anything."""
        rest = "".join(self._held)
        self._held.clear()
        return [rest] if rest else []

    @abstractmethod
    def _complete(self, char: str) -> int:
        """Return how many of the held characters are a piece, now that *char* follows them."""

    @abstractmethod
    def _see(self, char: str, *, joined: bool) -> None:
        """Note *char*, the last of the held ones; *joined* if it belongs to the one before."""


class WordCutter(_Cutter):
    """Cut text into words, each with the spaces that follow it.

    So a piece ends where a pause may be, and speech services that put together what they are sent
    find the words apart. Spaces at the very beginning go with the first word. Chinese and Japanese
    come by character, with its punctuation; what has no spaces otherwise, after 100 characters.
    """

    def _complete(self, char: str) -> int:
        size = len(self._held)
        ends = self._spoken and breaks(self._held[-1], char)
        return size if ends or size >= _LONGEST_WORD else 0

    def _see(self, char: str, *, joined: bool) -> None:
        self._spoken = self._spoken or joined or not char.isspace()


class SentenceCutter(_Cutter):
    """Cut text into sentences, each with the spaces that follow it.

    A sentence ends at a stop with its closing quotes and brackets, and at the end of a line. The
    first character behind the spaces decides: a small letter goes on with the sentence, and so does
    anything behind an abbreviation, an initial, or the number of a list. Where it is in doubt, the
    sentence goes on: a pause in the middle of one sounds worse than a late one.
    """

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        """Begin a text.

        Args:
            max_chars: How many characters a piece may have; a longer one is cut behind a clause, or
                else a word. Only a longer grapheme cluster passes as a whole.

        Raises:
            ConfigurationError: *max_chars* is not a whole number above 0.
        """
        if not isinstance(max_chars, int) or isinstance(max_chars, bool) or max_chars < 1:
            raise ConfigurationError(f"max_chars is {max_chars!r}: give a whole number above 0")
        super().__init__()
        self._max = max_chars
        self._clause = self._word = 0  # how many held characters the last ones end at
        self._start = 0  # where the word that is arriving starts
        self._before = ""  # the word before it
        self._first = True  # whether it is the first of a sentence or a line
        self._stop = ""  # the stop that ended it: one of . … ! 。
        self._short = Short.NO  # what it is, if the stop is a dot
        self._closed = False  # whether a quote or bracket closed behind the stop
        self._paused = False  # whether a comma or the like ended it
        self._gap = self._broke = False  # whether spaces, and the end of a line, came since
        self._guillemet = ""  # the last one

    def _complete(self, char: str) -> int:
        size = len(self._held)
        if self._spoken and self._ends(char):
            self._first = True
            return self._cut(size)
        if self._spoken and breaks(self._held[-1], char):
            self._word = size
            if self._paused:
                self._clause = size
        if size < self._max:
            return 0
        return self._cut(self._clause if self._clause * 2 >= self._max else self._word or size)

    def _cut(self, size: int) -> int:
        self._clause = max(0, self._clause - size)
        self._word = max(0, self._word - size)
        self._start = max(0, self._start - size)
        return size

    def _ends(self, char: str) -> bool:
        """Whether a sentence ends before *char*."""
        if char.isspace():
            return False
        return self._broke or (self._stop != "" and not self._closes(char) and self._stops(char))

    def _stops(self, char: str) -> bool:
        """Whether the stop that has come was one, now that *char* follows."""
        if self._stop == "." and (
            self._short is Short.YES or (self._short is Short.BEFORE_NUMBER and char.isdecimal())
        ):
            return False
        full = self._stop == "。"
        if not self._gap:
            return char not in _STOPS and (full or (self._stop != "…" and is_wide(char)))
        if char in _GOES_ON:
            return False
        return full or not char.islower() or (self._stop == "!" and not self._closed)

    def _closes(self, char: str) -> bool:
        """Whether *char* closes the sentence that has just ended."""
        if self._gap:  # where a straight quote opens the next one
            return char in _BRACKETS or (char == "»" and self._guillemet == "«")
        return char in (_CLOSERS if self._stop == "。" else _CLOSERS_AFTER_DOTS)

    def _see(self, char: str, *, joined: bool) -> None:
        if char.isspace():
            if not self._gap:
                self._finish_word()
            self._gap = True
            self._broke = self._broke or char in _NEW_LINES
        elif joined:
            self._spoken = True
            if self._gap:  # an accent on a space
                self._stop, self._gap, self._broke = "", False, False
        else:
            self._spoken = True
            self._see_visible(char)

    def _see_visible(self, char: str) -> None:
        closes = self._stop != "" and self._closes(char)
        if self._gap:
            self._start = len(self._held) - 1
        self._first = self._first or self._broke
        self._gap = self._broke = False
        self._paused = char in _PAUSES or (self._paused and char in _CLOSERS)
        if char in "«»":
            self._guillemet = char
        if char in _STOPS:
            self._see_stop(char)
        elif closes:
            self._closed = True
        else:
            self._stop, self._closed = "", False

    def _see_stop(self, char: str) -> None:
        self._closed = False
        if char in ".．":
            if not self._stop:
                word = self._arrived()
                self._short = short_form(word, after=self._before, first=self._first)
            self._stop = {"": ".", ".": "…"}.get(self._stop, self._stop)
        elif char in _FULL_STOPS:
            self._stop = "。"
        elif self._stop != "。":
            self._stop = "…" if char == "…" else "!"

    def _finish_word(self) -> None:
        word = self._arrived()
        self._before = word
        if any(map(str.isalnum, word)):
            self._first = word.endswith(":")

    def _arrived(self) -> str:
        """Return the word before the last character, or the end of it: short forms are short."""
        end = len(self._held) - 1
        return "".join(self._held[max(self._start, end - _LONGEST_SHORT_FORM) : end])


class Recut(AsyncIterator[str]):
    """Pieces of a text that arrives in other pieces.

    A class of its own rather than a generator: when a loop ends, asyncio closes all generators at
    once, and one of two nested ones would fail. Nothing holds it, so leaving it early closes what it
    reads.
    """

    def __init__(self, texts: AsyncIterator[str], cutter: _Cutter) -> None:
        self._texts = texts
        self._cutter = cutter
        self._pieces: deque[str] = deque()
        self._failure: Exception | None = None
        self._ended = False

    async def __anext__(self) -> str:
        """Return the next piece; an error comes behind the text that preceded it."""
        while not self._pieces:
            if self._ended:
                await self.aclose()
                failure, self._failure = self._failure, None
                try:
                    raise failure or StopAsyncIteration
                finally:
                    del failure  # its traceback holds this frame: together, a cycle
            await self._read()
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Close what is read."""
        self._ended = True
        self._pieces.clear()
        aclose = getattr(self._texts, "aclose", None)
        if aclose is not None:
            await aclose()

    async def _read(self) -> None:
        try:
            self._pieces.extend(self._cutter.feed(await anext(self._texts)))
        except Exception as error:  # noqa: BLE001 - raised behind the text that preceded it
            self._ended = True
            if not isinstance(error, StopAsyncIteration):
                # without this frame, which holds us: together, a cycle
                self._failure = error.with_traceback(
                    error.__traceback__ and error.__traceback__.tb_next
                )
            self._pieces.extend(self._cutter.flush())


def words(texts: AsyncIterator[str]) -> Recut:
    """Cut *texts* anew into words; see `WordCutter`.

    Args:
        texts: Text in any pieces. It is closed when this is left early.
    """
    return Recut(texts, WordCutter())


def sentences(texts: AsyncIterator[str], *, max_chars: int = MAX_CHARS) -> Recut:
    """Cut *texts* anew into sentences; see `SentenceCutter`.

    Args:
        texts: Text in any pieces. It is closed when this is left early.
        max_chars: How many characters a piece may have.

    Raises:
        ConfigurationError: *max_chars* is not a whole number above 0.
    """
    return Recut(texts, SentenceCutter(max_chars))
