"""What one provider's requests cost: held before they are sent, recorded when they have ended."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING

from bruno_llm_base.cost.budget import Budget, hold
from bruno_llm_base.cost.labels import Labels
from bruno_llm_base.cost.money import usd
from bruno_llm_base.cost.tables import Hold, Names
from bruno_llm_base.cost.tracker import CostTracker, names_of
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.observe import Tell
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.values import INT64, shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.prices import Prices

__all__ = ["Account", "Budgets", "Charge", "tracker_of"]


Budgets = Budget | Sequence[Budget] | None
"""What a provider is given as `budget=`."""


def _all_of(budget: Budgets) -> tuple[Budget, ...]:
    """Return all budgets.

    Raises:
        ConfigurationError: One of them is something else.
    """
    if budget is None:
        return ()
    budgets = tuple(budget) if isinstance(budget, Sequence) else (budget,)
    if not all(isinstance(each, Budget) for each in budgets):
        raise ConfigurationError(f"budget is {shown(budget)}: give a Budget, or a list of them")
    return budgets


def tracker_of(cost: CostTracker | None, budget: Budgets) -> CostTracker:
    """Return the tracker that a provider was given, be it with a budget.

    Raises:
        ConfigurationError: One of them is something else.
    """
    budgets = _all_of(budget)
    if cost is None and budgets:
        return next((each for each in budgets if each.has_tracker), budgets[0]).tracker
    if not isinstance(cost, CostTracker):
        raise ConfigurationError(f"cost is {shown(cost)}: give a CostTracker")
    return cost


class Account:
    """Where one provider's requests are paid from.

    Args:
        tracker: What they are recorded by.
        budget: What they must not exceed.
        prices: What they cost.

    Raises:
        ConfigurationError: A budget counts what another tracker records.
    """

    def __init__(self, tracker: CostTracker, budget: Budgets, prices: "Prices") -> None:
        self.budgets = _all_of(budget)
        for each in self.budgets:
            each.of(tracker)
        self.tracker = tracker
        self.prices = prices

    async def ready(self) -> None:
        """Load the price data, so that nothing of what follows takes long."""
        await self.prices.load()

    async def open(
        self,
        *,
        model: str,
        most_input: Callable[[], int],
        most_output: int | None,
        labels: Labels,
        tell: Tell,
        unlisted: str | None = None,
    ) -> "Charge":
        """Hold the most that a request can cost, if a budget counts it, just before it is sent.

        Args:
            model: The model that is asked.
            most_input: Counts the most tokens that its input can take.
            most_output: The most tokens that its output can take; None if nobody knows.
            labels: What it is for.
            tell: Tells its observers.
            unlisted: The field of the request for which lists of prices do not hold, if any.

        Returns:
            What is to be settled or cancelled, whatever comes of the request.

        Raises:
            BudgetExceededError: It might cost more than is left.
            ConfigurationError: Nobody knows what it might cost, or the tracker's file cannot be
                used.
        """
        names = names_of(self.prices.provider, model, labels)
        claims = [(each, claim) for each in self.budgets if (claim := each.claim(names))]
        held = None
        if claims:
            budgets = [budget for budget, _ in claims]
            needed = self._most(budgets, model, unlisted, most_input, most_output)
            if needed:  # what costs nothing may be sent even when all is spent
                held = await hold(claims, names, needed, tell)
        return Charge(self.tracker, names, held)

    def _most(
        self,
        budgets: Sequence[Budget],
        model: str,
        unlisted: str | None,
        most_input: Callable[[], int],
        most_output: int | None,
    ) -> Decimal:
        price = self.prices.price(model, unlisted=unlisted)
        if price is None:
            strict = [each for each in budgets if each.on_unknown_price == "refuse"]
            if not strict:
                return Decimal(0)
            what = model if unlisted is None else f"{model} with {unlisted}"
            raise ConfigurationError(
                f"the price of {what} is unknown, so {strict[0]} cannot hold: give its price,"
                f" CostTracker(prices={{{model!r}: Price(input=..., output=...)}}), or let it pass"
                ' uncounted, Budget(on_unknown_price="allow")',
                model=model,
            )
        if not price.ceiling(INT64, INT64):
            return Decimal(0)
        if most_output is None:
            raise ConfigurationError(
                f"a budget needs to know how long the answer of {model} can be: give max_tokens",
                model=model,
            )
        return price.ceiling(most_input(), most_output)


class Charge:
    """One request's account: `settle` it if it was sent, `cancel` it if not.

    Both may be called from any thread and any finalizer, never block or raise because of the
    ledger, and after the first call, or in a process that was forked meanwhile, do nothing.
    """

    def __init__(self, tracker: CostTracker, names: Names, hold: Hold | None) -> None:
        self._tracker = tracker
        self._owner = tracker.ledger.owner
        self._loop = asyncio.get_running_loop()
        self._names = names
        self._hold = hold
        self._ended = Lock()  # is taken once
        self._writing: Future[None] | None = None

    def settle(self, response: ModelResponse) -> None:
        """Note what the request took and cost, even if that is more than was held.

        If the server does not say what it took, and neither could we estimate it, all that was held
        is taken to be spent.
        """
        if not self._is_first():
            return
        hold = self._hold
        paid = None if response.cost is None else response.cost.total
        estimated = response.usage_estimated
        if paid is None and hold is not None:
            paid, estimated = usd(hold.amount), True
        self._tracker.enter(self._names, response.usage, paid, estimated=estimated, hold=hold)
        self._writing = self._tracker.ledger.write_soon()

    def cancel(self) -> None:
        """Let go of what was held: the request never reached the server."""
        if self._is_first() and self._hold is not None:
            self._tracker.ledger.note(self._hold)
            self._writing = self._tracker.ledger.write_soon()

    @property
    def is_writing(self) -> bool:
        """Whether to wait for what was noted: not where it is written already, or the loop is no more."""
        return self._writing is not None and not self._loop.is_closed()

    async def written(self) -> None:
        """Return when what was noted is written, and so survives whatever happens to the process.

        It is not lost if this is cancelled, or never called.
        """
        if self._writing is not None:
            with suppress(ConfigurationError):  # the ledger has logged it, and tries again
                await asyncio.wrap_future(self._writing)

    def _is_first(self) -> bool:
        return self._ended.acquire(blocking=False) and self._owner == self._tracker.ledger.owner
