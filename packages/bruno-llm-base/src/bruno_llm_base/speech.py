"""Words and sentences of a text that arrives in any pieces, for speech output.

Libraries that find sentences need the whole text: what they take for one changes with what follows.
A cut is made here when it is certain, so the pieces do not depend on how the text arrives, and
together they are the text, to the character. The rules serve text that mixes languages.
"""

# ruff: noqa: RUF001, SIM905 - signs of other scripts look like ours; lists of words are texts

import re
from collections import deque
from collections.abc import AsyncIterator
from unicodedata import category, combining

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.values import is_whole

__all__ = ["MAX_CHARS", "Pieces", "SentenceCutter", "WordCutter"]

MAX_CHARS = 300
"""How long a sentence may get before it is cut without an end."""

_LONGEST_WORD = 100

_FULL_STOPS = "。！？｡؟۔।॥։።፧၊။។៕᠃᠉‼⁇⁈⁉⸮"  # need neither a space after them nor a capital
_STOPS = f".!?…．{_FULL_STOPS}"
_BRACKETS = ")]}）］｝」』】〉》〕〗"
_CLOSERS = f"{_BRACKETS}\"'”’»›*_`~＂＇\ufe0f"
_PAUSES = tuple(",;:—–，、；：､،؛")
_GOES_ON = f"{_STOPS}{_BRACKETS},;:&/=，、；：،؛"

# Chinese and Japanese put no spaces between words, and some signs not at the beginning of a line.
_WIDE = (
    "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f"
    "\U00020000-\U0003ffff"
)
_OPENERS = re.escape("([{（［｛「『【〈《〔〖“‘«")
_KEPT = (
    re.escape(_STOPS + _CLOSERS + "".join(_PAUSES))
    + "%・％‥ー々ゝゞヽヾ〜～ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ"
)
_SPACE = r"[^\S\xa0\u2007\u202f]"  # at which a line may be broken
_BREAK = re.compile(
    rf"(?<={_SPACE})(?=[^\s{re.escape(_BRACKETS)}»!?:;…])"  # French puts one before its signs
    rf"|(?<={_SPACE}{{2}})(?=\S)|(?<=[\n\r\v\f\x85\u2028\u2029])(?=\S)"
    rf"|(?<=[{_WIDE}{_FULL_STOPS}])(?<![{_OPENERS}])(?=[^\s{_KEPT}])"
    rf"|(?<=[^\s{_OPENERS}])(?=[{_WIDE}])(?=[^\s{_KEPT}])"
)


