"""Learning how the models of one provider count from what its server reports.

Each kind of writing takes some multiple, its factor, of what the general estimate says. What a count
was off by corrects the factors of the kinds that it had, the more the less is known of them, and a
little those of all others, which mostly go the same way: a Kalman filter.
"""

from collections import deque
from contextlib import suppress
from math import sqrt
from operator import add, mul, sub
from typing import NamedTuple

from bruno_llm_base.messages import Conversation
from bruno_llm_base.response import TokenCount
from bruno_llm_base.tokens import (
    DEVIATIONS,
    KINDS,
    Shares,
    conversation_shares,
    text_shares,
    texts,
    whole,
)
from bruno_llm_base.values import is_whole

_TOGETHER = 0.4  # how far all factors of a model may be from 1 together: one standard deviation
_LEAST = 1 / 8  # of what the general estimate says
_MOST_AROUND = 300.0  # tokens of a server's own system prompt
_NOISE = 0.08  # what no factor explains, as a fraction of the tokens
_LONGEST = 65_536  # characters: more would take too long to learn from
_UNCALIBRATED, _LEAST_ERROR = 0.5, 0.1
_LATELY = 0.15  # how much the latest answer says about how far the next count will be off
_MOST_MODELS, _MOST_WAITING = 100, 16


_COVARIANCES = tuple(
    tuple(_TOGETHER**2 + (deviation**2 if kind == other else 0.0) for other in KINDS)
    for kind, deviation in zip(KINDS, DEVIATIONS, strict=True)
)


class Calibration(NamedTuple):
    """How one model's tokenizer differs from the general estimate; a value, which threads may share."""

    answers: int = 0
    factors: Shares = (1.0,) * len(KINDS)
    covariances: tuple[Shares, ...] = _COVARIANCES  # of the factors
    spread: float = (_UNCALIBRATED / 2) ** 2  # mean square of what the counts of late were off by

    def count_text(self, text: str) -> TokenCount:
        """Count *text* alone, without what a server puts around it."""
        return self._count(whole(self._tokens(text_shares(text)), text))

    def count_conversation(self, conversation: Conversation) -> TokenCount:
        """Count all that is said in *conversation*, and what marks who says it."""
        return self._count(max(round(self._tokens(conversation_shares(conversation))), 1))

    def learned(self, conversation: Conversation, reported: int) -> "Calibration":
        """Return what is known when a server has *reported* the input tokens of *conversation*.

        What cannot be the count of all that is said is ignored, as of a prompt that the server cut.
        """
        if not is_whole(reported, least=1) or sum(map(len, texts(conversation))) > _LONGEST:
            return self
        shares = conversation_shares(conversation)
        if not 0.4 * sum(shares) <= reported <= 6 * sum(shares) + _MOST_AROUND:
            return self
        predicted = max(sum(map(mul, self.factors, shares)), 1.0)
        off = reported - predicted
        shared = [sum(map(mul, row, shares)) for row in self.covariances]
        variance = sum(map(mul, shared, shares)) + (_NOISE * reported + 1) ** 2
        gains = [covariance / variance for covariance in shared]
        rows = zip(self.covariances, gains, strict=True)
        return Calibration(
            answers=self.answers + 1,
            factors=tuple(map(add, self.factors, (gain * off for gain in gains))),
            covariances=tuple(
                tuple(map(sub, row, (gain * each for each in shared))) for row, gain in rows
            ),
            spread=self.spread + _LATELY * (min((off / predicted) ** 2, 1.0) - self.spread),
        )

    def _tokens(self, shares: Shares) -> float:
        tokens: float = sum(map(mul, self.factors, shares))
        return max(tokens, _LEAST * sum(shares))

    def _count(self, tokens: int) -> TokenCount:
        by = f", calibrated by {self.answers} answer{'s'[: self.answers > 1]}"
        source = f"estimate{by if self.answers else ''}"
        error = min(max(_LEAST_ERROR, 2 * sqrt(self.spread)), _UNCALIBRATED)
        return TokenCount(tokens=tokens, exact=False, source=source, error=error)


class Calibrations:
    """What is known of each of a provider's models, learned when a count is wanted."""

    def __init__(self) -> None:
        self._by_model: dict[str, Calibration] = {}
        self._waiting: deque[tuple[str, Conversation, int]] = deque(maxlen=_MOST_WAITING)

    def learn(self, model: str, conversation: Conversation, reported: int) -> None:
        """Remember the input tokens that the server *reported* for *conversation*."""
        if reported <= _LONGEST:  # tokens have a character or more
            self._waiting.append((model, conversation, reported))

    def of(self, model: str) -> Calibration:
        """Return what is known of *model*; of too many, the one that taught first is forgotten."""
        known = self._by_model
        with suppress(IndexError):  # of another thread that counts
            while self._waiting:
                told, conversation, reported = self._waiting.popleft()
                known[told] = known.get(told, _NOTHING).learned(conversation, reported)
                if len(known) > _MOST_MODELS:
                    del known[next(iter(known))]
        return known.get(model, _NOTHING)


_NOTHING = Calibration()
