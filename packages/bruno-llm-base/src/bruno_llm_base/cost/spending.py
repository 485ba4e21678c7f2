"""What one provider's requests spend: held before they are sent, recorded when they have ended."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.cost.rows import Claim, Kept, Names, Settled, pico
from bruno_llm_base.cost.tracker import CostTracker, Labels, names_of
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.events import Tell
from bruno_llm_base.exceptions import ConfigurationError, LLMTimeoutError
from bruno_llm_base.response import ModelResponse
from bruno_llm_base.values import INT64, shown


class Spending:
    """Where one provider's requests are paid from.

    Args:
        cost: What they are recorded by; None for the budget's own tracker.
        budget: What they must not exceed.
        prices_by: Returns what they cost, given the tracker.

    Raises:
        ConfigurationError: One of them is something else, or a budget counts what another tracker
            records.
    """

    def __init__(
        self,
        cost: CostTracker | None,
        budget: Budget | Sequence[Budget] | None,
        prices_by: Callable[[CostTracker], Prices],
    ) -> None:
        budgets = budget if isinstance(budget, Sequence) else () if budget is None else (budget,)
        if not all(isinstance(each, Budget) for each in budgets):
            raise ConfigurationError(
                f'budget is {shown(budget)}: give Budget("5.00"), in USD, or a list of them'
            )
        if cost is None and budgets:
            cost = next((each for each in budgets if each.has_tracker), budgets[0]).tracker
        if not isinstance(cost, CostTracker):
            raise ConfigurationError(
                f'cost is {shown(cost)}: give CostTracker(), or CostTracker("costs.db") for a file'
            )
        for each in budgets:
            each.use(cost)
        self.budgets = tuple(budgets)
        self.tracker = cost
        self.prices = prices_by(cost)

    def labels(self) -> Labels:
        """Return the labels in effect here."""
        return self.tracker.labels()

    def hold(
        self,
        attempt: Any,
        *,
        model: str,
        most_input: Callable[[], int],
        most_output: int | None,
        deadline: Deadline,
        tell: Tell,
        media_tokens: Callable[[], Mapping[str, int]] = dict,
        labels: Labels | None = None,
        unpriced_field: str | None = None,
        batch: bool = False,
    ) -> "Hold":
        """Return the block in which an attempt is sent and answered.

        Args:
            attempt: It has a `response` at the end, with its usage and cost; None if it costs nothing.
            model: The model that is asked.
            most_input: Counts the most tokens that its input can take.
            most_output: The most tokens that its output can take; None if that is unknown.
            deadline: The time limit of its request: an answer is not held back beyond it.
            tell: Tells its observers.
            media_tokens: Counts the most that its media can take of these, by their kind.
            labels: What it is for; None for the labels in effect.
            unpriced_field: The field of the request for which lists of prices do not hold, if any.
            batch: Whether it is a row of a vendor's batch.

        Raises:
            ConfigurationError: A budget counts it, and what it might cost is unknown.
        """
        names = names_of(self.prices.provider, model, labels or self.labels())
        claims = [(each, claim) for each in self.budgets if (claim := each.claim(names))]
        needed = Decimal(0)
        if claims:
            price = self.prices.price(model, unpriced_field=unpriced_field, batch=batch)
            if price is None:
                for each, _ in claims:
                    each.check_unpriced(model, unpriced_field, batch=batch)
            elif price.ceiling(INT64, INT64):
                if most_output is None:
                    raise ConfigurationError(
                        f"a budget needs to know how long the answer of {model} can be: give"
                        " max_tokens",
                        model=model,
                    )
                needed = price.ceiling(most_input(), most_output, media_tokens())
        return Hold(self.tracker, attempt, names, claims, needed, deadline, tell)

    def settle(self, batch: str, key: str, response: ModelResponse, model: str) -> None:
        """Record, once, the answer to the row *key* of a *batch*, in which *model* was asked."""
        names = names_of(self.prices.provider, model, self.labels())
        paid = None if response.cost is None else response.cost.total
        entry = self.tracker.entry(names, response.usage, paid, estimated=response.usage_estimated)
        self.tracker.ledger.note_batch(Settled(batch, key, entry))

    def end(self, batch: str) -> None:
        """Release what is still held for a *batch*."""
        self.tracker.ledger.note_batch(Settled(batch))

    async def written(self) -> None:
        """Wait until what was noted is written; what cannot be is logged, kept and tried again."""
        if (writing := self.tracker.ledger.write_soon()) is not None:
            with suppress(ConfigurationError):
                await asyncio.wrap_future(writing)


@dataclass(slots=True)
class Hold:
    """The most that an attempt can cost, held while it is on its way: an `async with` block.

    At its end, whatever it is, the attempt is recorded with what it has brought, even if that cost
    more than was held, and the hold is released; in a process that was forked meanwhile, nothing
    happens.
    """

    tracker: CostTracker
    attempt: Any
    names: Names
    claims: Sequence[tuple[Budget, Claim]]
    needed: Decimal
    deadline: Deadline
    tell: Tell
    _hold: str | None = None
    _process: int = field(default_factory=os.getpid)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    async def __aenter__(self) -> None:
        """Hold what is needed, if a budget counts it and it costs anything.

        Raises:
            BudgetExceededError: It might cost more than is left.
            ConfigurationError: The ledger cannot be used.
        """
        if not self.needed:
            return
        size, claims = pico(self.needed), [claim for _, claim in self.claims]
        self._hold, balances = await self.tracker.ledger.hold(self.names, size, claims)
        for (budget, claim), balance in zip(self.claims, balances, strict=True):
            used = balance.spent + balance.held + size
            if self._hold is not None:
                budget.warn(claim, used, self.tell)
            elif used > claim.most:
                raise budget.refusal(self.needed, claim, balance)

    def keep(self, batch: str, amount: Decimal) -> None:
        """Keep an *amount* of it, in USD, for a *batch* that the vendor has taken."""
        self.tracker.ledger.note_batch(Kept(batch, self.names, pico(amount), self._hold))

    async def __aexit__(self, *_: object) -> None:
        """Record the attempt, and wait until that is written; it is not lost if this is cancelled."""
        writing = self._settle()
        if writing is not None and not self._loop.is_closed():
            # what cannot be written the ledger has logged, and tries again
            with suppress(ConfigurationError, LLMTimeoutError), self.deadline:
                await asyncio.wrap_future(writing)

    def _settle(self) -> "Future[None] | None":
        response: ModelResponse | None = self.attempt.response
        ledger, entry = self.tracker.ledger, None
        if self._process != os.getpid() or (response is None and self._hold is None):
            return None
        if response is not None:
            paid = None if response.cost is None else response.cost.total
            estimated = response.usage_estimated
            if paid is None and self._hold is not None:  # what it took is unknown: all of it
                paid, estimated = self.needed, True
            entry = self.tracker.entry(self.names, response.usage, paid, estimated=estimated)
        ledger.note(self._hold, entry)
        return ledger.write_soon()
