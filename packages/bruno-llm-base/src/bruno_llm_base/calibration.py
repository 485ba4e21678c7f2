"""Learning how one model counts from what its server reports.

Each kind of writing takes some multiple, its factor, of what the general estimate says. What a count
was off by corrects the factors of the kinds that it had, the more the less is known of them, and a
little those of all others, which mostly go the same way: a Kalman filter.
"""

from math import sqrt
from operator import mul
from typing import NamedTuple

from bruno_llm_base.messages import Conversation
from bruno_llm_base.tokens import (
    DEVIATIONS,
    KINDS,
    Shares,
    TokenCount,
    conversation_shares,
    text_shares,
    texts,
    whole,
)
from bruno_llm_base.values import is_whole

__all__ = ["Calibration"]

_TOGETHER = 0.4  # how far all factors of a model may be from 1 together: one standard deviation
_LEAST = 1 / 8  # of what the general estimate says
_MOST_AROUND = 300.0  # tokens of a server's own system prompt
_NOISE = 0.08  # what no factor explains, as a fraction of the tokens

_FIRST, _EVERY = 32, 16  # learn from each of the first answers, then from one in so many
_LONGEST = 65_536  # characters
_UNCALIBRATED, _LEAST_ERROR = 0.5, 0.1
_LATELY = 0.15  # how much the latest answer says about how far the next count will be off


class _Knowledge(NamedTuple):
    """What is known after so many answers; never changed, so that threads may share it."""

    answers: int
    factors: Shares
    covariances: tuple[Shares, ...]  # of the factors
    spread: float  # mean square of what the counts of late were off by


_NOTHING = _Knowledge(
    0,
    (1.0,) * len(KINDS),
    tuple(
        tuple(
            _TOGETHER**2 + (deviation**2 if kind == other else 0.0) for other in range(len(KINDS))
        )
        for kind, deviation in enumerate(DEVIATIONS)
    ),
    (_UNCALIBRATED / 2) ** 2,
)


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
            InvalidRequestError: It is not a text.
        """
        return self._count(whole(self._weighed(text_shares(text)), text))

    def count_conversation(self, conversation: Conversation) -> TokenCount:
        """Count all that is said in *conversation*, and what marks who says it."""
        return self._count(max(round(self._weighed(conversation_shares(conversation))), 1))

    def learn(self, conversation: Conversation, reported: int) -> None:
        """Learn from the input tokens that the server *reported* for *conversation*.

        What cannot be the count of all that is said, such as of a prompt that the server cut, is
        ignored; so is what is longer than 65,536 characters, which would take too long.
        """
        if not is_whole(reported, least=1) or sum(map(len, texts(conversation))) > _LONGEST:
            return
        shares = conversation_shares(conversation)
        if 0.4 * sum(shares) <= reported <= 6 * sum(shares) + _MOST_AROUND:
            self._known = _learned(self._known, shares, reported)

    def _weighed(self, shares: Shares) -> float:
        tokens: float = sum(map(mul, self._known.factors, shares))
        return max(tokens, _LEAST * sum(shares))

    def _count(self, tokens: int) -> TokenCount:
        answers = self._known.answers
        by = f", calibrated by {answers} answer{'s'[: answers > 1]}" if answers else ""
        error = max(_LEAST_ERROR, 2 * sqrt(self._known.spread))
        return TokenCount(
            tokens=tokens, exact=False, source=f"estimate{by}", error=min(error, _UNCALIBRATED)
        )


def _learned(known: _Knowledge, shares: Shares, reported: int) -> _Knowledge:
    predicted = max(sum(map(mul, known.factors, shares)), 1.0)
    off = reported - predicted
    seen = [(kind, share) for kind, share in enumerate(shares) if share]
    shared = [sum([row[kind] * share for kind, share in seen]) for row in known.covariances]
    variance = sum(map(mul, shared, shares)) + (_NOISE * reported + 1) ** 2
    gains = [covariance / variance for covariance in shared]
    return _Knowledge(
        answers=known.answers + 1,
        factors=tuple(
            factor + gain * off for factor, gain in zip(known.factors, gains, strict=True)
        ),
        covariances=tuple(
            tuple([one - gain * other for one, other in zip(row, shared, strict=True)])
            for row, gain in zip(known.covariances, gains, strict=True)
        ),
        spread=known.spread + _LATELY * (min((off / predicted) ** 2, 1.0) - known.spread),
    )
