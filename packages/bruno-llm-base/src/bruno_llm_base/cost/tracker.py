"""What requests cost: recorded as they end, summed up as one likes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack, overload

from bruno_llm_base.cost.ledger import Ledger
from bruno_llm_base.cost.price import Overrides, Price, PriceSource
from bruno_llm_base.cost.rows import COUNTS, KEYS, LABELS, Entry, Names, Row, checked_keys, pico
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.options import did_you_mean
from bruno_llm_base.parts import is_json
from bruno_llm_base.response import Cost, Usage
from bruno_llm_base.values import is_url, shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.ledger_store import LedgerStore
    from bruno_llm_base.cost.report import Report

_MOST_TOKENS = 10**12  # of a request; a server that reports more is mistaken, and sums must not be
_TOKENS = tuple(name for name in COUNTS if name.endswith("_tokens"))


class Labels(NamedTuple):
    """What a request is for, such as "summaries", and for whom, in the application's own words."""

    tag: str | None = None
    user: str | None = None


_NO_LABELS = Labels()
_labels: ContextVar[Mapping["CostTracker", Labels]] = ContextVar(
    "bruno_llm_labels", default=MappingProxyType({})
)


class _Selected(TypedDict, total=False):
    since: date | None
    until: date | None
    provider: str | None
    model: str | None
    tag: str | None
    user: str | None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class CostTracker:
    """Records what requests take and cost, in memory, in a file or in PostgreSQL.

    Several providers may share one, across event loops, threads and, on a file, processes; on a
    server, machines. A copy sent to another process records into the same place; in memory it starts
    empty there, and so it does in a forked process.

    The records are sums by day (in UTC), provider, model and labels, so a file grows with these and
    not with the requests. What was recorded survives the end of the process, however it ends. A
    record that cannot be written, because the disk is full, say, is logged as an error on the logger
    "bruno_llm", kept in memory and written as soon as possible.

    A request never makes the event loop wait for the file: a thread writes what it costs, and waits
    up to 5 seconds for other processes. The methods here may wait themselves. They only read a file
    until something is to be recorded, so a file that cannot be written can be reported on. A server
    is used in the same way, and connected when it is first needed.

    Args:
        path: The file, an SQLite database, which is made if it is missing, or a URL such as
            "postgresql://user:password@host/database" (of bruno-llm-postgres). None records in
            memory.
        prices: Prices of your own, as `Price`s by "model" or "provider/model", which go first; or
            a source of prices.
        clock: Tells the time, with a time zone.

    Attributes:
        path: The file, or the URL with its password; None if it records in memory.
        prices: The source that is asked for prices first; None if there is none.
        ledger: Where it is all written, for budgets.

    Raises:
        ConfigurationError: A value is of the wrong type, or the file cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        prices: Mapping[str, Price] | PriceSource | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not isinstance(path, str | os.PathLike | None) or path in ("", ":memory:"):
            raise ConfigurationError(
                f"CostTracker.path is {shown(path)}: give a file's path, or nothing to record in memory"
            )
        source = Overrides(prices) if isinstance(prices, Mapping) else prices
        if source is not None and not callable(getattr(source, "price", None)):
            raise ConfigurationError(
                f"CostTracker.prices is {shown(prices)}: give a dict of models and their Price, or"
                " a source of prices"
            )
        if not callable(clock):
            raise ConfigurationError(f"CostTracker.clock is {shown(clock)}: give a callable")
        self.path: Path | str | None
        self.prices: PriceSource | None = source
        self._clock = clock
        if path is None:
            self.path, self._place, self.ledger = None, "", Ledger()
            return
        from bruno_llm_base.cost.shared_ledger import SharedLedger  # many do without

        store: LedgerStore
        if is_url(path):
            self.path, store = path, _store_at(path)
            self._place = repr(str(store))
        else:
            from bruno_llm_base.cost.sqlite import LedgerFile

            self.path = Path(path).resolve()
            store, self._place = LedgerFile(self.path, clock), repr(str(self.path))
        self.ledger = SharedLedger(store)

    def today(self) -> date:
        """Return the day, in UTC."""
        return self._clock().astimezone(UTC).date()

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
            InvalidRequestError: A label is not a text, or empty.
        """
        token = _labels.set({**_labels.get(), self: self._labels_with(tag, user)})
        try:
            yield
        finally:
            _labels.reset(token)

    def labels(self) -> Labels:
        """Return the labels that are in effect here."""
        return _labels.get().get(self, _NO_LABELS)

    def _labels_with(self, tag: str | None, user: str | None) -> Labels:
        given = {"tag": tag, "user": user}
        for name, label in given.items():
            if label is not None and not (isinstance(label, str) and label and is_json(label)):
                raise InvalidRequestError(
                    f"{name} is {shown(label)}: give a text, not an empty one"
                )
        return self.labels()._replace(**{name: label for name, label in given.items() if label})

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
            cost: What it cost, in USD; None if that is unknown.
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
        paid = cost.total if isinstance(cost, Cost) else cost
        if paid is not None and not (isinstance(paid, Decimal) and paid.is_finite() and paid >= 0):
            raise InvalidRequestError(
                f"cost is {shown(cost)}: give a Cost or a Decimal in USD, 0 or more; None if it is"
                " unknown"
            )
        estimated = estimated or (isinstance(cost, Cost) and cost.estimated)
        names = names_of(provider, model, self._labels_with(tag, user))
        self.ledger.note(None, self.entry(names, usage, paid, estimated=estimated))
        self.ledger.write()

    def entry(self, names: Names, usage: Usage, cost: Decimal | None, *, estimated: bool) -> Entry:
        """Return what the ledger notes of a request that ends now; *cost* is in USD."""
        took = (min(getattr(usage, name) or 0, _MOST_TOKENS) for name in _TOKENS)
        money = (0, 1) if cost is None else (pico(cost), 0)
        return Entry(self.today().isoformat(), names, (1, *took, *money, int(estimated)))

    @overload
    def total(self, by: None = None, **selected: Unpack[_Selected]) -> Row: ...

    @overload
    def total(self, by: str | Sequence[str], **selected: Unpack[_Selected]) -> list[Row]: ...

    def total(
        self, by: str | Sequence[str] | None = None, **selected: Unpack[_Selected]
    ) -> Row | list[Row]:
        """Return the sum of all that was recorded, or of what is selected.

        Args:
            by: What there are sums by: "day", "provider", "model", "tag", "user", or several;
                there is a row for each, in their order. None for one row about all.
            selected: The first day that counts, `since`, and the last, `until`, in UTC, and the
                `provider`, `model`, `tag` or `user`; all count by default.

        Raises:
            InvalidRequestError: A value is of the wrong type, or a name is unknown.
            ConfigurationError: The file cannot be used.
        """
        wanted: dict[str, str] = {}
        for name, value in selected.items():
            kind, cure = (str, "a text") if name in LABELS else (date, "a datetime.date")
            if name not in {"since", "until", *LABELS}:
                raise InvalidRequestError(
                    f"there are no totals by {shown(name)}{did_you_mean(name, LABELS)}"
                )
            if not isinstance(value, kind | None) or isinstance(value, datetime):
                raise InvalidRequestError(f"{name} is {shown(value)}: give {cure}")
            if value is not None:
                wanted[name] = storable(str(value))
        days = wanted.pop("since", ""), wanted.pop("until", "")
        rows = self.ledger.sums(() if by is None else checked_keys(by), *days, wanted)
        return rows[0] if by is None else rows

    def report(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        by: str | Sequence[str] = ("day", "provider", "model"),
    ) -> "Report":
        """Return a report, to print or to save as CSV, JSON or Markdown.

        Args:
            since: The first day, in UTC.
            until: The last day, in UTC.
            by: What its rows are by: "day", "provider", "model", "tag", "user", or several.

        Raises:
            InvalidRequestError: A value is of the wrong type, or *by* names something else.
            ConfigurationError: The file cannot be used.
        """
        from bruno_llm_base.cost.report import Report

        entries = tuple(self.total(KEYS, since=since, until=until))
        return Report(entries, checked_keys(by), since, until)

    def close(self) -> None:
        """Close the file; it is opened again when needed. What is in memory stays there.

        Raises:
            ConfigurationError: Something is left that could not be written.
        """
        self.ledger.close()

    def __repr__(self) -> str:
        return f"CostTracker({self._place})"

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), self.path, prices=self.prices, clock=self._clock), ()


def _store_at(url: str) -> "LedgerStore":
    """Return the store of a ledger at *url*, without showing it: it may hold a password."""
    from bruno_llm_base.discovery import store_of  # only where there is one

    store: LedgerStore = store_of(url, "ledger_store")(url)
    return store


def names_of(provider: str, model: str, labels: Labels) -> Names:
    """Return what a request is recorded under, beside the day."""
    return storable(provider), storable(model), labels.tag or "", labels.user or ""


def storable(text: str) -> str:
    """Return *text* as it can be stored: half of a surrogate pair cannot."""
    return text.encode(errors="backslashreplace").decode()
