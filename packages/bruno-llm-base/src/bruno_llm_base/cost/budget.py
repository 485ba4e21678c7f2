"""How much money may be spent, and that no request spends more."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from threading import Lock
from typing import Any, Literal, get_args

from bruno_llm_base.config import did_you_mean
from bruno_llm_base.cost.ledger import Balance, Hold
from bruno_llm_base.cost.money import MOST, amount, pico, usd
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import BudgetExceededError, ConfigurationError
from bruno_llm_base.values import shown

__all__ = ["Budget"]

_Period = Literal["total", "day", "month"]
_OnUnknown = Literal["refuse", "allow"]


class Budget:
    """The most that may be spent, in USD.

    Before a request is sent, the most that it can cost is held, and let go of when its real cost is
    recorded; a request for which too little is left is refused. So requests at the same time, be it
    in tasks, threads or, with a tracker on a file, processes, cannot spend more together. What they
    hold counts in every period: a request may begin on one day and be paid on the next.

    Its memory is the tracker that a provider is given as `cost=`, and all that is recorded there
    counts, whoever asked. Without one it records in memory. It has one tracker: providers that
    share a budget share the tracker.

    Args:
        limit: USD, as a Decimal, a number or a text; a float means what it is printed as.
        per: What the limit is for: "total", all that the tracker knows; "day" and "month", in UTC.
        warn_at: From which part of the limit on observers are warned, above 0 to 1; what is held
            counts as spent.
        on_unknown_price: What happens to a request of a model whose price nobody knows: "refuse"
            it, or "allow" it as if it were free.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range.
    """

    def __init__(
        self,
        limit: Decimal | float | str,
        *,
        per: _Period = "total",
        warn_at: float = 0.8,
        on_unknown_price: _OnUnknown = "refuse",
    ) -> None:
        dollars, part = amount(limit), amount(warn_at)
        if dollars is None or not 0 < dollars <= MOST:
            raise ConfigurationError(f"Budget.limit is {shown(limit)}: give USD above 0")
        if part is None or isinstance(warn_at, str) or not 0 < part <= 1:
            raise ConfigurationError(
                f"Budget.warn_at is {shown(warn_at)}: give a part of the limit, above 0 to 1"
            )
        for name, value, known in (
            ("per", per, get_args(_Period)),
            ("on_unknown_price", on_unknown_price, get_args(_OnUnknown)),
        ):
            if value not in known:
                raise ConfigurationError(
                    f"Budget.{name} is {shown(value)}{did_you_mean(str(value), known)}"
                )
        self._limit = dollars
        self._per = per
        self._warn_at = warn_at
        self._most = pico(dollars)
        self._warn_from = self._most * Fraction(part)
        self._on_unknown_price = on_unknown_price
        self._tracker: CostTracker | None = None
        self._lock = Lock()
        self._warned: str | None = None

    @property
    def limit(self) -> Decimal:
        """The limit, in USD."""
        return self._limit

    @property
    def per(self) -> str:
        """What the limit is for: "total", "day" or "month"."""
        return self._per

    @property
    def on_unknown_price(self) -> str:
        """What happens to requests of models whose price nobody knows."""
        return self._on_unknown_price

    @property
    def tracker(self) -> CostTracker:
        """The tracker whose records count; one in memory if none was given."""
        with self._lock:
            if self._tracker is None:
                self._tracker = CostTracker()
            return self._tracker

    def of(self, tracker: CostTracker) -> None:
        """Count what *tracker* records.

        Raises:
            ConfigurationError: Another one counts already.
        """
        with self._lock:
            ours = self._tracker
            if ours is None:
                self._tracker = tracker
            elif tracker is not ours and (ours.path is None or ours.path != tracker.path):
                raise ConfigurationError(
                    f"{self} counts what {ours} records, and is given with {tracker}: give every"
                    " provider that shares the budget the same cost=, or each its own Budget"
                )

    def spent(self) -> Decimal:
        """Return what was spent in this period, in USD; requests on their way do not count yet.

        Raises:
            ConfigurationError: The tracker's file cannot be used.
        """
        return usd(self.tracker.ledger.balance(self._begins()).spent)

    def left(self) -> Decimal:
        """Return what is neither spent in this period nor held by requests on their way, in USD.

        Raises:
            ConfigurationError: The tracker's file cannot be used.
        """
        balance = self.tracker.ledger.balance(self._begins())
        return self._left(balance)

    def hold(self, needed: Decimal, warn: Callable[[Decimal, Decimal], None]) -> Hold:
        """Hold *needed*, in USD, for a request that is about to be sent.

        Args:
            needed: The most that the request can cost.
            warn: Is told what is spent or held, and the limit, once per period, when it is much.

        Raises:
            BudgetExceededError: There is less left.
            ConfigurationError: The tracker's file cannot be used.
        """
        since = self._begins()
        hold, before = self.tracker.ledger.hold(pico(needed), since, self._most)
        if hold is None:
            raise self._refusal(needed, before)
        gone = before.spent + before.held + hold.amount
        if gone >= self._warn_from:
            with self._lock:
                first, self._warned = self._warned != since, since
            if first:
                warn(usd(gone), self._limit)
        return hold

    def _left(self, balance: Balance) -> Decimal:
        return usd(max(0, self._most - balance.spent - balance.held))

    def _refusal(self, needed: Decimal, balance: Balance) -> BudgetExceededError:
        left = self._left(balance)
        spent, held = usd(balance.spent), usd(balance.held)
        per, ends = "", self._ends()
        cure = "shorten it, lower max_tokens, or raise the budget"
        if ends is not None:
            per = f" per {self._per}"
            cure += f"; it begins anew on {ends}, 00:00 UTC"
        return BudgetExceededError(
            f"the request may cost up to {needed:f} USD, and of the budget of {self._limit:f} USD{per}"
            f" {left:f} are left ({spent:f} are spent, {held:f} held by requests on their way): {cure}",
            allowed=self._limit,
            left=left,
            needed=needed,
        )

    def _begins(self) -> str:
        """Return the period's first day."""
        if self._per == "total":
            return ""
        today = self.tracker.today()
        return (today if self._per == "day" else today.replace(day=1)).isoformat()

    def _ends(self) -> date | None:
        """Return the day after the period; None if it has no end."""
        if self._per == "total":
            return None
        if self._per == "day":
            return self.tracker.today() + timedelta(days=1)
        return (self.tracker.today().replace(day=28) + timedelta(days=4)).replace(day=1)

    def __repr__(self) -> str:
        return f"Budget({self._limit:f}, per={self._per!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        settings = (self._limit, self._per, self._warn_at, self._on_unknown_price)
        return _rebuild, (*settings, self._tracker)


def _rebuild(
    limit: Decimal, per: Any, warn_at: float, unknown: Any, tracker: CostTracker | None
) -> Budget:
    budget = Budget(limit, per=per, warn_at=warn_at, on_unknown_price=unknown)
    if tracker is not None:
        budget.of(tracker)
    return budget
