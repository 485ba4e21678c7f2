"""What a shared ledger asks of where it is kept: tables in a file or on a server."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from bruno_llm_base.cost.rows import Balance, Claim, Kept, Names, Row, Settled

LEASE = 120.0
"""Seconds that a hold counts that others see, unless it is renewed."""
KEEPING = 60 * 86_400
"""Seconds that batches are remembered: vendors forget them sooner."""

_T = TypeVar("_T")
Entries = Mapping[tuple[str, Names], Sequence[int]]


class Tables(Protocol):
    """What a transaction does with the tables of a ledger."""

    def add(self, entries: Entries) -> None:
        """Add the counts to those of their days and names."""

    def release(self, holds: Iterable[str]) -> None:
        """Forget holds; some may be forgotten already."""

    def renew(self, holds: Iterable[str]) -> None:
        """Let holds count for another `LEASE`."""

    def hold(self, hold: str, names: Names, amount: int) -> None:
        """Let a new hold count for a `LEASE`."""

    def keep(self, note: Kept) -> None:
        """Hold what a batch may cost, of a hold, and forget batches of long ago; see `Ledger`."""

    def settle(self, note: Settled) -> None:
        """Book a row of a batch, unless it is booked, or end the batch; see `Ledger`."""

    def forget_dead_holds(self) -> None:
        """Forget what has not counted for a day."""

    def balances(self, claims: Sequence[Claim]) -> list[Balance]:
        """Return how the claims' accounts stand. Until the end, no other transaction adds a hold."""

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """See `Ledger`."""


class LedgerStore(Protocol):
    """Where the tables of a ledger are, as its `str` says; threads use it one at a time.

    All methods raise a `ConfigurationError`, without a secret, if it cannot be used.
    """

    def write(self, work: Callable[[Tables], _T]) -> _T:
        """Carry out *work*, all of it or nothing, and return its result.

        It may be tried several times. If it has raised, the same entries may come again with others, and
        must not be added twice.
        """

    def read(self, query: Callable[[Tables], _T]) -> _T:
        """Return what *query* finds, in one moment of the ledger."""

    def close(self) -> None:
        """Close the connection, which is opened again when needed."""
