"""Words and sentences of a text that arrives in any pieces, for speech output.

Libraries that find sentences need the whole text: what they take for one changes with what follows.
A cut is made here when it is certain, so the pieces do not depend on how the text arrives, and
together they are the text, to the character. The rules serve text that mixes languages.
"""

# ruff: noqa: RUF001 - signs of other scripts look like ours

import re
from collections import deque
from collections.abc import AsyncIterator

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import is_whole

_FULL_STOPS = "。！？｡؟۔।॥።။។‼⁇⁈⁉"  # end a sentence even before a small letter
_STOPS = f".!?…．{_FULL_STOPS}"
_BRACKETS = ")]}）］｝」』】〉》〕〗"
_CLOSERS = f"{_BRACKETS}\"'”’“‘»›*_`~＂＇\ufe0f"

# Chinese and Japanese put no spaces between words, and some signs not at the beginning of a line.
_WIDE = "\u2e80-\u2fff\u3001-\u312f\u31a0-\u9fff\uf900-\ufaff\uff01-\uff9f\U00020000-\U0003ffff"
_KEPT = f"{_STOPS}{_CLOSERS},;:—–，、；：،؛%・％‥ー々〜～ぁぃぅぇぉっゃゅょァィゥェォッャュョ\u3099\u309a"
_SPACE = r"\t-\r\x1c-\x20\x85\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"
_CORE = (
    rf"[(\[{{（［｛「『【〈《〔〖“‘«]{{0,9}}(?:[{_WIDE}]|[^{_SPACE}{_WIDE}]{{1,100}})"
    rf"[{re.escape(_KEPT)}]{{0,9}}"
)
# French puts a space before its signs. What repeats is bounded, so that what is held stays small.
_WORD = re.compile(
    f"[{_SPACE}]{{0,99}}(?:{_CORE}(?: (?=[»!?:;…]){_CORE}){{0,3}})?[{_SPACE}]{{0,99}}"
)

_CLAUSE = re.compile(r".*(?:[,;:—–،؛]\S?\s+|[，、；：])", re.DOTALL)
_STOPPED = re.compile(rf".*?([{_STOPS}]+)([{re.escape(_CLOSERS)}\s]*)", re.DOTALL)
# Only what a capital may follow: before a small letter no sentence ends anyway. Short forms that
# often end one, such as "etc.", are left out.
_ABBREVIATED = re.compile(
    r"""(?<![^\s("“„«‘‚*_[¿¡])(?:
        Mr|Mrs|Ms|Dr|Prof|St|Mt|Gen|Lt|Capt|Rev|Mme|Sr|Sra|Srta|Ud|Uds|Hr|Fr|Dipl|Ing
        |vs|cf|approx|ca|incl|bzw|ggf|evtl|inkl|sog|núm|pág
        |(?![ap]\.m\.)(?:[^\W\d_]{1,2}\.)*[^\W\d_]         # J. R. R., U.S., z. B., e.g., Ph.D.
        |(?i:am|der|die|das|den|dem|im|vom|zum|bis)\s\d+   # a date in German
        |(?i:nos?|nr|pp?|vol|ch|sec|art|figs?|jan|feb|mar|apr|aug|sept?|o[ck]t|nov|de[cz])(?=\.\d)
    )\..?$|(?:^|:)\s*\d[\d.]*\..?$                         # the number in a list
    """,
    re.VERBOSE,
)


class WordCutter:
    """Cut text into words, each with the spaces that follow it; the first has those before it too.

    Chinese and Japanese come by character, with its punctuation; a word is cut after 100 characters.
    """

    rest = ""

    def feed(self, text: str) -> list[str]:
        """Return the words that *text* completes."""
        text, start, found = self.rest + text, 0, list[str]()
        while (match := _WORD.match(text, start)) and match.end() < len(text):
            found.append(match[0])
            start = match.end()
        self.rest = text[start:]
        return found

    def flush(self) -> list[str]:
        """Return what is left at the end of the text, if anything."""
        return [self.rest] if self.rest else []


