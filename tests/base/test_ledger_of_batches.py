"""What ledgers keep of batches: held beyond the end of a process, and booked once per row."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.rows import Kept, Settled, pico
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.response import Usage

NAMES = ("p", "m", "nightly", "")
OTHER_NAMES = ("p", "m", "", "")
SETTLE = """
import sys
from decimal import Decimal
from bruno_llm_base.cost.rows import Settled
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.response import Usage
tracker = CostTracker(sys.argv[1])
for key in ("a", "b", "a"):
    entry = tracker.entry(("p", "m", "", ""), Usage(input_tokens=5), Decimal(1), estimated=False)
    tracker.ledger.note_batch(Settled("p:1", key, entry))
tracker.ledger.write()
"""


@pytest.fixture(params=["memory", "file"])
def tracker(request, tmp_path):
    return CostTracker(tmp_path / "costs.db" if request.param == "file" else None)


def budget_of(tracker):
    budget = Budget(10, of={"tag": "nightly"})
    budget.use(tracker)
    return budget


def note(tracker, *notes):
    for each in notes:
        tracker.ledger.note_batch(each)
    tracker.ledger.write()


def settled(tracker, key, cost, names=OTHER_NAMES):
    return Settled("p:1", key, tracker.entry(names, Usage(), Decimal(cost), estimated=False))


def hold(budget, needed):
    claims = [budget.claim(NAMES)]
    held, _ = asyncio.run(budget.tracker.ledger.hold(NAMES, pico(Decimal(needed)), claims))
    return held


def stands(budget):
    return budget.spent(), budget.left()


def test_what_is_held_for_a_batch_moves_from_the_hold_to_what_its_rows_have_cost(tracker):
    budget = budget_of(tracker)
    first = hold(budget, 6)
    note(tracker, Kept("p:1", NAMES, pico(Decimal(6)), first))
    assert stands(budget) == (0, 4)  # and not twice
    tracker.ledger.note(first)
    assert stands(budget) == (0, 4)
    note(tracker, settled(tracker, "a", 1), settled(tracker, "b", 2))
    assert stands(budget) == (3, 4)
    note(tracker, Settled("p:1"))
    assert stands(budget) == (3, 7)


def test_a_row_is_booked_once_and_under_the_names_of_the_batch(tracker):
    budget = budget_of(tracker)
    note(tracker, Kept("p:1", NAMES, 0, None))
    for _ in range(2):
        note(tracker, settled(tracker, "a", 1), settled(tracker, "a", 1))
    note(tracker, Settled("p:1"), settled(tracker, "a", 1))  # read again after its end
    assert tracker.total().requests == 1
    assert budget.spent() == 1


def test_rows_of_a_batch_that_is_not_kept_are_booked_once_under_their_own_names(tracker):
    for _ in range(2):
        note(tracker, settled(tracker, "a", 1), settled(tracker, "b", 1), Settled("p:1"))
    assert tracker.total(tag="nightly").requests == 0
    assert tracker.total().requests == 2


def test_rows_that_cost_more_than_was_held_leave_nothing_held(tracker):
    budget = budget_of(tracker)
    first = hold(budget, 2)
    note(tracker, Kept("p:1", NAMES, pico(Decimal(2)), first), settled(tracker, "a", 5))
    tracker.ledger.note(first)
    assert stands(budget) == (5, 5)


def test_a_batch_outlives_the_process_that_sent_it_and_others_settle_it(tmp_path):
    path = tmp_path / "costs.db"
    code = """
import asyncio, os, sys
from bruno_llm_base.cost.rows import Kept
from bruno_llm_base.cost.tracker import CostTracker
tracker = CostTracker(sys.argv[1])
names = ("p", "m", "nightly", "")
held, _ = asyncio.run(tracker.ledger.hold(names, 8 * 10**12, []))
tracker.ledger.note_batch(Kept("p:1", names, 6 * 10**12, held))
tracker.ledger.write()
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code, path], check=False).returncode == 9
    later = datetime.now(UTC) + timedelta(days=2)
    tracker = CostTracker(path, clock=lambda: later)  # what was held for the rest is free by then
    budget = budget_of(tracker)
    assert stands(budget) == (0, 4)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(subprocess.run, [sys.executable, "-c", SETTLE, path]) for _ in range(2)]
    assert [run.result().returncode for run in runs] == [0, 0]
    assert stands(budget) == (2, 4)
    assert tracker.total().requests == 2
    assert tracker.total().input_tokens == 10


def test_a_forked_process_and_the_end_of_this_one_leave_what_is_held(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    budget = budget_of(tracker)
    note(tracker, Kept("p:1", NAMES, pico(Decimal(6)), None))
    tracker.ledger.end()
    if not (child := os.fork()):
        tracker.ledger.end()
        os._exit(0)
    os.waitpid(child, 0)
    assert stands(budget) == (0, 4)


def test_batches_are_forgotten_after_sixty_days(tmp_path):
    now = datetime(2026, 11, 24, tzinfo=UTC)
    tracker = CostTracker(tmp_path / "costs.db", clock=lambda: now)
    budget = budget_of(tracker)
    note(tracker, Kept("p:1", NAMES, pico(Decimal(6)), None), settled(tracker, "a", 1))
    now += timedelta(days=61)
    assert stands(budget) == (1, 9)
    note(tracker, Kept("p:2", NAMES, 0, None))
    with sqlite3.connect(tracker.path) as connection:
        assert connection.execute("SELECT * FROM settled").fetchall() == []
    connection.close()


def test_a_file_of_the_version_before_is_read_and_then_brought_up_to_date(tmp_path):
    path = tmp_path / "costs.db"
    CostTracker(path).record(provider="p", model="m", cost=Decimal("0.25"))
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TABLE settled; PRAGMA user_version = 2")
    connection.close()
    tracker = CostTracker(path)
    assert tracker.total().cost == Decimal("0.25")
    note(tracker, settled(tracker, "a", 1), settled(tracker, "a", 1))
    assert CostTracker(path).total().cost == Decimal("1.25")
