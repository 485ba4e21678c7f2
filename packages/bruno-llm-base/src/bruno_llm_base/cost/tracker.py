"""What requests cost: recorded as they end, summed up as one likes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from bruno_llm_base.config import did_you_mean
from bruno_llm_base.cost.catalogue import Overrides, PriceSource
from bruno_llm_base.cost.ledger import COUNTS, KEYS, Hold, Ledger, utc_day
from bruno_llm_base.cost.money import pico, usd
from bruno_llm_base.cost.price import Cost, Price
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.types import Usage
from bruno_llm_base.values import is_json, shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.report import Report

__all__ = ["CostTracker", "Labels", "Row", "utc_now"]

_MOST_TOKENS = 10**12  # of a request; a server that reports more is mistaken, and sums must not be


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Labels(NamedTuple):
    """What a request is for, in the application's own words."""

    tag: str | None = None
    user: str | None = None


_labels: ContextVar[Mapping["CostTracker", Labels]] = ContextVar(
    "bruno_llm_labels", default=MappingProxyType({})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What some requests took and cost together.

    Attributes:
        day: The day, in UTC. It and the next four are None where the row is about all of them, and
            where they have none.
        provider: The provider's name.
        model: The model that was asked.
        tag: The label of that name.
        user: The label of that name.
        requests: How many were recorded.
        input_tokens: All input, cached or not.
        output_tokens: All output, reasoning included.
        cache_read_tokens: Input that was read from a cache.
        cache_write_tokens: Input that was written to a cache.
        reasoning_tokens: Output that was reasoning.
        cost: The sum of what is known, in USD. It is all that they cost only if `unpriced` is 0.
        unpriced: How many of them nobody knows a price for, so they are not in `cost`.
        estimated: How many of them were not counted by the server, but by us.
    """

    day: date | None = None
    provider: str | None = None
    model: str | None = None
    tag: str | None = None
    user: str | None = None
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost: Decimal
    unpriced: int
    estimated: int


class CostTracker:
    """Records what requests take and cost, in memory or in a file.

    Pass the same object to several providers and they share it; it works across event loops,
    threads and, on a file, processes, all at once. A copy sent to another process records into the
    same file; without a file it starts empty there, and so it does in a forked process.

    The records are sums by day (in UTC), provider, model and labels, so a file grows with these and
    not with the requests. What was recorded survives the end of the process, however it ends.
    Should a record not be written, because the disk is full, say, an error is logged on the logger
    "bruno_llm", and the record is kept in memory and written with the next one.

    Args:
        path: The file, an SQLite database; it is made if it is missing. None records in memory.
        prices: Prices of your own, as `Price`s by "model" or "provider/model", which go first; or
            whoever knows all prices.
        clock: Tells the time, with a time zone.

    Raises:
        ConfigurationError: A value is of the wrong type, or the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        prices: Mapping[str, Price] | PriceSource | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        if path is not None and (
            not isinstance(path, str | os.PathLike) or path in ("", ":memory:")
        ):
            raise ConfigurationError(
                f"CostTracker.path is {shown(path)}: give a file's path, or nothing to record in memory"
            )
        if prices is not None and not isinstance(prices, Mapping) and not hasattr(prices, "price"):
            raise ConfigurationError(
                f"CostTracker.prices is {shown(prices)}: give a dict of models and their Price"
            )
        if not callable(clock):
            raise ConfigurationError(f"CostTracker.clock is {shown(clock)}: give a callable")
        self._prices = Overrides(prices) if isinstance(prices, Mapping) else prices
        self._clock = clock
        self._ledger = Ledger(None if path is None else Path(path).absolute(), clock)

    @property
    def path(self) -> Path | None:
        """The file; None if it records in memory."""
        return self._ledger.path

    @property
    def prices(self) -> PriceSource | None:
        """Whoever is to be asked for prices; None if nobody in particular."""
        return self._prices

    @property
    def ledger(self) -> Ledger:
        """Where it is all written, for budgets."""
        return self._ledger

    @contextmanager
    def label(self, *, tag: str | None = None, user: str | None = None) -> Iterator[None]:
        """Label what is requested within a `with` block.

        A block within a block changes the labels that it gives and keeps the others. Tasks that
        start within the block inherit its labels, as context variables do; threads do with
        `asyncio.to_thread`.

        Args:
            tag: What the requests are for, such as "summaries".
            user: For whom they are.

        Raises:
            InvalidRequestError: A label is no text, or empty.
        """
        before = self.labels()
        given = _checked_labels(tag, user)
        labels = Labels(given.tag or before.tag, given.user or before.user)
        token = _labels.set({**_labels.get(), self: labels})
        try:
            yield
        finally:
            _labels.reset(token)

    def labels(self) -> Labels:
        """Return the labels that are in effect here."""
        return _labels.get().get(self, Labels())

    def record(
        self,
        *,
        provider: str,
        model: str,
        usage: Usage = Usage(),  # noqa: B008 - it is frozen
        cost: Cost | Decimal | None = None,
        estimated: bool = False,
        tag: str | None = None,
        user: str | None = None,
    ) -> None:
        """Record a request that was made elsewhere; providers record theirs by themselves.

        Args:
            provider: The provider's name.
            model: The model that was asked.
            usage: What it took; what is None counts as 0.
            cost: What it cost, in USD; None if nobody knows.
            estimated: Whether usage or cost are an estimate.
            tag: The label, if not the one in effect.
            user: The label, if not the one in effect.

        Raises:
            InvalidRequestError: A value is of the wrong type, or the cost is negative.
        """
        for name, text in (("provider", provider), ("model", model)):
            if not isinstance(text, str) or not text:
                raise InvalidRequestError(f"{name} is {shown(text)}: give its name")
        if not isinstance(usage, Usage):
            raise InvalidRequestError(f"usage is {shown(usage)}: give a Usage")
        given, around = _checked_labels(tag, user), self.labels()
        labels = Labels(given.tag or around.tag, given.user or around.user)
        paid = _checked_cost(cost)
        estimated = estimated or (isinstance(cost, Cost) and cost.estimated)
        self.enter(provider, model, labels, usage, paid, estimated=estimated)

    def enter(
        self,
        provider: str,
        model: str,
        labels: Labels,
        usage: Usage,
        cost: Decimal | None,
        *,
        estimated: bool,
        hold: Hold | None = None,
    ) -> None:
        """Record a request and let go of what was held for it; for the path of a request.

        It is written when this returns. Never raises: see above what happens if it cannot be.
        """
        day = utc_day(self._clock()).isoformat()
        names = (_plain(provider), _plain(model), labels.tag or "", labels.user or "")
        took = (min(getattr(usage, name) or 0, _MOST_TOKENS) for name in _TOKENS)
        money = (0, 1) if cost is None else (pico(cost), 0)
        self._ledger.note(hold, (day, *names), (1, *took, *money, int(estimated)))

    def total(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        provider: str | None = None,
        model: str | None = None,
        tag: str | None = None,
        user: str | None = None,
    ) -> Row:
        """Return the sum of all that was recorded, or of what the arguments select.

        Args:
            since: The first day, in UTC.
            until: The last day, in UTC.
            provider: This one alone.
            model: This one alone.
            tag: What has this label.
            user: What has this label.

        Raises:
            InvalidRequestError: A value is of the wrong type.
            ConfigurationError: The file cannot be used.
        """
        names = {"provider": provider, "model": model, "tag": tag, "user": user}
        return self._rows((), since, until, names)[0]

    def totals(
        self,
        by: str | Sequence[str],
        *,
        since: date | None = None,
        until: date | None = None,
        provider: str | None = None,
        model: str | None = None,
        tag: str | None = None,
        user: str | None = None,
    ) -> list[Row]:
        """Return sums of all that was recorded, or of what the arguments select, in their order.

        Args:
            by: What they are told apart by: "day", "provider", "model", "tag", "user", or several.
            since: The first day, in UTC.
            until: The last day, in UTC.
            provider: This one alone.
            model: This one alone.
            tag: What has this label.
            user: What has this label.

        Raises:
            InvalidRequestError: A value is of the wrong type, or *by* names something else.
            ConfigurationError: The file cannot be used.
        """
        chosen = (by,) if isinstance(by, str) else tuple(by)
        for name in chosen:
            if name not in KEYS:
                raise InvalidRequestError(
                    f"there are no totals by {shown(name)}{did_you_mean(str(name), KEYS)}"
                )
        names = {"provider": provider, "model": model, "tag": tag, "user": user}
        return self._rows(tuple(dict.fromkeys(chosen)), since, until, names)

    def report(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        by: str | Sequence[str] = ("day", "provider", "model"),
    ) -> "Report":
        """Return a report, to print or to save as CSV, JSON, Markdown or a page with charts.

        Args:
            since: The first day, in UTC.
            until: The last day, in UTC.
            by: What its rows are told apart by: "day", "provider", "model", "tag", "user", or
                several.

        Raises:
            InvalidRequestError: A value is of the wrong type, or *by* names something else.
            ConfigurationError: The file cannot be used.
        """
        from bruno_llm_base.cost.report import Report

        entries = self.totals(KEYS, since=since, until=until)
        return Report.of(entries, by=by, since=since, until=until, prices=self._prices)

    def _rows(
        self,
        by: Sequence[str],
        since: date | None,
        until: date | None,
        names: Mapping[str, str | None],
    ) -> list[Row]:
        conditions, values = ["TRUE"], []
        for name, day, compares in (("since", since, ">="), ("until", until, "<=")):
            if day is not None:
                if not isinstance(day, date) or isinstance(day, datetime):
                    raise InvalidRequestError(f"{name} is {shown(day)}: give a datetime.date")
                conditions.append(f"day {compares} ?")
                values.append(day.isoformat())
        for name, value in names.items():
            if value is not None:
                if not isinstance(value, str):
                    raise InvalidRequestError(f"{name} is {shown(value)}: give a text")
                conditions.append(f"{name} = ?")
                values.append(_plain(value))
        found = self._ledger.sums(by, " AND ".join(conditions), values)
        return [_row(by, sums) for sums in found]

    def close(self) -> None:
        """Close the file; it is opened again when needed. What is in memory stays there.

        Raises:
            ConfigurationError: Something is left that could not be written.
        """
        self._ledger.close()

    def __repr__(self) -> str:
        return f"CostTracker({'' if self.path is None else repr(str(self.path))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.path, prices=self._prices, clock=self._clock), ()


_TOKENS = tuple(name for name in COUNTS if name.endswith("_tokens"))


def _row(by: Sequence[str], sums: Sequence[Any]) -> Row:
    facts: dict[str, Any] = {name: value or None for name, value in zip(by, sums, strict=False)}
    if "day" in facts:
        facts["day"] = date.fromisoformat(facts["day"])
    facts |= {name: value or 0 for name, value in zip(COUNTS, sums[len(by) :], strict=True)}
    return Row(**facts | {"cost": usd(facts["cost"])})


def _plain(text: str) -> str:
    """Return *text* as it can be stored: half of a surrogate pair cannot."""
    return text.encode(errors="backslashreplace").decode()


def _checked_labels(tag: object, user: object) -> Labels:
    for name, label in (("tag", tag), ("user", user)):
        if label is not None and not (isinstance(label, str) and label and is_json(label)):
            raise InvalidRequestError(f"{name} is {shown(label)}: give a text, not an empty one")
    return Labels(tag, user)  # type: ignore[arg-type]


def _checked_cost(cost: object) -> Decimal | None:
    """Return what *cost* says in USD."""
    if cost is None:
        return None
    paid = cost.total if isinstance(cost, Cost) else cost
    if not isinstance(paid, Decimal) or not paid.is_finite() or paid < 0:
        raise InvalidRequestError(
            f"cost is {shown(cost)}: give a Cost or a Decimal in USD, 0 or more; None if it is unknown"
        )
    return paid
