"""Recipes for engines that run many processes: each row once, one limit, one budget."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import closing
from decimal import Decimal
from itertools import chain
from pathlib import Path
from runpy import run_path
from tempfile import TemporaryDirectory
from threading import Timer
from uuid import uuid4

import pytest
from bruno_llm_base import CostTracker

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples/fleet"
ROWS = int(os.environ.get("FLEET_ROWS", "10000"))
ENGINES = ("ray", "dask", "celery")
PROCESSES, AT_ONCE = 4, 25  # and the rows that each asks at once
LIMIT = 500  # in a minute, which is a second here
PATIENCE = 600  # seconds
WINDOW = 1024  # a minute, in the unit in which places are written down
COST = Decimal("0.000042")  # USD, of a row


class Fleet:
    """The servers, and the folder in which engines run."""

    def __init__(self, folder, temporary, ledger):
        self.folder, self._temporary = folder, temporary
        (folder / "places").mkdir()
        pipe = subprocess.PIPE
        command = [sys.executable, HERE / "servers.py"]
        self._servers = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        self._vendor, valkey = self._servers.stdout.readline().split()
        paths = HERE / "stores", EXAMPLES
        self._environment = os.environ | {
            "OPENAI_API_KEY": "test-key",
            "BRUNO_LLM_PROVIDER": "openai",
            "BRUNO_LLM_MODEL": "gpt-6-luna",
            "BRUNO_LLM_PRICE_NAME": "openai",
            "OPENAI_BASE_URL": f"http://{self._vendor}/v1",
            "VALKEY_URL": f"witnessed://{valkey}/0",
            "BROKER_URL": f"redis://{valkey}/1",
            "LEDGER": ledger,
            "REQUESTS_PER_MINUTE": str(LIMIT),
            "PLACES": str(folder / "places"),
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def stop(self):
        self._servers.communicate()

    def start(self, *command, **environment):
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, HERE / "leash.py", sys.executable, *command],
            stdin=pipe,
            stdout=pipe,
            text=True,
            start_new_session=True,  # what ends the test's group would end the leash alone
            cwd=self.folder,
            env=self._environment | environment,
        )

    def ask(self, path):
        with urllib.request.urlopen(f"http://{self._vendor}/{path}") as answer:
            return json.load(answer)

    def run(self, engine, rows, *, budget, kill_after=None):
        """Ask for so many *rows*, and return what was printed and the lines that came out."""
        asked, answers = self.folder / "rows.jsonl", self.folder / "answers"
        lines = ({"id": f"{number}", "text": f"nice {number}"} for number in range(rows))
        asked.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        given = str(asked), str(answers)
        started = []
        try:
            if engine == "celery":
                worker = (
                    "-m",
                    "celery",
                    "--app",
                    "celery_rows",
                    "worker",
                    "--concurrency",
                    str(PROCESSES),
                )
                started.append(self.start(*worker, BUDGET=budget))
            program = {
                "ray": (str(HERE / "ray_here.py"), *given, self._temporary),
                "dask": (str(EXAMPLES / "dask_rows.py"), *given),
                "celery": (str(EXAMPLES / "celery_rows.py"), *given),
            }[engine]
            started.append(self.start(*program, BUDGET=budget))
            if kill_after is not None:
                while self.ask("count") < kill_after:
                    assert started[-1].poll() is None
                    time.sleep(0.1)
                os.kill(self.processes()[-1], signal.SIGKILL)
            giving_up = Timer(PATIENCE, started[-1].stdin.close)  # which ends it
            giving_up.start()
            said = started[-1].stdout.read()
            giving_up.cancel()
            assert started[-1].wait() == 0
        finally:
            for process in started:
                process.communicate()
        files = sorted(answers.iterdir()) if answers.is_dir() else [answers]
        texts = chain.from_iterable(file.read_text().splitlines() for file in files)
        return said, [json.loads(text) for text in texts]

    def processes(self):
        """Return the processes that were given places, the latest last."""
        files = sorted((self.folder / "places").iterdir(), key=lambda file: file.stat().st_mtime_ns)
        return [int(file.name) for file in files]

    def total(self):
        with closing(CostTracker(self._environment["LEDGER"])) as costs:
            return costs.total()

    def places(self):
        """Return when each place was given, in order."""
        files = (self.folder / "places").iterdir()
        return sorted(int(line) for file in files for line in file.read_text().splitlines())


@pytest.fixture(scope="module")
def postgres():
    server = run_path(str(HERE.parent / "postgres/conftest.py"))["Server"]()
    yield server
    server.end()


@pytest.fixture
def fleet(tmp_path, postgres):
    name = f"costs_{uuid4().hex}"
    postgres.ask(f"CREATE DATABASE {name}")
    with TemporaryDirectory(prefix="ray") as short:  # sockets want a short path
        fleet = Fleet(tmp_path, short, postgres.url(name))
        yield fleet
        fleet.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_each_row_is_in_the_result_once_though_a_process_is_killed(fleet, engine):
    said, lines = fleet.run(engine, ROWS, budget="5", kill_after=ROWS // 3)

    assert Counter(line["id"] for line in lines) == Counter(map(str, range(ROWS)))
    assert {(line["answer"], line["error"]) for line in lines} == {("good", None)}
    assert "0 rows have no answer." in said

    seen, places = fleet.ask("seen"), fleet.places()
    # only what the killed process had on its way was asked for again
    assert ROWS <= len(seen["arrivals"]) <= ROWS + AT_ONCE
    for first, last in zip(places, places[LIMIT:], strict=False):
        assert last - first >= WINDOW
    assert len(seen["arrivals"]) <= len(places)
    assert seen["most_at_once"] <= 64
    costs = fleet.total()
    assert costs.cost == costs.requests * COST
    # nor could it record that
    assert len(seen["arrivals"]) - AT_ONCE <= costs.requests <= len(seen["arrivals"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_spent_budget_ends_it_and_says_so(fleet, engine):
    said, lines = fleet.run(engine, 1000, budget=str(500 * COST))

    assert Counter(line["id"] for line in lines) == Counter(map(str, range(1000)))
    answered = sum(line["answer"] == "good" for line in lines)
    assert 250 < answered <= 500
    assert f"{1000 - answered} rows have no answer." in said
    errors = {line["error"] for line in lines if line["answer"] is None}
    assert [error for error in errors if "budget" not in error] == []
    assert len(fleet.ask("seen")["arrivals"]) == fleet.total().requests == answered
    assert fleet.total().cost == answered * COST
