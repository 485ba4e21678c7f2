"""Learning how one model counts from what its server reports.

Each kind of writing takes some multiple, its factor, of what the general estimate says. The factors
are those that explain the answers so far with the least squares, what is believed beforehand being
put in as if it had been learned (ridge regression): that factors are near 1, move together, and
those of other scripts more so. So ten answers are enough, and what was never seen goes with what is
like it.
"""

from collections.abc import Sequence
from math import hypot, sqrt
from operator import add, mul
from typing import NamedTuple

from bruno_llm_base.conversation import Conversation
from bruno_llm_base.tokens import (
    KINDS,
    Shares,
    TokenCount,
    conversation_shares,
    text_shares,
    texts,
    whole,
)
from bruno_llm_base.values import is_whole

__all__ = ["Calibration", "Calibrations"]

# How far the factors stray from 1, as standard deviations: all together, those of what is foreign to
# a tokenizer made for English together, and each alone. The estimates for digits and for Vietnamese
# letters are small, because o200k_base joins them; others do not. Servers put system prompts of
# their own around what is said.
_TOGETHER, _FOREIGN_TOGETHER = 0.4, 1.0
_FOREIGN = {
    "rare letters": 1.0,
    "accented letters": 2.0,
    "Vietnamese letters": 16.0,
    "endings": 1.0,
    "pairs": 4.0,
    "Greek and Cyrillic": 1.0,
    "Hebrew and Arabic": 1.0,
    "Indic and Thai": 1.0,
    "hangul": 1.0,
    "Han and kana": 1.0,
}
_ALONE = _FOREIGN | {
    "words": 0.2,
    "letters": 0.2,
    "capitals": 0.4,
    "numbers": 0.7,
    "digits": 4.0,
    "signs": 0.4,
    "white space": 0.4,
    "emoji": 0.5,
    "other writing": 1.0,
    "parts": 0.5,
    "conversation": 8.0,
}
_ALL, _ALL_FOREIGN = len(KINDS), len(KINDS) + 1  # two factors more, that the others stray from
_LEAST, _FARTHEST = 1 / 8, 5.0  # factors stay from an eighth to 1 + so many standard deviations

_MOST_AROUND = 300.0  # tokens
_NOISE = 0.08  # what no factor explains, as a fraction of the tokens
_SURPRISE = 3.0  # what is further off than so many times the usual teaches less,
_SETTLED = 16  # once so many answers have taught what is usual
_SWEEPS, _SETTLES = 50, 1e-3

_MOST_MODELS = 100  # the models that one process asks are few, unless its users name them
_FIRST, _EVERY = 32, 16  # learn from each of the first answers, then from one in so many
_LONGEST = 65_536
_UNCALIBRATED, _LEAST_ERROR = 0.5, 0.1
_LATELY = 0.15  # how much the latest answer says about how far the next count will be off


class _Knowledge(NamedTuple):
    """What is known after so many answers; never changed, so that threads may share it.

    The factors solve `matrix` times factors = `vector`, the normal equations, within their bounds.
    """

    answers: int
    factors: Shares
    matrix: tuple[Shares, ...]
    vector: Shares
    spread: float  # mean square of what the counts of late were off by


class Calibration:
    """How one model's tokenizer differs from the general estimate.

    It may be used from many threads: two that learn at once may lose one answer, nothing else.
    """

    def __init__(self) -> None:
        self._known = _NOTHING
        self._asked = 0

    @property
    def due(self) -> bool:
        """Whether learning from the next answer is worth its time; ask once per answer."""
        self._asked += 1
        return self._known.answers < _FIRST or self._asked % _EVERY == 0

    def count_text(self, text: str) -> TokenCount:
        """Count *text* alone, without what a server puts around it.

        Raises:
            InvalidRequestError: It is no text.
        """
        known = self._known
        return _count(known, whole(_dot(known.factors, text_shares(text)), text))

    def count_conversation(self, conversation: Conversation) -> TokenCount:
        """Count all that is said in *conversation*, and what marks who says it."""
        known = self._known
        tokens = _dot(known.factors, conversation_shares(conversation))
        return _count(known, max(round(tokens), 1))

    def learn(self, conversation: Conversation, reported: int) -> None:
        """Learn from the input tokens that the server *reported* for *conversation*.

        What cannot be the count of all that is said, such as of a prompt that the server cut, is
        ignored; so is what is longer than 65,536 characters, which would take too long.
        """
        if not is_whole(reported, least=1) or sum(map(len, texts(conversation))) > _LONGEST:
            return
        shares = conversation_shares(conversation)
        if _is_plausible(reported, sum(shares)):
            self._known = _learned(self._known, shares, reported)