def joined(before: str, char: str) -> bool:
    """Whether two neighbouring characters belong to one that a reader sees, such as an emoji."""
    if before < "\u0300" and char < "\u0300":
        return before == "\r" and char == "\n"
    return (
        (category(char)[0] == "M" or char in "\u0e33\u0eb3\u200c\u200d\uff9e\uff9f")
        or "\u1160" <= char <= "\u11ff"  # Korean letters that never come first
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # tones of skin
        or "\U000e0020" <= char <= "\U000e007f"  # regions of flags
        or (before == "\u200d" and not char.isascii())
        or ("\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= char <= "\U0001f1ff")
        or (combining(before) == 9 and category(char) == "Lo")  # a virama
    )


class WordCutter:
    """Cut text into words, each with the spaces that follow it; the first has those before it too.

    Chinese and Japanese come by character, with its punctuation; a word is cut after *longest*
    characters.
    """

    def __init__(self, longest: int = _LONGEST_WORD) -> None:
        self._longest = longest
        self._begun = 0  # how many characters of `rest` are known not to be followed by a cut
        self.rest = ""

    def feed(self, text: str) -> list[str]:
        """Return the words that *text* completes."""
        text, start, found = self.rest + text, 0, list[str]()
        for end in (*(match.start() for match in _BREAK.finditer(text, self._begun)), len(text)):
            while end - start > self._longest:
                places = range(max(start + self._longest, self._begun), end)
                cut = next((at for at in places if not joined(text[at - 1], text[at])), None)
                if cut is None:
                    break
                found.append(text[start:cut])
                start = cut
            word = text[start:end]
            if end < len(text) and not joined(text[end - 1], text[end]) and not word.isspace():
                found.append(word)
                start = end
        self.rest = text[start:]
        self._begun = len(self.rest)
        return found

    def flush(self) -> list[str]:
        """Return what is left at the end of the text, if anything."""
        rest, self.rest, self._begun = self.rest, "", 0
        return [rest] if rest else []


class SentenceCutter:
    """Cut text into sentences, each with the spaces that follow it.

    A sentence ends at a stop with its closing quotes and brackets, and at the end of a line. The
    first character behind the spaces decides: a small letter goes on with the sentence, and so does
    anything behind an abbreviation, an initial, or the number of a list. Where it is in doubt, the
    sentence goes on: a pause in the middle of one sounds worse than a late one.
    """

    def __init__(self, max_chars: int = MAX_CHARS) -> None:
        """Cut what is longer than *max_chars* characters behind a clause, or else a word.

        Raises:
            ConfigurationError: *max_chars* is not a whole number above 0.
        """
        if not is_whole(max_chars, least=1):
            raise ConfigurationError(f"max_chars is {max_chars!r}: give a whole number above 0")
        self._max = max_chars
        self._words = WordCutter(min(max_chars, _LONGEST_WORD))
        self._held = ""  # of a sentence
        self._clause = 0  # where its last clause ends

    def feed(self, text: str) -> list[str]:
        """Return the sentences that *text* completes."""
        found: list[str] = []
        words = self._words.feed(text)
        for word, following in zip(words, [*words[1:], self._words.rest], strict=bool(words)):
            found += self._add(word)
            if _ends(self._held[: -len(word)], word, following[0]):
                found.append(self._cut(len(self._held)))
        return found

    def flush(self) -> list[str]:
        """Return what is left at the end of the text, if anything."""
        found = [piece for word in self._words.flush() for piece in self._add(word)]
        return [*found, self._cut(len(self._held))] if self._held else found

    def _add(self, word: str) -> list[str]:
        found: list[str] = []
        while self._held and len(self._held) + len(word) > self._max:
            is_long = self._clause * 2 >= self._max
            found.append(self._cut(self._clause if is_long else len(self._held)))
        self._held += word
        if word.rstrip().rstrip(_CLOSERS).endswith(_PAUSES):
            self._clause = len(self._held)
        return found

    def _cut(self, end: int) -> str:
        piece, self._held, self._clause = self._held[:end], self._held[end:], 0
        return piece


# Only short forms that a capital, a number or a quotation may follow: before a small letter no
# sentence ends anyway. Those that often end one, such as "etc." and "Inc.", are left out.
_SHORT = frozenset("""
    Mr Mrs Ms Mx Dr Prof St Mt Ft Gen Gov Sen Rep Lt Col Capt Cpt Cmdr Sgt Maj Adm Rev Hon Pres Supt
    Messrs Mme Mmes Mlle Mgr Sr Sra Srta Sres Dra Ud Uds Hr Fr Frl Dipl Ing Mag Sig Dott Avv Arch
    Exmo Ph EE AA
    vs cf viz ca approx resp incl excl esp fig figs núm pág págs aprox av avda env réf tél
    bzw bspw ggf ggfs evtl inkl exkl zzgl abzgl bzgl vgl sog nr abb bd kap aufl hrsg mio mrd
    bijv dhr mevr drs np ul św гл им ул стр
""".split())
_SHORT_BEFORE_NUMBERS = frozenset("""
    no nos pp vol vols ch chap sec sect art arts para eq eqs ver tab tel ext apt rm abs pos max min
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
""".split())
_BEFORE_ORDINAL = frozenset("der die das den dem des am im vom zum zur ab bis seit und".split())
_INITIALS = re.compile(r"(?:[^\W\d_]{1,2}\.)*[^\W\d_]")  # J, U.S, z.B, Ph.D
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_STOPPED = re.compile(
    rf"(?:.*\s)?(\S*?)([{_STOPS}]+)([{re.escape(_CLOSERS)}“‘«‹]*\s*(?:[{re.escape(_BRACKETS)}»]+\s*)*)",
    re.DOTALL,
)


def _ends(before: str, last: str, char: str) -> bool:
    """Whether a sentence of *before* and the word *last* ends before *char*, which is not a space."""
    if last.splitlines() != [last]:
        return True
    match = _STOPPED.fullmatch(last)
    if match is None:
        return False
    word, stop, closers = match.groups()
    if stop in ".．" and _is_short(before, word.lstrip("\"'“„«‘‚(*_[¿¡"), char):
        return False
    mark, text = stop.strip(".．…"), before + last
    if not last[-1].isspace():  # as before a sign of Chinese
        return mark != "" or stop in ".．"
    if char in _GOES_ON or (char == "»" and text.rfind("«") > text.rfind("»")):
        return False
    return mark.strip("!?") != "" or not char.islower() or (mark != "" and not closers.strip())


def _is_short(before: str, word: str, char: str) -> bool:
    """Whether the dot behind *word* belongs to it, as in "Dr. No", rather than to a sentence."""
    lower = word.lower()
    first = before.rstrip().endswith(":") or not any(map(str.isalnum, before))
    if _NUMBER.fullmatch(word):
        return first or before.rsplit(maxsplit=1)[-1].lower() in _BEFORE_ORDINAL
    if lower in ("a.m", "p.m") or (word == "I" and not first):
        return False
    return bool(
        not _SHORT.isdisjoint((word, lower))
        or _INITIALS.fullmatch(word)
        or (lower in _SHORT_BEFORE_NUMBERS and char.isdecimal())
    )


class Pieces(AsyncIterator[str]):
    """Pieces of a text that arrives in other pieces.

    A class of its own rather than a generator: when a loop ends, asyncio closes all generators at
    once, and one of two nested ones would fail. Nothing holds it, so leaving it early closes what it
    reads.
    """

    def __init__(self, texts: AsyncIterator[str], cutter: WordCutter | SentenceCutter) -> None:
        self._texts = texts
        self._cutter = cutter
        self._pieces: deque[str] = deque()
        self._end: Exception | None = None

    async def __anext__(self) -> str:
        """Return the next piece; an error comes behind the text that preceded it."""
        while not self._pieces:
            if self._end is not None:
                end = self._end
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
        aclose = getattr(self._texts, "aclose", None)
        if aclose is not None:
            await aclose()
