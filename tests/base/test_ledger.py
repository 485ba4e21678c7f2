"""The file: what survives, who may use it at once, and what happens when it cannot be used."""

import asyncio
import json
import logging
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.ledger import Ledger
from bruno_llm_base.cost.rows import KEYS, Claim, Entry, pico
from bruno_llm_base.cost.shared_ledger import SharedLedger
from bruno_llm_base.cost.sqlite import LedgerFile
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import BudgetExceededError, ConfigurationError
from bruno_llm_base.response import Usage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PRELUDE = """
import asyncio, os, sys
from decimal import Decimal
from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.rows import pico
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import BudgetExceededError
def hold(budget, needed):
    names = ("p", "m", "", "")
    held, balances = asyncio.run(budget.tracker.ledger.hold(names, pico(Decimal(needed)), [budget.claim(names)]))
    if held is None:
        raise BudgetExceededError(str(balances))
    return held
def spend(tracker, cost, hold=None):
    tracker.ledger.note(hold, tracker.entry(("p", "m", "", ""), USAGE, Decimal(cost), estimated=False))
    tracker.ledger.write()
from bruno_llm_base.response import Usage
USAGE = Usage(input_tokens=1, output_tokens=1)
if sys.argv[2:]:
    print("ready", flush=True)
    sys.stdin.readline()
tracker = CostTracker(sys.argv[1])
"""


def noon():
    return NOON


def start(path, code, *words, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + code, str(path), *words],
        stdout=subprocess.PIPE,
        text=True,
        **settings,
    )


def outcome(process):
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return told


def output(path, code):
    return outcome(start(path, code))


