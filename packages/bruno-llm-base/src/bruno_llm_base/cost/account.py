"""What one provider's requests cost: held before they are sent, recorded when they have ended."""

from collections.abc import Callable
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING

from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.labels import Labels
from bruno_llm_base.cost.ledger import Hold
from bruno_llm_base.cost.money import usd
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.observe import BudgetNearlySpent, Tell
from bruno_llm_base.types import ModelResponse
from bruno_llm_base.values import INT64, shown

if TYPE_CHECKING:
    from bruno_llm_base.pricing import Pricing, Tariff

__all__ = ["Account", "Charge", "tracker_of"]


def tracker_of(cost: CostTracker | None, budget: Budget | None) -> CostTracker:
    """Return the tracker that a provider was given, be it with its budget.

    Raises:
        ConfigurationError: One of them is something else.
    """
    if not isinstance(budget, Budget | None):
        raise ConfigurationError(f"budget is {shown(budget)}: give a Budget")
    if cost is None and budget is not None:
        return budget.tracker
    if not isinstance(cost, CostTracker):
        raise ConfigurationError(f"cost is {shown(cost)}: give a CostTracker")
    return cost


class Account:
    """Where one provider's requests are paid from.

    Args:
        tracker: What they are recorded by.
        budget: What they must not exceed.
        pricing: What they cost.

    Raises:
        ConfigurationError: The budget counts what another tracker records.
    """

    def __init__(self, tracker: CostTracker, budget: Budget | None, pricing: "Pricing") -> None:
        if budget is not None:
            budget.of(tracker)
        self.tracker = tracker
        self.budget = budget
        self.pricing = pricing

    async def ready(self) -> None:
        """Load the price data, so that nothing of what follows takes long."""
        await self.pricing.load()

    def open(
        self,
        *,
        model: str,
        most_input: Callable[[], int],
        most_output: int | None,
        labels: Labels,
        tell: Tell,
        unlisted: str | None = None,
    ) -> "Charge":
        """Hold the most that a request can cost, if there is a budget, just before it is sent.

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
        hold, tariff = None, self.pricing.of(model, unlisted=unlisted)
        if self.budget is not None:
            needed = self._most(self.budget, model, tariff, most_input, most_output)
            if needed:  # what costs nothing may be sent even when all is spent
                hold = self.budget.hold(
                    needed,
                    lambda spent, allowed: tell(BudgetNearlySpent, spent=spent, allowed=allowed),
                )
        return Charge(self, model, tariff, labels, hold)

    def _most(
        self,
        budget: Budget,
        model: str,
        tariff: "Tariff",
        most_input: Callable[[], int],
        most_output: int | None,
    ) -> Decimal:
        price = tariff.price()
        if price is None:
            if budget.on_unknown_price == "allow":
                return Decimal(0)
            raise ConfigurationError(
                f"nobody knows what {tariff} costs, so {budget} cannot hold: give its price,"
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

    Both may be called from any thread and any finalizer, never raise because of the ledger, and
    after the first call do nothing.
    """

    __slots__ = ("_account", "_ended", "_hold", "_labels", "_model", "_tariff")

    def __init__(
        self, account: Account, model: str, tariff: "Tariff", labels: Labels, hold: Hold | None
    ) -> None:
        self._account = account
        self._model = model
        self._tariff = tariff
        self._labels = labels
        self._hold = hold
        self._ended = Lock()  # is taken once

    def settle(self, response: ModelResponse) -> None:
        """Record what the request took and cost, even if that is more than was held.

        It is written when this returns. If the server does not say what it took, and neither could
        we estimate it, all that was held is taken to be spent.
        """
        if not self._ended.acquire(blocking=False):
            return
        account, hold = self._account, self._hold
        cost = self._tariff.cost(response)
        paid = None if cost is None else cost.total
        estimated = response.usage_estimated
        if paid is None and hold is not None:
            paid, estimated = usd(hold.amount), True
        account.tracker.enter(
            account.pricing.provider,
            self._model,
            self._labels,
            response.usage,
            paid,
            estimated=estimated,
            hold=hold,
        )

    def cancel(self) -> None:
        """Let go of what was held: the request never reached the server."""
        if self._ended.acquire(blocking=False) and self._hold is not None:
            self._account.tracker.ledger.note(self._hold)
