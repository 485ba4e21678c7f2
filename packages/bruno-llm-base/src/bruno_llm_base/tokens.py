"""Estimating tokens without asking a server.

A text is reduced to its shape, in which every character is the letter of its kind, and whose patterns
are counted at the speed of `bytes.count`. The weights were fitted in November 2026 against o200k_base
(tiktoken 0.14), by non-negative least squares of the relative error, on 108 texts of 26 classes; the
corpus in the tests, which `docs/counting.md` reports on, was not among them. No pattern weighs more
than its UTF-8 bytes, so two texts hardly take fewer tokens apart than in one.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import Text, ToolCall, ToolResult
from bruno_llm_base.values import shown

Shares = tuple[float, ...]
"""Tokens that each of `KINDS` takes."""

# Where in Unicode a kind of character begins; it lasts until the next. Latin letters: a usual, z rare
# in English, A capital, e with an accent, v Vietnamese. 0 digits, . ASCII signs, p other signs,
# _ white space, n new lines, R a run of one sign. g Greek, y Cyrillic, h Hebrew, r Arabic, i Indic,
# t Thai, o hangul, c Han, k kana, m emoji, ? everything else.
_BLOCKS = (
    "0. 1R 2. 9_ An B_ Dn E. 20_ 21. 300 3A. 41A 5B. 61a 6Az 6Ca 71z 72a 7Az 7B. 80p C0e D7p D8e F7p"
    " F8e 110v 112e 1A0v 1B1e 250? 300v 370g 400y 530? 590h 600r 800? 900i E00t E80? 1100o 1200?"
    " 1E00v 1F00g 2000p 200Dm 200Ep 2300m 2400p 2600m 27C0p 2B00m 2C00? 2E80c 3000p 3040k 3100? 3130o"
    " 3190? 31F0k 3200? 3400c 4DC0? 4E00c A000? AC00o D7B0? D800p E000? F900c FB00? FB50r FE00m FE10?"
    " FE70r FF00p 10000? 1F000m 20000?"
)

# What takes tokens: how far the tokens that a model makes of it may be from the estimate, as a
# multiple of that (one standard deviation), and the tokens per pattern of a shape, "+" being a run.
# Tokenizers differ most in what is foreign to one made for English; the estimates for digits and for
# Vietnamese letters are small because o200k_base joins them.
_TABLE: dict[str, tuple[float, dict[str, float]]] = {
    "words": (0.3, {"a+": 0.41}),
    "letters": (0.3, {"a": 0.13}),
    "rare letters": (1.0, {"az": 0.7, "zz": 0.7, "ez": 0.7}),
    "accented letters": (3.0, {"e": 0.8}),
    "Vietnamese letters": (16.0, {"v": 0.12}),
    "capitals": (0.5, {"A_": 0.75, "A.": 0.75, "An": 0.75, "AAAA": 0.35, "aA": 0.45}),
    "numbers": (
        0.8,
        {"0+": 0.9, "_0": 0.9, "0a": 0.2, "a0": 0.2, "0A": 0.4, "A0": 0.4},
    ),
    "digits": (4.0, {"0": 0.12}),
    "signs": (0.3, {".+": 0.68, ".": 0.07}),
    "white space": (0.5, {"R": 0.92, "__": 0.75, "n+": 0.38}),
    "Greek and Cyrillic": (1.5, {"g": 0.41, "y": 0.15, "y+": 0.98}),
    "Hebrew and Arabic": (1.5, {"h": 0.32, "h+": 0.58, "r": 0.23, "r+": 0.69}),
    "Indic and Thai": (1.5, {"i": 0.27, "i+": 0.35, "t": 0.43}),
    "hangul": (1.5, {"o": 0.47, "o+": 0.8}),
    "Han and kana": (1.5, {"c": 0.77, "k": 0.67}),
    "emoji": (1.0, {"m": 1.78}),
    "other writing": (1.0, {"?": 2.0, "p": 1.0}),
    # what a server puts around what is said: https://cookbook.openai.com, "How to count tokens with
    # tiktoken"; servers add system prompts of their own
    "media": (1.0, {}),  # the most that they may take, by their vendor
    "parts": (0.5, {}),
    "conversation": (6.0, {}),
}
_PER_PART, _PER_CONVERSATION = 4.0, 3.0
_PER_REPEATED = 0.02  # tokens for each sign of a run but the first, beside those of the run

KINDS = tuple(_TABLE)
DEVIATIONS = tuple(deviation for deviation, _ in _TABLE.values())
_RUNS = KINDS.index("white space")


def _shapes() -> str:
    starts = [(int(block[:-1], 16), block[-1]) for block in _BLOCKS.split()]
    return "".join(kind * (end - at) for (at, kind), (end, _) in pairwise(starts))


_SHAPES = _shapes()
_REPEATED = re.compile(r"([\x00-/:-@\[-`{-\x7f])\1{3,}")
_PLAIN = bytes.maketrans(b"zev", b"aaa")
# the kind, a letter that a shape must have to hold the pattern, the pattern and its weight
_PATTERNS = [
    (kind, ord(next(filter("zev0A".count, pattern), pattern[0])), pattern.encode(), weight)
    for kind, (_, patterns) in enumerate(_TABLE.values())
    for pattern, weight in patterns.items()
]
_ONLY = {
    letter: bytes(byte if byte == letter else 32 for byte in range(256)) for letter in range(128)
}


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of *text*: at least 1 for any, at most its UTF-8 bytes."""
    return whole(sum(text_shares(text)), text)