class SentenceCutter:
    """Cut text into sentences, each with the spaces that follow it.

    A sentence ends at a stop with its closing quotes and brackets, and at the end of a line. Where it
    is in doubt, it goes on: a pause in the middle of one sounds worse than a late one.
    """

    def __init__(self, max_chars: int = 300) -> None:
        """Cut what is longer than *max_chars* characters behind a clause, or else a word."""
        if not is_whole(max_chars, least=1):
            raise ConfigurationError(f"max_chars is {max_chars!r}: give a whole number above 0")
        self._max = max_chars
        self._words = WordCutter()
        self._held = ""

    def feed(self, text: str) -> list[str]:
        """Return the sentences that *text* completes."""
        words = self._words.feed(text)
        following = [*words[1:], self._words.rest]
        return [
            piece for at, word in enumerate(words) for piece in self._add(word, following[at][0])
        ]

    def flush(self) -> list[str]:
        """Return what is left at the end of the text, if anything."""
        return [*self._add(self._words.rest, ""), *self._cut(len(self._held))]

    def _add(self, word: str, following: str) -> list[str]:
        found: list[str] = []
        while self._held and len(self._held) + len(word) > self._max:
            clause = _CLAUSE.match(self._held)
            is_long = clause and clause.end() * 2 >= self._max
            found += self._cut(clause.end() if clause and is_long else len(self._held))
        self._held += word
        return found + (self._cut(len(self._held)) if _ends(self._held, word, following) else [])

    def _cut(self, end: int) -> list[str]:
        piece, self._held = self._held[:end], self._held[end:]
        return [piece[at : at + self._max] for at in range(0, end, self._max)]


def _ends(text: str, last: str, char: str) -> bool:
    """Whether the sentence *text*, whose last word is *last*, ends before *char*."""
    if "\n" in last:
        return True
    if not (match := _STOPPED.fullmatch(last)):
        return False
    stop, closers = match.groups()
    if stop == "." and _ABBREVIATED.search(text[: len(text) - len(closers)][-60:] + char):
        return False
    mark = stop.strip(".．…")
    if not last[-1].isspace():  # as before a sign of Chinese
        return mark != "" or stop in ".．"
    if char in f"{_STOPS}{_BRACKETS},;:":
        return False
    return mark.strip("!?") != "" or not char.islower() or (mark != "" and not closers.strip())


class Pieces(AsyncIterator[str]):
    """Pieces of a text that arrives in other pieces.

    A class rather than a generator: when a loop ends, asyncio closes all generators at once, and one
    of two nested ones would fail. Nothing holds it, so leaving it early closes what it reads.
    """

    def __init__(self, texts: AsyncIterator[str], cutter: WordCutter | SentenceCutter) -> None:
        self._texts = texts
        self._cutter = cutter
        self._pieces: deque[str] = deque()
        self._end: Exception | None = None

    async def __anext__(self) -> str:
        """Return the next piece; an error comes behind the text that preceded it."""
        while not self._pieces:
            if (end := self._end) is not None:
                await self.aclose()
                try:
                    raise end
                finally:
                    del end  # its traceback holds this frame: together, a cycle
            try:
                self._pieces.extend(self._cutter.feed(await anext(self._texts)))
            except Exception as error:  # noqa: BLE001 - raised behind the text that preceded it
                # without this frame, which holds us: together, a cycle
                self._end = error.with_traceback(
                    error.__traceback__ and error.__traceback__.tb_next
                )
                self._pieces.extend(self._cutter.flush())
        return self._pieces.popleft()

    async def aclose(self) -> None:
        """Close what is read."""
        self._end = StopAsyncIteration()
        self._pieces.clear()
        if hasattr(self._texts, "aclose"):
            await self._texts.aclose()