def outputs(path, code, number):
    """Run so many processes, which all begin at the same moment."""
    processes = [start(path, code, "wait", stdin=subprocess.PIPE) for _ in range(number)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [outcome(process) for process in processes]


NAMES = ("p", "m", "", "")


def hold(budget, needed):
    ledger, claims = budget.tracker.ledger, [budget.claim(NAMES)]
    held, balances = asyncio.run(ledger.hold(NAMES, pico(Decimal(needed)), claims))
    if held is None:
        raise BudgetExceededError(str(balances))
    return held


def spend(tracker, cost, hold=None):
    entry = tracker.entry(NAMES, Usage(), Decimal(cost), estimated=False)
    tracker.ledger.note(hold, entry)
    tracker.ledger.write()


def budget_of(tracker, limit, **settings):
    budget = Budget(limit, **settings)
    budget.use(tracker)
    return budget


# Kept


def test_what_was_recorded_is_there_after_a_restart(tmp_path):
    path = tmp_path / "costs.db"
    CostTracker(path).record(provider="p", model="m", cost=Decimal("0.25"))
    assert json.loads(output(path, "print(tracker.total().cost)")) == 0.25


def test_a_file_grows_with_what_is_told_apart_and_not_with_the_requests(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db", clock=noon)
    sizes = set()
    for number in range(500):
        tracker.record(provider="p", model="m", cost=Decimal("0.1"), tag="one")
        if number in (0, 499):
            tracker.close()
            sizes.add(tracker.path.stat().st_size)
    assert len(sizes) == 1
    assert [row.requests for row in tracker.total(["day", "tag"])] == [500]


def test_a_relative_path_means_the_folder_of_that_moment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = CostTracker("costs.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    tracker.record(provider="p", model="m")
    assert CostTracker(tmp_path / "costs.db").total().requests == 1


def test_names_that_mean_something_in_an_address_are_names_of_files(tmp_path):
    path = tmp_path / "a b?mode=memory#c%20.db"
    CostTracker(path).record(provider="p", model="m")
    assert path.exists()
    assert CostTracker(path).total().requests == 1


def test_closing_twice_is_closing_once_and_a_closed_tracker_opens_again(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    tracker.record(provider="p", model="m")
    tracker.close()
    tracker.close()
    assert not (tmp_path / "costs.db-wal").exists()
    tracker.record(provider="p", model="m")
    assert tracker.total().requests == 2


def later(minutes):
    return lambda: datetime.now(UTC) + timedelta(minutes=minutes)


def test_a_killed_process_loses_nothing_it_recorded_and_soon_holds_nothing(tmp_path):
    path = tmp_path / "costs.db"
    code = """
budget = Budget(10)
budget.use(tracker)
held = hold(budget, 1)
hold(budget, 5)
spend(tracker, "0.75", held)
print("ready", flush=True)
sys.stdin.read()
"""
    process = start(path, code, stdin=subprocess.PIPE)
    budget = budget_of(CostTracker(path), 10)
    assert process.stdout.readline() == "ready\n"
    assert budget.left() == Decimal("4.25")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert budget.spent() == Decimal("0.75")
    assert budget_of(CostTracker(path, clock=later(minutes=3)), 10).left() == Decimal("9.25")
    assert not set(tmp_path.iterdir()) - set(tmp_path.glob("costs.db-[ws][ah][lm]")) - {path}


def test_what_a_dead_process_held_is_forgotten_a_day_later(tmp_path):
    path = tmp_path / "costs.db"
    code = """
budget = Budget(10)
budget.use(tracker)
hold(budget, 8)
os.kill(os.getpid(), 9)
"""
    start(path, code).communicate(timeout=60)
    tomorrow = budget_of(CostTracker(path, clock=later(minutes=2000)), 10)
    hold(tomorrow, 10)
    # Even for a clock that has not gone on it is no longer there.
    assert budget_of(CostTracker(path), 20).left() == 10


def test_a_living_process_holds_on_however_long_it_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.cost.shared_ledger._RENEWAL", 0.01)
    now, beats = NOON, []

    def clock():
        beats.append(now)
        return now

    path = tmp_path / "costs.db"
    budget = budget_of(CostTracker(path, clock=clock), 10)
    hold(budget, 4)
    now += timedelta(hours=5)
    beats.clear()
    while len(beats) < 2:  # it goes on by itself
        time.sleep(0.01)
    assert budget_of(CostTracker(path, clock=lambda: now), 10).left() == 6


def test_a_tracker_that_is_closed_or_ends_leaves_only_its_file(tmp_path):
    path = tmp_path / "costs.db"
    budget = budget_of(CostTracker(path), 10)
    spend(budget.tracker, 1, hold(budget, 2))
    budget.tracker.close()
    assert list(tmp_path.iterdir()) == [path]
    output(path, "budget = Budget(9); budget.use(tracker); hold(budget, 1)")
    assert list(tmp_path.iterdir()) == [path]
    assert budget.left() == 9


def test_a_link_to_a_file_is_the_file(tmp_path):
    path, link = tmp_path / "costs.db", tmp_path / "link.db"
    one = budget_of(CostTracker(path), 10)
    link.symlink_to(path)
    other = budget_of(CostTracker(link), 10)
    hold(one, 4)
    assert other.left() == 6
    one.use(other.tracker)


# Together


def test_four_processes_lose_nothing_and_spend_no_more_than_their_budget(tmp_path):
    path = tmp_path / "costs.db"
    code = """
import random
budget = Budget(1)
budget.use(tracker)
spent, refused = Decimal(0), 0
for _ in range(60):
    try:
        held = hold(budget, "0.01")
    except BudgetExceededError:
        refused += 1
        continue
    assert budget.spent() <= 1
    cost = Decimal(random.randrange(1, 11)) / 1000
    spend(tracker, cost, held)
    spent += cost
    assert budget.spent() <= 1
print(spent, refused)
"""
    told = [words.split() for words in outputs(path, code, 4)]
    tracker = CostTracker(path)
    total = tracker.total()
    refused = sum(int(words[1]) for words in told)
    assert total.cost == sum(Decimal(words[0]) for words in told)
    assert total.requests == 240 - refused
    assert refused > 0  # there was a race for the last cent
    assert Decimal("0.95") < total.cost <= 1
    assert budget_of(tracker, 1).left() == 1 - total.cost


def test_processes_may_make_one_file_at_the_same_moment(tmp_path):
    path = tmp_path / "costs.db"
    outputs(path, 'spend(tracker, "0.5")', 6)
    assert CostTracker(path).total().cost == 3


def test_two_trackers_on_one_file_hold_together(tmp_path):
    one, other = (budget_of(CostTracker(tmp_path / "costs.db"), 1) for _ in range(2))
    held = hold(one, "0.6")
    with pytest.raises(BudgetExceededError):
        hold(other, "0.6")
    one.tracker.ledger.note(held)
    one.tracker.ledger.write()
    hold(other, "0.6")
    assert one.left() == Decimal("0.4")


# Forks


def test_a_forked_process_records_into_the_same_file_and_holds_for_itself(tmp_path):
    path = tmp_path / "costs.db"
    code = """
budget = Budget(10)
budget.use(tracker)
held = hold(budget, 4)
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        try:
            tracker.ledger.note(held)  # it is the parent's
            assert budget.left() <= 6
            for _ in range(20):
                spend(tracker, "0.01", hold(budget, "0.02"))
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        os._exit(code)
    children.append(child)
    spend(tracker, "0.01")
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
assert budget.left() == Decimal("5.37")
other = Budget(10)
other.use(CostTracker(tracker.path))
assert other.left() == Decimal("5.37")
spend(tracker, "0.01", held)
print(tracker.total().cost, budget.left())
"""
    assert output(path, code).split() == ["0.64", "9.36"]


def test_a_forked_process_starts_an_empty_memory(tmp_path):
    code = """
tracker = CostTracker()
budget = Budget(10)
budget.use(tracker)
hold(budget, 4)
spend(tracker, 1)
child = os.fork()
if not child:
    sound = budget.left() == 10 and tracker.total().requests == 0
    spend(tracker, 7)
    os._exit(0 if sound and budget.spent() == 7 else 1)
assert os.waitpid(child, 0)[1] == 0
print(budget.spent(), budget.left())
"""
    assert output(tmp_path / "unused.db", code).split() == ["1", "5"]


# Not to be used


def refusal(path):
    with pytest.raises(ConfigurationError) as caught:
        CostTracker(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but rather long" * 50)
    assert "another path" in refusal(path)
    assert path.read_text().startswith("not a database")


def test_somebody_elses_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    assert "some other program's" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "cure"), [(1, "give another path"), (9, "upgrade it, or")])
def test_a_ledger_of_another_version_is_refused_with_the_cure(tmp_path, version, cure):
    path = tmp_path / "costs.db"
    CostTracker(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    said = refusal(path)
    assert f"of version {version}" in said
    assert cure in said


def test_a_place_where_nothing_can_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing" / "costs.db", tmp_path / "file" / "costs.db"):
        assert "can be written" in refusal(path)
    assert "is a folder, so not a ledger of costs" in refusal(tmp_path)


@pytest.mark.parametrize("path", ["", ":memory:", 7, b"costs.db", True])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"CostTracker\.path"):
        CostTracker(path)


# When it fails later


def test_a_record_that_cannot_be_written_is_kept_and_counts(tmp_path, caplog):
    tracker = CostTracker(tmp_path / "costs.db", clock=noon)
    budget = budget_of(tracker, 1)
    held = hold(budget, "0.5")
    aside = tmp_path / "aside.db"
    shutil.move(tracker.path, aside)
    with caplog.at_level(logging.ERROR, "bruno_llm"):
        spend(tracker, "0.3", held)
        spend(tracker, "0.1")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "costs.db" in caplog.text
    with pytest.raises(ConfigurationError, match="cannot be used"):
        hold(budget, "0.1")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        tracker.total()
    shutil.move(aside, tracker.path)
    assert budget.left() == Decimal("0.6")
    assert tracker.total().requests == 2
    with pytest.raises(BudgetExceededError):
        hold(budget, "0.7")


def test_a_deleted_file_is_not_written_for_nobody(tmp_path, caplog):
    path = tmp_path / "costs.db"
    tracker = CostTracker(path)
    tracker.record(provider="p", model="m", cost=Decimal(1))
    for file in tmp_path.iterdir():
        file.unlink()
    tracker.record(provider="p", model="m", cost=Decimal(2))
    assert "kept" in caplog.text
    assert not path.exists()
    CostTracker(path)  # somebody starts anew
    tracker.record(provider="p", model="m", cost=Decimal(3))
    assert CostTracker(path).total().cost == 5


def test_a_locked_file_is_waited_for_and_then_reported(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 0.01)
    tracker = CostTracker(tmp_path / "costs.db")
    lock = sqlite3.connect(tracker.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    tracker.record(provider="p", model="m")
    assert "locked" in caplog.text
    with pytest.raises(ConfigurationError, match="locked"):
        tracker.close()
    lock.execute("ROLLBACK")
    lock.close()
    tracker.close()
    assert CostTracker(tracker.path).total().requests == 1


def test_a_full_disk_loses_nothing(tmp_path, caplog):
    tracker = CostTracker(tmp_path / "costs.db", clock=noon)
    connection = tracker.ledger._store.connection()
    connection.execute("PRAGMA max_page_count = 5")  # as if there was no room for more
    for number in range(3):
        tracker.record(provider="p", model="m", cost=Decimal(1), tag=f"{number}" * 9000)
    assert "full" in caplog.text
    with pytest.raises(ConfigurationError, match="full"):
        hold(budget_of(tracker, 10), 1)
    connection.execute("PRAGMA max_page_count = 1000000")
    assert tracker.total().cost == 3
    assert budget_of(tracker, 10).left() == 7


def test_a_locked_file_is_waited_for_once_and_then_again_when_it_was_free(tmp_path, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 1.0)
    tracker = CostTracker(tmp_path / "costs.db")
    lock = sqlite3.connect(tracker.path, isolation_level=None)

    def patience_after(recordings):
        for _ in range(recordings):
            tracker.record(provider="p", model="m")
        return tracker.ledger._store._patience

    for _ in range(2):
        lock.execute("BEGIN IMMEDIATE")
        assert patience_after(10) < 0.1
        lock.execute("ROLLBACK")
        assert patience_after(1) == 1.0
    lock.close()
    assert CostTracker(tracker.path).total().requests == 22


def test_a_hold_that_could_not_be_written_holds_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 0.01)
    budget = budget_of(CostTracker(tmp_path / "costs.db"), 1)
    lock = sqlite3.connect(budget.tracker.path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigurationError):
        hold(budget, "0.6")
    lock.execute("ROLLBACK")
    lock.close()
    assert budget.left() == 1


def test_a_hold_that_was_rolled_back_holds_nothing(tmp_path):
    budget = budget_of(CostTracker(tmp_path / "costs.db", clock=noon), 1)
    connection = budget.tracker.ledger._store.connection()

    def refuse(action, table, *_):
        writes = action == sqlite3.SQLITE_INSERT and table == "held"
        return sqlite3.SQLITE_DENY if writes else sqlite3.SQLITE_OK

    connection.set_authorizer(refuse)
    with pytest.raises(ConfigurationError, match="not authorized"):
        hold(budget, "0.6")
    connection.set_authorizer(None)
    assert budget.left() == 1
    hold(budget, "0.6")
    assert budget.left() == Decimal("0.4")


def test_memory_that_cannot_be_written_stays_small(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db", clock=noon)
    tracker.path.unlink()
    for _ in range(30):
        spend(tracker, "0.1")
    assert len(tracker.ledger._entries) == 1
    CostTracker(tracker.path)
    assert tracker.total().cost == 3


def test_a_finalizer_in_the_middle_of_our_own_work_loses_nothing(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db", clock=noon)
    ledger, connection = tracker.ledger, tracker.ledger._store.connection()
    late = iter([True])

    def interrupt(_):  # SQLite calls it in the middle of a statement, as the garbage collector may
        if next(late, False):
            spend(tracker, "0.2")

    connection.set_trace_callback(interrupt)
    spend(tracker, "0.1")
    connection.set_trace_callback(None)
    ledger.close()
    with sqlite3.connect(tracker.path) as other:
        assert other.execute("SELECT sum(cost) FROM entries").fetchone() == (3 * 10**11,)
    other.close()


def test_what_interrupts_a_ledger_may_tell_it_something_but_not_ask(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    connection = tracker.ledger._store.connection()
    late, refused = iter([True]), []

    def interrupt(_):  # as a signal handler may
        if next(late, False):
            spend(tracker, "0.1")
            try:
                tracker.total()
            except RuntimeError as error:
                refused.append(str(error))

    connection.set_trace_callback(interrupt)
    spend(tracker, "0.2")
    connection.set_trace_callback(None)
    assert refused == ["a ledger cannot be asked by what has interrupted it"]
    assert tracker.total().cost == Decimal("0.3")


def test_a_finalizer_in_the_middle_of_any_step_in_memory_is_counted_once():
    for step in range(150):
        tracker = CostTracker(clock=noon)
        budget, per_user = Budget("9"), Budget("9", by="user")
        budget.use(tracker)
        per_user.use(tracker)
        spend(tracker, "1")
        steps = iter(range(step + 1))

        def interrupt(*_, tracker=tracker, steps=steps):  # as the garbage collector may
            if next(steps, None) is None:
                sys.setprofile(None)
                tracker.record(provider="p", model="other", cost=Decimal(2))

        sys.setprofile(interrupt)
        try:
            per_user.left()
            tracker.total("model")
            hold(budget, "3")
        finally:
            sys.setprofile(None)
        spent = tracker.total().cost
        assert spent == sum(row.cost for row in tracker.total("model"))
        assert (budget.spent(), per_user.spent(), budget.left()) == (spent, spent, 6 - spent)
    assert spent == 3  # it came to that


# Copies


def test_a_pickled_tracker_records_into_the_same_file(tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    copy = pickle.loads(pickle.dumps(tracker))
    copy.record(provider="p", model="m", cost=Decimal(1))
    assert tracker.total().cost == 1


def test_a_pickled_tracker_without_a_file_starts_empty():
    tracker = CostTracker()
    tracker.record(provider="p", model="m", cost=Decimal(1))
    assert pickle.loads(pickle.dumps(tracker)).total().requests == 0


def test_sixteen_threads_lose_nothing(tmp_path):
    for tracker in (CostTracker(), CostTracker(tmp_path / "costs.db")):

        def work(tracker=tracker):
            for _ in range(25):
                tracker.record(provider="p", model="m", cost=Decimal("0.001"))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert tracker.total().cost == Decimal("0.4")
        assert tracker.total().requests == 400


# In memory and in a file alike

some_names = st.tuples(
    st.sampled_from("pq"), st.sampled_from("mn"), st.sampled_from(("", "t")), st.sampled_from("ab")
)
steps = st.lists(
    st.tuples(
        some_names,
        st.integers(1, 400),
        st.sampled_from(("hold", "release", "settle", "add")),
        st.integers(0, 2),
    ),
    max_size=15,
)
CLAIMS = [
    Claim((), "", 1000),
    Claim((("user", "a"),), "2026-11-25", 600),
    Claim((("tag", "t"), ("user", "b")), "", 500),
]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_a_ledger_in_memory_and_one_in_a_file_say_the_same(steps):
    with tempfile.TemporaryDirectory() as folder:
        pair = Ledger(), SharedLedger(LedgerFile(Path(folder) / "costs.db", noon))
        on_their_way = []
        for names, number, step, day in steps:
            entry = Entry(f"2026-11-2{4 + day}", names, (1, number, 2, 0, 0, 1, number, 0, day % 2))
            if step == "hold":
                (one, before), (other, same) = (
                    asyncio.run(ledger.hold(names, number, CLAIMS)) for ledger in pair
                )
                assert before == same
                assert (one is None) == (other is None)
                if one is not None:
                    on_their_way.append((one, other))
            else:
                done = step != "add" and on_their_way and on_their_way.pop()
                for ledger, hold in zip(pair, done or (None, None), strict=True):
                    ledger.note(hold, None if step == "release" else entry)
                    ledger.write()
            for claim in CLAIMS:
                assert pair[0].balance(claim) == pair[1].balance(claim)
        for by in ((), ("day",), ("user", "model"), KEYS):
            for selection in (
                ("", "", {}),
                ("2026-11-25", "2026-11-25", {"user": "a"}),
            ):
                assert pair[0].sums(by, *selection) == pair[1].sums(by, *selection)
        pair[1].end()
