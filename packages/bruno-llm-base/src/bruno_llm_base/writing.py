"""Where text may be cut: what the world's scripts keep together, and short forms with a dot."""

# ruff: noqa: RUF001 - other scripts' signs look like ours

import re
from enum import Enum
from unicodedata import category

__all__ = ["Short", "breaks", "glued", "is_wide", "short_form"]

_FIRST_MARK = "\u0300"
_JOINER = "\u200d"

# Parts of a cluster that their category does not tell: vowel signs, joiners, sound marks, jamo.
_MARKS = frozenset(
    "\u0e33\u0eb3\u200c\u200d\uff9e\uff9f\U00016d63\U00016d67\U00016d68\U00016d69\U00016d6a"
)
_PREPENDED = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\u0d4e\u1cf5\u1cf6\U000110bd\U000110cd"
    "\U000111c2\U000111c3\U000113d1\U0001193f\U00011941\U00011a84\U00011a85\U00011a86\U00011a87"
    "\U00011a88\U00011a89\U00011a3a\U00011d46\U00011f02"
)
_NO_BREAK = frozenset("\xa0\u2007\u202f\u2060\ufeff")
_SMALL_KANA = frozenset("ぁぃぅぇぉっゃゅょゎゕゖァィゥェォッャュョヮヵヶ")


def glued(before: str, char: str) -> bool:
    """Whether two neighbouring characters may belong to one grapheme cluster.

    Clusters are those of https://unicode.org/reports/tr29/. Looking at two characters only, this
    can be asked as text arrives; where two do not tell, it says yes. So it parts no cluster, but
    may keep some together, such as the flags of a row.
    """
    if before < _FIRST_MARK and char < _FIRST_MARK:
        return before == "\r" and char == "\n"
    if before < " " or before in "\x7f\x85\u2028\u2029":
        return False
    return (
        _extends(char)
        or (before == _JOINER and not char.isascii())  # an emoji's next part
        or before in _PREPENDED
        or (_is_flag_half(before) and _is_flag_half(char))
        or (_is_first_jamo(before) and (_is_first_jamo(char) or "가" <= char <= "힣"))
        # a conjunct: its joining sign may stand behind other marks
        or (_extends(before) and category(char) == "Lo" and not is_wide(char))
    )


def _extends(char: str) -> bool:
    kind = category(char)
    return (
        kind in ("Mn", "Mc", "Me")
        or char in _MARKS
        or "\u1160" <= char <= "\u11ff"  # jamo that never come first
        or "\ud7b0" <= char <= "\ud7ff"
        or "\U0001f3fb" <= char <= "\U0001f3ff"  # skin tones
        or "\U000e0020" <= char <= "\U000e007f"  # flags of regions
        # newer than this Python's tables: it may be a mark, unless it stands among emoji
        or (kind == "Cn" and not "\U0001f000" <= char <= "\U0001faff")
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_first_jamo(char: str) -> bool:
    return "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c"


def is_wide(char: str) -> bool:
    """Whether *char* is of a script that puts no spaces between words: Chinese or Japanese."""
    return (
        "\u2e80" <= char <= "\u312f"
        or "\u31a0" <= char <= "\u9fff"
        or "\uf900" <= char <= "\ufaff"
        or ("\uff01" <= char <= "\uff9f" and not (char.isalnum() and char < "\uff61"))
        or "\U00020000" <= char <= "\U0003ffff"
    )


def breaks(before: str, char: str) -> bool:
    """Whether a word ends between two neighbouring characters that are not `glued`.

    It does where a line may end in the sense of https://unicode.org/reports/tr14/: after spaces,
    and between ideographs, which keep their punctuation and their small kana.
    """
    if char.isspace() or before in _NO_BREAK:
        return False
    if before.isspace():
        return char not in "!?:;"  # which French puts a space before
    if not (is_wide(before) or is_wide(char)):
        return False
    return (
        category(char) not in ("Pe", "Pf", "Po", "Pd", "Lm")
        and char not in _SMALL_KANA
        and category(before) not in ("Ps", "Pi")
    )


class Short(Enum):
    """What a word may be, that a dot follows."""

    NO = 0
    """A whole word: the dot may end a sentence."""

    BEFORE_NUMBER = 1
    """A short form where a number follows: "No. 5", but "No. I will not"."""

    YES = 2
    """A short form, which more belongs to."""


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Only short forms that a capital, a number or a quotation may follow: before a small letter no
# sentence ends anyway. Those that often end one, such as "etc." and "Inc.", are left out.
_TITLES = _listed("""
    Mr Mrs Ms Mx Dr Prof St Mt Ft Gen Gov Sen Rep Lt Col Capt Cpt Cmdr Sgt Maj Adm Rev Hon Pres Supt
    Messrs Mme Mmes Mlle Mgr Sr Sra Srta Sres Dra Ud Uds Hr Fr Frl Dipl Ing Mag Sig Dott Avv Arch
    Exmo Ph EE AA
""")
_SHORT = _listed("""
    vs cf viz ca approx resp incl excl esp fig figs
    bzw bspw ggf ggfs evtl inkl exkl zzgl abzgl bzgl vgl sog nr abb bd kap aufl hrsg mio mrd
    núm pág págs aprox av avda env réf tél bijv dhr mevr drs np ul św гл им ул стр
""")
_SHORT_BEFORE_NUMBERS = _listed("""
    no nos pp vol vols ch chap sec sect art arts para eq eqs ver tab tel ext apt rm abs pos max min
    jan feb mar apr jun jul aug sep sept oct okt nov dec dez
""")
_END_OF_DAY = frozenset(("a.m", "p.m"))
_INITIALS = re.compile(r"(?:[^\W\d_]{1,2}\.)*[^\W\d_]")  # J, U.S, z.B, Ph.D
_OUTLINE = re.compile(r"\d+(?:\.\d+)*")
# Words before a German day of the month or ordinal, whose dot is part of the number.
_BEFORE_ORDINAL = _listed("der die das den dem des am im vom zum zur ab bis seit und")


def short_form(word: str, *, after: str, first: bool) -> Short:
    """Say whether the dot that follows *word* belongs to it rather than to a sentence.

    Args:
        word: Any word.
        after: The word before it.
        first: Whether it begins a line or a sentence, where a number is that of a list.
    """
    word = word.lstrip("\"'“„«‘‚(*_[¿¡")
    lower = word.lower()
    if word.isdecimal() or _OUTLINE.fullmatch(word):
        return Short.YES if first or after.lower() in _BEFORE_ORDINAL else Short.NO
    if lower in _END_OF_DAY or (word == "I" and not first):
        return Short.NO
    if word in _TITLES or lower in _SHORT or _INITIALS.fullmatch(word):
        return Short.YES
    return Short.BEFORE_NUMBER if lower in _SHORT_BEFORE_NUMBERS else Short.NO
