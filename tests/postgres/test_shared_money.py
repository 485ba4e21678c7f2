"""One ledger for many processes, on a real server."""

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base import Budget, BudgetExceededError, ConfigurationError, CostTracker, Usage
from bruno_llm_base.cost.ledger import Ledger
from bruno_llm_base.cost.rows import KEYS, Claim, Entry, Kept, Settled, pico
from bruno_llm_base.cost.shared_ledger import SharedLedger
from bruno_llm_postgres import ledger_store

NAMES = ("p", "m", "", "")
DOLLAR = 10**12
CLAIMS = [
    Claim((), "", 1000),
    Claim((("user", "a"),), "2026-11-25", 600),
    Claim((("tag", "t"), ("user", "b")), "", 500),
]


def hold(budget, needed, names=NAMES):
    claims = [budget.claim(names)]
    held, balances = asyncio.run(budget.tracker.ledger.hold(names, pico(Decimal(needed)), claims))
    if held is None:
        raise BudgetExceededError(str(balances))
    return held


def spend(tracker, cost, hold=None, names=NAMES):
    entry = tracker.entry(names, Usage(), Decimal(cost), estimated=False)
    tracker.ledger.note(hold, entry)
    tracker.ledger.write()


def budget_of(url, limit, **settings):
    budget = Budget(limit, **settings)
    budget.use(CostTracker(url))
    return budget


def start(*arguments):
    script = str(Path(__file__).with_name("client.py"))
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, script, *arguments], stdin=pipe, stdout=pipe, text=True
    )


def test_sixteen_clients_are_given_exactly_a_hundred_of_a_hundred(url):
    CostTracker(url).total()
    claims = [Claim((), "", 100 * DOLLAR)]
    given = []

    async def take(ledger):
        while (await ledger.hold(NAMES, DOLLAR, claims))[0] is not None:
            given.append(ledger)

    trackers = [CostTracker(url) for _ in range(16)]
    threads = [
        threading.Thread(target=lambda ledger=each.ledger: asyncio.run(take(ledger)))
        for each in trackers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(given) == 100
    for each in trackers:
        each.close()


def test_processes_are_given_exactly_a_hundred_and_a_killed_one_gives_back(url, ask):
    processes = [start(url, "100") for _ in range(4)]
    try:
        budget = budget_of(url, 100)
        while budget.left():
            pass
        assert ask("SELECT count(*), sum(amount) FROM bruno_held") == [(100, 100 * DOLLAR)]
        assert ask("SELECT max(expires) < now() + interval '121 s' FROM bruno_held") == [(True,)]
        with pytest.raises(BudgetExceededError):
            hold(budget, 1)
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        told = sum(process.communicate()[0].count("held") for process in processes)
        assert 96 <= told <= 100  # each may have been killed before it told of its last
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    ask("UPDATE bruno_held SET expires = expires - interval '121 s'")
    assert budget.left() == 100
    hold(budget, 100)


def test_a_process_that_is_killed_loses_nothing_that_it_has_recorded(url):
    code = """
import sys
from decimal import Decimal
from bruno_llm_base import CostTracker
tracker = CostTracker(sys.argv[1])
for number in range(20):
    tracker.record(provider="p", model="m", cost=Decimal("0.25"))
    print(number, flush=True)
sys.stdin.read()
"""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", code, url], stdin=pipe, stdout=pipe, text=True
    )
    while process.stdout.readline() != "19\n":
        pass
    process.kill()
    process.communicate()
    assert CostTracker(url).total().cost == 5


def test_budgets_by_user_and_of_a_tag_hold_together(url):
    each = budget_of(url, 1, by="user")
    tagged = budget_of(url, 1, by="user", of={"tag": "t"})
    ann, ben = ("p", "m", "t", "ann"), ("p", "m", "", "ben")
    held = hold(each, "0.6", ann)
    hold(each, "0.6", ben)
    with pytest.raises(BudgetExceededError):
        hold(each, "0.6", ann)
    spend(each.tracker, "0.5", held, ann)
    assert (each.left("ann"), each.left("ben"), tagged.left("ann")) == (
        Decimal("0.5"),
        Decimal("0.4"),
        Decimal("0.5"),
    )


