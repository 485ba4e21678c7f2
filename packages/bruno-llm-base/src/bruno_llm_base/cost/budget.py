"""How much money may be spent, and that no request spends more."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Literal, get_args

from bruno_llm_base.cost.price import amount
from bruno_llm_base.cost.rows import LABELS, MOST, Balance, Claim, Names, pico, usd
from bruno_llm_base.cost.tracker import CostTracker, storable
from bruno_llm_base.events import BudgetNearlySpent, Tell
from bruno_llm_base.exceptions import (
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
)
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.values import shown

_Period = Literal["total", "day", "month"]
_OnUnknown = Literal["refuse", "allow"]
_Label = Literal["provider", "model", "tag", "user"]


class Budget:
    """The most that may be spent, in USD.

    Before a request is sent, the most that it can cost is held, and released when its real cost is
    recorded; a request for which too little is left is refused. So requests at the same time, in
    tasks, threads or, with a tracker on a file, processes, cannot spend more together. What they
    hold counts in every period: a request may begin on one day and be paid on the next.

    It counts all that its tracker records, the one that a provider is given as `cost=`; without
    one it records in memory. Providers that share a budget share the tracker.

    Args:
        limit: USD, as a Decimal, a number or a text; a float means what it is printed as.
        per: What the limit is for: "total", all that the tracker knows; "day" and "month", in UTC.
        by: "user", "tag", "model" or "provider", each value of which has an account of its own, and
            all requests without one have one together; None for one account.
        of: What counts, such as `{"tag": "summaries"}`, by the same labels; other requests are not
            limited. None for everything.
        warn_at: From which part of the limit on observers are warned, above 0 to 1, once per period
            and account; what is held counts as spent.
        on_unknown_price: What happens to a request of a model whose price is unknown: "refuse" it,
            or "allow" it as if it were free.

    Raises:
        ConfigurationError: A value is of the wrong type or out of range.
    """

    def __init__(
        self,
        limit: Decimal | float | str,
        *,
        per: _Period = "total",
        by: _Label | None = None,
        of: Mapping[_Label, str] | None = None,
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
            ("by", LABELS[0] if by is None else by, LABELS),
            ("on_unknown_price", on_unknown_price, get_args(_OnUnknown)),
        ):
            if value not in known:
                raise ConfigurationError(
                    f"Budget.{name} is {shown(value)}{did_you_mean(str(value), known)}"
                )
        self.limit = dollars
        self.per = per
        self.on_unknown_price = on_unknown_price
        self._by = by
        self._of = _checked_selection(of, by)
        self._most = pico(dollars)
        self._warn_from = self._most * Fraction(part)
        self._tracker: CostTracker | None = None
        self._warned: set[Claim] = set()

    @property
    def tracker(self) -> CostTracker:
        """The tracker whose records count; one in memory if none was given."""
        if self._tracker is None:
            self._tracker = CostTracker()
        return self._tracker

    @property
    def has_tracker(self) -> bool:
        """Whether it is settled whose records count."""
        return self._tracker is not None

    def use(self, tracker: CostTracker) -> None:
        """Count what *tracker* records.

        Raises:
            ConfigurationError: Another one counts already.
        """
        ours = self._tracker = self._tracker or tracker
        if tracker is not ours and (ours.path is None or ours.path != tracker.path):
            raise ConfigurationError(
                f"{self} counts what {ours} records, and is given with {tracker}: give every"
                " provider that shares the budget the same cost=, or each its own Budget"
            )

    def spent(self, value: str | None = None) -> Decimal:
        """Return what was spent in this period, in USD; requests on their way do not count yet.

        Args:
            value: Whose account it is, of a budget with `by`, such as the user's name; None for that
                of requests without such a label.

        Raises:
            InvalidRequestError: A value is given, and the budget has one account only.
            ConfigurationError: The tracker's file cannot be used.
        """
        return usd(self._balance(value).spent)

    def left(self, value: str | None = None) -> Decimal:
        """Return what is neither spent in this period nor held by requests on their way, in USD.

        The argument and the errors are those of `spent`.
        """
        return self._left(self._balance(value))

    def claim(self, names: Names) -> Claim | None:
        """Return what the budget says of a request; None if it does not count it."""
        known = dict(zip(LABELS, names, strict=True))
        if any(known[label] != value for label, value in self._of.items()):
            return None
        return self._claim(known[self._by] if self._by else "")

    def check_unpriced(self, model: str, unpriced_field: str | None, *, batch: bool) -> None:
        """Refuse a request of unknown price, unless such are allowed."""
        if self.on_unknown_price == "refuse":
            what = model if unpriced_field is None else f"{model} with {unpriced_field}"
            what, own = (f"{what} in batches", ", batch=Price(...)") if batch else (what, "")
            raise ConfigurationError(
                f"the price of {what} is unknown, so {self} cannot hold: give its price,"
                f" CostTracker(prices={{{model!r}: Price(input=..., output=...{own})}}), or let it"
                ' pass uncounted, Budget(on_unknown_price="allow")',
                model=model,
            )

    def refusal(self, needed: Decimal, claim: Claim, balance: Balance) -> BudgetExceededError:
        """Return the error for a request that needs more than is left."""
        left = self._left(balance)
        spent, held, account = usd(balance.spent), usd(balance.held), _account_of(claim)
        per, cure = "", "shorten it, lower max_tokens, or raise the budget"
        if next_one := self._period()[1]:
            per = f" per {self.per}"
            cure += f"; it begins again on {next_one}, 00:00 UTC"
        return BudgetExceededError(
            f"the request may cost up to {needed:f} USD, and of the budget of {self.limit:f} USD{per}"
            f" for {account} {left:f} are left ({spent:f} are spent, {held:f} held by requests on their"
            f" way): {cure}",
            allowed=self.limit,
            left=left,
            needed=needed,
            account=account,
        )

    def warn(self, claim: Claim, used: int, tell: Tell) -> None:
        """Tell observers, once per period and account, if much is *used*, in picodollars."""
        if used < self._warn_from or claim in self._warned:
            return
        self._warned = {each for each in self._warned if each.since == claim.since} | {claim}
        account = {"account": _account_of(claim)} if claim.selected else {}
        tell(BudgetNearlySpent, spent=usd(used), allowed=self.limit, **account)

    def _left(self, balance: Balance) -> Decimal:
        return usd(max(0, self._most - balance.spent - balance.held))

    def _balance(self, value: str | None) -> Balance:
        if value is not None and self._by is None:
            raise InvalidRequestError(
                f"{self} has one account, so there is none of {shown(value)}: give by= to the budget"
            )
        if value is not None and not (isinstance(value, str) and value):
            raise InvalidRequestError(
                f"the {self._by} is {shown(value)}: give a text, or None for requests without"
            )
        return self.tracker.ledger.balance(self._claim(storable(value or "")))

    def _claim(self, value: str) -> Claim:
        own = ((self._by, value),) if self._by else ()
        return Claim((*self._of.items(), *own), self._period()[0], self._most)

    def _period(self) -> tuple[str, str]:
        """Return the period's first day and that of the next one; "" where there is none."""
        if self.per == "total":
            return "", ""
        first = self.tracker.today()
        following = first + timedelta(days=1)
        if self.per == "month":
            first = first.replace(day=1)
            following = (first + timedelta(days=31)).replace(day=1)
        return first.isoformat(), following.isoformat()

    def __repr__(self) -> str:
        by = f", by={self._by!r}" if self._by else ""
        of = f", of={self._of!r}" if self._of else ""
        return f"Budget({self.limit:f}, per={self.per!r}{by}{of})"


def _checked_selection(of: object, by: str | None) -> dict[str, str]:
    if of is None:
        return {}
    if not isinstance(of, Mapping):
        raise ConfigurationError(
            f"Budget.of is {shown(of)}: give a dict, such as {{'tag': 'summaries'}}"
        )
    for label, value in of.items():
        if label not in LABELS:
            raise ConfigurationError(
                f"Budget.of has {shown(label)}{did_you_mean(str(label), LABELS)}"
            )
        if label == by:
            raise ConfigurationError(
                f"Budget.of and Budget.by are both about the {label}: give one of them"
            )
        if not isinstance(value, str) or not value:
            raise ConfigurationError(f"Budget.of has the {label} {shown(value)}: give a text")
    return {label: storable(of[label]) for label in LABELS if label in of}


def _account_of(claim: Claim) -> str:
    """Return whose spending an account counts, in words."""
    if not claim.selected:
        return "all spending of this ledger"
    words = " and ".join(f"{label} {shown(value)}" for label, value in claim.selected if value)
    without = "".join(f" without a {label}" for label, value in claim.selected if not value)
    return (words or "requests") + without