class Calibrations:
    """What one provider has learned of its models' tokens."""

    def __init__(self) -> None:
        self._models: dict[str, Calibration] = {}

    def of(self, model: str) -> Calibration:
        """Return what is known of *model*; of too many, the one that came first is forgotten."""
        known = self._models.get(model)
        if known is None:
            if len(self._models) >= _MOST_MODELS:
                self._models.pop(next(iter(self._models)), None)
            known = self._models[model] = Calibration()
        return known


def _count(known: _Knowledge, tokens: int) -> TokenCount:
    if not known.answers:
        return TokenCount(tokens=tokens, exact=False, source="estimate", error=_UNCALIBRATED)
    answers = "1 answer" if known.answers == 1 else f"{known.answers} answers"
    return TokenCount(
        tokens=tokens,
        exact=False,
        source=f"estimate, calibrated by {answers}",
        error=min(max(_LEAST_ERROR, 2 * sqrt(known.spread)), _UNCALIBRATED),
    )


def _is_plausible(reported: int, estimate: float) -> bool:
    return 0.4 * estimate <= reported <= 6 * estimate + _MOST_AROUND


def _learned(known: _Knowledge, shares: Shares, reported: int) -> _Knowledge:
    predicted = max(_dot(known.factors, shares), 1.0)
    off = abs(reported - predicted) / predicted
    deviation = _NOISE * reported + 1
    if known.answers >= _SETTLED:
        deviation *= max(1.0, off / sqrt(known.spread) / _SURPRISE)
    matrix, vector = _added(known.matrix, known.vector, (*shares, 0.0, 0.0), reported, deviation)
    return _Knowledge(
        answers=known.answers + 1,
        factors=_solved(matrix, vector, known.factors),
        matrix=matrix,
        vector=vector,
        spread=known.spread + _LATELY * (min(off**2, 1.0) - known.spread),
    )


def _added(
    matrix: tuple[Shares, ...], vector: Shares, row: Shares, value: float, deviation: float
) -> tuple[tuple[Shares, ...], Shares]:
    """Return the normal equations with one more: *row* times factors = *value*, or about that."""
    weights = [one / deviation**2 for one in row]
    added = tuple(
        tuple(map(add, line, [weight * one for one in row])) if weight else line
        for weight, line in zip(weights, matrix, strict=True)
    )
    return added, tuple(map(add, vector, [weight * value for weight in weights]))


def _solved(matrix: tuple[Shares, ...], vector: Shares, factors: Shares) -> Shares:
    """Solve them by coordinate descent, which keeps each factor within its bounds."""
    solution = list(factors)
    for _ in range(_SWEEPS):
        moved = 0.0
        for kind, line in enumerate(matrix):
            old = solution[kind]
            step = (vector[kind] - _dot(line, solution)) / line[kind]
            solution[kind] = min(max(old + step, _LEAST), _MOST[kind])
            moved = max(moved, abs(solution[kind] - old))
        if moved < _SETTLES:
            break
    return tuple(solution)


def _believed() -> _Knowledge:
    """Return what is known before any answer: what a factor is like, and how far it strays."""
    size, foreign = len(KINDS) + 2, [KINDS.index(kind) for kind in _FOREIGN]
    matrix, vector = ((0.0,) * size,) * size, (0.0,) * size
    for kind, deviation in enumerate(_DEVIATIONS):
        like = _ALL_FOREIGN if kind in foreign else _ALL
        row = tuple((one == kind) - (one == like != kind) + 0.0 for one in range(size))
        matrix, vector = _added(matrix, vector, row, float(kind == _ALL), deviation)
    return _Knowledge(0, (1.0,) * size, matrix, vector, (_UNCALIBRATED / 2) ** 2)


def _dot(one: Sequence[float], two: Sequence[float]) -> float:
    total: float = sum(map(mul, one, two))
    return total


_DEVIATIONS = (*(_ALONE[kind] for kind in KINDS), _TOGETHER, _FOREIGN_TOGETHER)
_MOST = tuple(
    1 + _FARTHEST * hypot(deviation, _FOREIGN_TOGETHER if kind in _FOREIGN else _TOGETHER)
    for kind, deviation in zip((*KINDS, "", ""), _DEVIATIONS, strict=True)
)
_NOTHING = _believed()
