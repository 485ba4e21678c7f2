"""A ledger is reported on without a trace: by whom may only read it, and beside those who write it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base.cost.budget import Budget
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.exceptions import ConfigurationError

WRITER = """
import os, sys
from decimal import Decimal
from bruno_llm_base.cost.tracker import CostTracker
tracker = CostTracker(sys.argv[1])
for user in ("ann", "ben"):
    tracker.record(provider="p", model="m", cost=Decimal("0.25"), user=user)
print("ready", flush=True)
sys.stdin.readline()
tracker.close()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "costs.db"


def written(path):
    """Write a ledger, and close it."""
    process = writing(path)
    process.communicate("\n", timeout=60)
    return path


def writing(path):
    """Write a ledger, and go on."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def there(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def reported(path):
    tracker = CostTracker(path)
    budget = Budget(1, by="user")
    budget.use(tracker)
    report = tracker.report(by="user")
    assert budget.left("ann") == 1 - budget.spent("ann")
    tracker.close()
    return {row.user: row.cost for row in report.rows}


BOTH = {"ann": Decimal("0.25"), "ben": Decimal("0.25")}


def test_reading_a_ledger_leaves_all_as_it_is(path):
    written(path)
    before = there(path.parent)
    assert reported(path) == BOTH
    assert there(path.parent) == before


def test_reading_beside_a_writer_makes_nothing(path):
    process = writing(path)
    before = set(there(path.parent))
    assert reported(path) == BOTH
    assert set(there(path.parent)) == before
    process.communicate("\n", timeout=60)
    assert list(path.parent.iterdir()) == [path]


def test_reading_what_a_killed_writer_has_left_makes_nothing(path):
    process = writing(path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    before = set(there(path.parent))
    assert reported(path) == BOTH
    assert set(there(path.parent)) == before


def test_an_empty_file_is_an_empty_ledger_until_something_is_recorded(path):
    path.touch()
    assert reported(path) == {}
    assert path.read_bytes() == b""
    tracker = CostTracker(path)
    tracker.record(provider="p", model="m", cost=Decimal(1))
    assert CostTracker(path).total().cost == 1


def test_a_reader_waits_for_no_writer(path):
    written(path)
    tracker = CostTracker(path)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    lock.execute("DELETE FROM entries")
    assert tracker.total().cost == Decimal("0.5")
    lock.execute("ROLLBACK")
    lock.close()


def test_what_is_recorded_later_is_read(path):
    written(path)
    reader = CostTracker(path)
    assert reader.total().requests == 2
    written(path)
    assert reader.total().requests == 4
    reader.record(provider="p", model="m")
    assert reader.total().requests == 5


def test_a_ledger_that_is_gone_is_an_error_and_stays_gone(path):
    written(path)
    tracker = CostTracker(path)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        tracker.total()
    assert list(path.parent.iterdir()) == []


# Somebody who may only read

READER = """
import asyncio, json, logging, os, sys, tempfile
from decimal import Decimal
from bruno_llm_base import Budget, ConfigurationError, CostTracker, Price
from bruno_llm_ollama import OllamaProvider

logging.basicConfig()

def report(path):
    made = CostTracker(path).report(by="user")
    return [str(made.total.cost), made.to_csv().count("0.25"), "ann" in made.to_json()]

def use(path):
    tracker = CostTracker(path, prices={"llama3.2": Price(input=1, output=1)})
    said = {"before": report(path)}
    tracker.record(provider="p", model="m", cost=Decimal(1))
    budget = Budget(5)
    llm = OllamaProvider(base_url="http://127.0.0.1:9", cost=tracker, budget=budget, max_tokens=5,
                         max_retries=0)
    try:
        asyncio.run(llm.generate("hi"))
    except Exception as error:
        said["request"] = [type(error).__name__, error.message]
    return said | {"after": report(path)}

# all modules are loaded first: they may be where only root can read
use(os.path.join(tempfile.mkdtemp(), "costs.db"))
if not os.getuid():
    os.setuid(65534)  # permissions do not bind root
print(json.dumps(use(sys.argv[1])))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def open_folder():
    """A folder that everyone may look into, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("left_by", ["closed", "killed", "writing"])
def test_who_may_only_read_gets_reports_and_spends_nothing(open_folder, left_by):
    path = open_folder / "costs.db"
    process = writing(path)
    if left_by == "killed":
        process.kill()
    if left_by != "writing":
        process.communicate("\n", timeout=60)
    for file in open_folder.iterdir():
        file.chmod(0o444)
    open_folder.chmod(0o555)
    before = set(there(open_folder))
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
    )
    open_folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["before"] == said["after"] == ["0.5", 2, True]
    kind, message = said["request"]
    assert (kind, str(path) in message) == ("ConfigurationError", True)
    assert "kept" in done.stderr  # what could not be recorded is told
    assert set(there(open_folder)) == before
    if left_by == "writing":
        process.communicate("\n", timeout=60)