def estimate_conversation(conversation: Conversation) -> int:
    """Estimate the tokens of all that is said in *conversation*, and of what marks who says it."""
    return round(sum(conversation_shares(conversation)))


def whole(tokens: float, text: str) -> int:
    """Return an estimate for *text* as a number that a tokenizer of bytes could give."""
    return min(max(round(tokens), 1), utf8_size(text))


def utf8_size(text: str) -> int:
    """Return the bytes of *text*, of which each is one token at most."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def text_shares(text: str) -> Shares:
    """Return how many tokens each kind of writing in *text* takes, in time linear in it."""
    if not isinstance(text, str):
        raise InvalidRequestError(f"text is {shown(text)}: give a text")
    short = _REPEATED.sub("\x01", text)
    shape = short.translate(_SHAPES).encode("ascii", "replace")
    plain = shape.translate(_PLAIN)
    shares = [0.0] * len(KINDS)
    shares[_RUNS] = _PER_REPEATED * (len(text) - len(short))
    for kind, letter, pattern, weight in _PATTERNS:
        source = shape if letter in b"zev" else plain
        if letter in source:
            is_run = pattern.endswith(b"+")
            shares[kind] += weight * (_runs(source, letter) if is_run else source.count(pattern))
    return tuple(shares)


def _runs(shape: bytes, letter: int) -> int:
    alone, sign = shape.translate(_ONLY[letter]), bytes((letter,))
    if sign == b"0":  # o200k_base cuts numbers into three digits
        alone = alone.replace(b"000", b" 0 ")
    return alone.count(b" " + sign) + alone.startswith(sign)


def texts(conversation: Conversation) -> Iterator[str]:
    """Give all in *conversation* that is read again, which thoughts and vendors' blocks mostly are not."""
    if conversation.system:
        yield conversation.system
    for turn in conversation.turns:
        for part in turn.parts:
            if isinstance(part, Text):
                yield part.text
            elif isinstance(part, ToolCall):
                yield f"{part.name}{part.arguments}"
            elif isinstance(part, ToolResult):
                yield part.content


def conversation_shares(conversation: Conversation) -> Shares:
    """Return how many tokens each of `KINDS` takes in *conversation*."""
    parts = [text_shares(text) for text in texts(conversation)]
    total = [sum(share) for share in zip(*parts, strict=True)] or [0.0] * len(KINDS)
    media = sum([each.tokens for each in conversation.media])
    total[-3:] = media, _PER_PART * len(parts), _PER_CONVERSATION
    return tuple(total)