def test_a_forked_process_holds_nothing_of_its_parents_and_both_go_on(url):
    code = """
import os, sys
from decimal import Decimal
from bruno_llm_base import CostTracker
tracker = CostTracker(sys.argv[1])
tracker.record(provider="p", model="m", cost=Decimal(1))
child = os.fork()
for _ in range(5):
    tracker.record(provider="p", model="m", cost=Decimal(1))
if not child:
    tracker.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(tracker.total().cost)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("11\n", "")


def test_people_query_it_in_dollars(url, ask):
    tracker = CostTracker(url)
    with tracker.label(user="ann"):
        tracker.record(provider="p", model="m", cost=Decimal("0.000000000001"))
        tracker.record(provider="p", model="m", cost=Decimal("1.5"), usage=Usage(input_tokens=7))
    query = 'SELECT day, model, "user", tag, requests, input_tokens, cost_usd FROM bruno_costs'
    ((day, *facts, cost),) = ask(query)
    assert isinstance(day, date)
    assert facts == ["m", "ann", None, 2, 7]
    assert cost == Decimal("1.500000000001")


def test_it_says_the_same_as_a_ledger_in_memory(url):
    pair = Ledger(), SharedLedger(ledger_store(url))
    on_their_way = []
    for number in range(60):
        names = (
            "pq"[number % 2],
            "mn"[number // 2 % 2],
            ("", "t")[number % 3 % 2],
            "ab"[number % 5 % 2],
        )
        counts = (1, number, 2, 0, 0, 1, number * 3, 0, number % 2)
        entry = Entry(f"2026-11-2{4 + number % 3}", names, counts)
        if number % 4 < 2:
            answers = [asyncio.run(each.hold(names, number * 3, CLAIMS)) for each in pair]
            assert answers[0][1] == answers[1][1]
            assert [hold is None for hold, _ in answers].count(True) in {0, 2}
            if answers[0][0] is not None:
                on_their_way.append([hold for hold, _ in answers])
        else:
            holds = on_their_way.pop(0) if number % 4 == 2 and on_their_way else (None, None)
            for ledger, hold in zip(pair, holds, strict=True):
                ledger.note(hold, None if number % 8 == 2 else entry)
                ledger.write()
        for claim in CLAIMS:
            assert pair[0].balance(claim) == pair[1].balance(claim)
    for by in ((), ("day",), ("user", "model"), KEYS):
        for selection in (("", "", {}), ("2026-11-25", "2026-11-25", {"user": "a"})):
            assert pair[0].sums(by, *selection) == pair[1].sums(by, *selection)
    pair[1].end()


def test_a_batch_is_held_by_no_process_and_its_rows_are_booked_once(url):
    one, other = (CostTracker(url).ledger for _ in range(2))
    claim = Claim((), "", 100)
    names = ("p", "m", "t", "")
    held, _ = asyncio.run(one.hold(names, 90, [claim]))
    one.note_batch(Kept("batch", names, 60, held))
    one.note_batch(Kept("batch", names, 60, held))
    assert one.balance(claim) == (0, 90)
    one.note(held)
    one.close()
    entry = Entry("2026-11-28", ("p", "m", "", ""), (1, 0, 0, 0, 0, 0, 20, 0, 0))
    for _ in range(3):
        for ledger in (one, other):
            ledger.note_batch(Settled("batch", "row-1", entry))
            ledger.write()
    assert other.balance(claim) == (20, 40)
    assert other.sums(("tag",), "", "", {})[0].tag == "t"
    other.note_batch(Settled("batch"))
    assert other.balance(claim) == (20, 0)


def test_names_that_postgresql_cannot_store_are_stored_otherwise_and_found_again(url):
    budget = budget_of(url, 5, by="user")
    for user in ("a\0b", "long" * 2000, "long" * 2001, "\ud800"):
        names = ("p", "m", "", user.encode(errors="backslashreplace").decode())
        spend(budget.tracker, 1, hold(budget, 2, names), names)
        assert budget.left(user) == 4
    assert [row.requests for row in budget.tracker.total("user")] == [1, 1, 1, 1]


def test_sums_stay_sums_at_the_limits_of_numbers(url):
    tracker = CostTracker(url)
    for _ in range(3):
        tracker.record(provider="p", model="m", cost=Decimal("9e6"))
    assert tracker.total().cost == pytest.approx(Decimal("9223372.036854775807"))
    tracker.record(provider="p", model="n", cost=Decimal("9e6"))
    assert tracker.total().cost > Decimal("1.8e7")


def test_a_copy_records_into_the_same_place_and_shows_no_password(url):
    tracker = CostTracker(url, clock=now)
    copy = pickle.loads(pickle.dumps(tracker))
    copy.record(provider="p", model="m", cost=Decimal(1))
    assert tracker.total().cost == 1
    assert "secret" not in repr(tracker)
    assert repr(tracker).startswith("CostTracker('postgresql://postgres@127.0.0.1:")
    budget = Budget(1)
    budget.use(tracker)
    budget.use(copy)  # it is the same ledger
    with pytest.raises(ConfigurationError) as caught:
        budget.use(CostTracker(url + "2"))
    assert "secret" not in str(caught.value)


def now():
    return datetime.now(UTC)


def test_the_short_scheme_is_the_same(url):
    CostTracker(url.replace("postgresql://", "POSTGRES://")).record(provider="p", model="m")
    assert json.loads(CostTracker(url).report().to_json())
    assert CostTracker(url).total().requests == 1
