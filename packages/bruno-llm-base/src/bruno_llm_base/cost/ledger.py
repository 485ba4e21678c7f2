"""A ledger in memory: what requests took and cost, and what is held for those on their way."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from threading import RLock
from uuid import uuid4

from bruno_llm_base.cost.rows import (
    COUNTS,
    KEYS,
    LABELS,
    Balance,
    Claim,
    Entry,
    Kept,
    Names,
    Row,
    Settled,
    row_of,
    summed,
)
from bruno_llm_base.forks import start_fresh_in_children

_COST = COUNTS.index("cost")
_ON_THE_WAY = "held"  # in place of a day, and after all days

Held = tuple[str | None, list[Balance]]


class Ledger:
    """Keeps what requests took and cost, and what is held for those on their way, by any thread.

    What is noted is first kept aside and then taken in, so that a finalizer that runs in the middle
    of our own work can note something as well. This one keeps all in the memory of a process, and a
    forked process starts with an empty one; `SharedLedger` has a file or a server.
    """

    def __init__(self) -> None:
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Begin without entries and holds."""
        self._lock = RLock()
        self._is_busy = False
        self._notes: deque[tuple[str | None, Entry | None]] = deque()
        self._batch_notes: deque[Kept | Settled] = deque()
        self._settled: set[tuple[str, str]] = set()  # batches and keys
        self._entries: dict[tuple[str, Names], list[int]] = {}
        self._held: dict[str, tuple[Names, int]] = {}
        # what was spent by day, for the values of each set of labels that budgets have asked about
        self._accounts: dict[tuple[str, ...], dict[tuple[str, ...], dict[str, int]]] = {}

    async def hold(self, names: Names, amount: int, claims: Sequence[Claim]) -> Held:
        """Hold *amount*, if with all that is spent and held it is too much for no claim.

        Return the name of the hold, or None if it would be too much, and how the claims' accounts stood.
        """
        with self._up_to_date():
            balances = [self.balance(claim) for claim in claims]
            if hold := self._admit(names, amount, claims, balances):
                self._book(names, _ON_THE_WAY, amount)
            return hold, balances

    def note(self, hold: str | None, entry: Entry | None = None) -> None:
        """Release *hold* and add *entry*, with what is written next; never blocks and never raises."""
        self._notes.append((hold, entry))

    def note_batch(self, note: Kept | Settled) -> None:
        """Keep a hold of a batch, or settle it, with what is written next; never blocks and never raises.

        A vendor works on a batch for days, and another process may read the results, or several. So
        what is held for it is held under its own name, by no process: `Kept` takes it from a hold of
        this one, or is a hold of nothing that keeps the names alone. Each row that is `Settled` is
        booked once, whichever process does it how often, under the names of the batch if it is kept,
        else of the entry; its cost is taken from what is held. The batch's end releases the rest.
        What is kept, and which rows were settled, is forgotten after 60 days.
        """
        self._batch_notes.append(note)

    def write_soon(self) -> "Future[None] | None":
        """Let what was noted be written; never blocks or raises. What is returned is done then."""
        self.write()
        return None

    def write(self) -> None:
        """Write what was noted; what cannot be written is logged, kept and tried again."""
        with self._lock:
            if not self._is_busy:  # if so, we have interrupted it
                self._is_busy = True
                try:
                    self._take_in()
                finally:
                    self._is_busy = False

    def balance(self, claim: Claim) -> Balance:
        """Return what the claim's account has spent, and what is held of it."""
        labels = tuple([label for label, _ in claim.selected])
        with self._up_to_date():
            if labels not in self._accounts:
                self._accounts[labels] = defaultdict(lambda: defaultdict(int))
                booked = [(names, day, sums[_COST]) for (day, names), sums in self._entries.items()]
                booked += [(names, _ON_THE_WAY, amount) for names, amount in self._held.values()]
                for names, day, amount in booked:
                    self._accounts[labels][_values(names, labels)][day] += amount
            account = self._accounts[labels].get(tuple([value for _, value in claim.selected]), {})
            held = account.get(_ON_THE_WAY, 0)
            return Balance(
                sum([account[day] for day in account if day >= claim.since]) - held, held
            )

    def sums(
        self, by: Sequence[str], since: str, until: str, values: Mapping[str, str]
    ) -> list[Row]:
        """Return the sums by some of `KEYS` of the days ("" for no bound) and labels selected."""
        wanted = tuple(values.values())
        with self._up_to_date():
            rows = [
                row_of(KEYS, (day, *names), counts)
                for (day, names), counts in self._entries.items()
                if since <= day <= (until or day) and _values(names, values) == wanted
            ]
        return summed(rows, by)

    def close(self) -> None:
        """Write what is left, and close the file; it is opened again when needed."""

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """Take in what was noted before a block, and nothing within it, whatever interrupts it."""
        with self._lock:
            self.write()
            was_busy, self._is_busy = self._is_busy, True
            try:
                yield
            finally:
                self._is_busy = was_busy

    def _admit(
        self, names: Names, amount: int, claims: Sequence[Claim], balances: Sequence[Balance]
    ) -> str | None:
        for claim, balance in zip(claims, balances, strict=True):
            if balance.spent + balance.held + amount > claim.most:
                return None
        hold = uuid4().hex
        self._held[hold] = names, amount
        return hold

    def _take_in(self) -> None:
        while self._notes:
            hold, entry = self._notes.popleft()
            if hold in self._held:  # a forked process does not hold its parent's
                self._release(hold)
            if entry is not None:
                self._add(entry)
        self._take_in_batches()

    def _take_in_batches(self) -> None:
        while self._batch_notes:
            note = self._batch_notes.popleft()
            if isinstance(note, Kept):
                self._held.setdefault(note.batch, (note.names, 0))
                for hold, amount in ((note.hold, -note.amount), (note.batch, note.amount)):
                    self._change(hold, amount)
            elif note.entry is None:
                if note.batch in self._held:
                    self._release(note.batch)
            elif (note.batch, note.key) not in self._settled:
                self._settled.add((note.batch, note.key))
                names, _ = self._held.get(note.batch, (note.entry.names, 0))
                self._add(note.entry._replace(names=names))
                self._change(note.batch, -note.entry.counts[_COST])

    def _add(self, entry: Entry) -> None:
        known = self._entries.setdefault((entry.day, entry.names), [0] * len(COUNTS))
        known[:] = map(int.__add__, known, entry.counts)
        self._book(entry.names, entry.day, entry.counts[_COST])

    def _release(self, hold: str) -> None:
        names, amount = self._held.pop(hold)
        self._book(names, _ON_THE_WAY, -amount)

    def _change(self, hold: str | None, amount: int) -> None:
        """Hold so much more, or less if there is as much."""
        if hold in self._held:
            names, held = self._held[hold]
            self._held[hold] = names, max(0, held + amount)
            self._book(names, _ON_THE_WAY, max(-held, amount))

    def _book(self, names: Names, day: str, amount: int) -> None:
        for labels, accounts in self._accounts.items():
            accounts[_values(names, labels)][day] += amount


def _values(names: Names, labels: Iterable[str]) -> tuple[str, ...]:
    return tuple([names[LABELS.index(label)] for label in labels])
