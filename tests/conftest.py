"""What many tests share."""

import asyncio
import os
import selectors
import sys
import threading
import time
from contextlib import asynccontextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

# those run in .ci/compat.py
collect_ignore = [] if find_spec("bruno_memory") else ["compat"]
collect_ignore += [] if find_spec("litellm") else ["neighbours"]

# how long an example takes says something of the machine only
settings.register_profile("bruno", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bruno")

PATIENCE = 120.0  # seconds until a test gives up; no verdict depends on it
KEYS = ("OPENAI", "ANTHROPIC", "AWS", "AZURE", "GEMINI", "GOOGLE", "OLLAMA", "BRUNO_LLM")
OF_VENDORS = ("_api_key", "_base_url", "_token", "_proxy")
# clients load one certificate: to load all takes longer than most tests
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "family" / "api.openai.com.pem")
COVERAGE = "COVERAGE_PROCESS"  # programs that a test starts run as a user's, and a third faster


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    """No key, address or proxy of the machine reaches a test."""
    for name in list(os.environ):
        if name.startswith((*KEYS, COVERAGE)) or name.lower().endswith(OF_VENDORS):
            monkeypatch.delenv(name)


@pytest.fixture
def unmeasured():
    """Let coverage look away from what runs many times what other tests show: it doubles the time."""
    trace, of_threads = sys.gettrace(), threading.gettrace()
    if not type(trace).__module__.startswith("coverage"):  # none, or a debugger's
        yield
        return
    sys.settrace(None)
    threading.settrace(None)
    yield
    sys.settrace(trace)
    threading.settrace(of_threads)


class _LeapingSelector(selectors.DefaultSelector):
    """Where a loop would sleep, its clock leaps instead."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._leaping = _LeapingSelector()
        super().__init__(self._leaping)

    def time(self):
        return self._leaping.now


@pytest.fixture
def leap():
    """Run a coroutine in a loop whose clock leaps over every wait."""

    def run(coroutine):
        with asyncio.Runner(loop_factory=_LeapingLoop) as runner:
            return runner.run(coroutine)

    return run


@pytest.fixture
def until():
    """Wait for what another thread or task does."""

    async def until(condition):
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.001)

    return until


@pytest.fixture
def at_once():
    """Let the loop do what is due, and then wait for another thread while the loop stands still."""

    async def at_once(condition):
        for _ in range(50):
            await asyncio.sleep(0)
        give_up = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < give_up
            time.sleep(0.001)  # noqa: ASYNC251 - no timer of ours may help

    return at_once


@pytest.fixture
def jump(until):
    """Let the running loop's clock jump, each time that the next one of some conditions holds.

    So a limit that a test wants to be reached may be longer than anything that a busy machine delays.
    """

    @asynccontextmanager
    async def jump(seconds, *conditions):
        async def watch():
            loop = asyncio.get_running_loop()
            for condition in conditions:
                await until(condition)
                loop.time = lambda now=loop.time: now() + seconds

        watching = asyncio.create_task(watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    return jump


@cache
def _validator(kind):
    """Return what checks a vendor's type: lists in place of `Iterable`, which pydantic never looks into."""

    def eager(schema):
        if isinstance(schema, list | tuple):
            return type(schema)(map(eager, schema))
        if not isinstance(schema, dict):
            return schema
        schema = {name: eager(inner) for name, inner in schema.items()}
        return schema | ({"type": "list"} if schema.get("type") == "generator" else {})

    return SchemaValidator(eager(TypeAdapter(kind).core_schema))


@pytest.fixture
def fits():
    """Check that a body is of a type of the vendor's SDK."""
    return lambda kind, body: _validator(kind).validate_python(body)
