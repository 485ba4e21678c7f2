"""What many tests share."""

import asyncio
import selectors
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

collect_ignore = [] if find_spec("bruno_memory") else ["compat"]  # those run in .ci/compat.py

# how long an example takes says something of the machine only
settings.register_profile("bruno", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bruno")

KEYS = ("OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE", "OLLAMA", "BRUNO_LLM")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    """No key, address or proxy of the machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith(KEYS) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


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
