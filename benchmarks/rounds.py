"""Clients take turns, so that whatever disturbs the machine disturbs all of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any, Self

from benchmarks.measures import MEASURES

__all__ = ["Costs", "in_a_process", "measure_imports", "measure_vendor", "ratio", "server"]

Costs = dict[str, list[float]]
"""Seconds per unit, by client, one figure per round."""

_NO_BYTECODE = ("PYTHONDONTWRITEBYTECODE",)
_PYTHON = [sys.executable, "-W", "ignore"]
# as after `pip install`, which compiles modules; else every import would compile ours again
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in _NO_BYTECODE}
_OURS = {
    "openai": "from bruno_llm_openai import OpenAIProvider",
    "claude": "from bruno_llm_claude import ClaudeProvider",
    "ollama": "from bruno_llm_ollama import OllamaProvider",
    "gemini": "from bruno_llm_gemini import GeminiProvider",
}
_OFFICIAL = {
    "openai": "from openai import AsyncOpenAI",
    "claude": "from anthropic import AsyncAnthropic",
    "ollama": "from ollama import AsyncClient",
    "gemini": "from google.genai import Client",
}
_CORE = "import bruno_core.interfaces, bruno_core.utils.exceptions"
_TIMED = "import time; begun = time.process_time(); {}; print(time.process_time() - begun)"


@contextmanager
def server() -> Iterator[str]:
    """Run the server; give its address."""
    with subprocess.Popen(
        [*_PYTHON, "-m", "benchmarks.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


class _Worker:
    def __init__(self, client: str, vendor: str, address: str) -> None:
        self._process = subprocess.Popen(
            [*_PYTHON, "-m", "benchmarks.worker", client, vendor, address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def measure(self, name: str, scale: float) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"measure": name, "scale": scale}), file=self._process.stdin, flush=True)
        cost: float = json.loads(self._process.stdout.readline())
        return cost


def measure_vendor(
    vendor: str, clients: Sequence[str], address: str, *, rounds: int, scale: float
) -> dict[str, Costs]:
    """Return, by measure, what each client pays; the first round warms up and does not count."""
    figures: dict[str, Costs] = {m.name: {name: [] for name in clients} for m in MEASURES}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(_Worker(name, vendor, address)) for name in clients}
        for measure in MEASURES:
            for turn in range(max(1, round(rounds * measure.share)) + 1):
                for place in range(len(clients)):
                    name = clients[(place + turn) % len(clients)]
                    cost = workers[name].measure(measure.name, scale if turn else 0)
                    if turn:
                        figures[measure.name][name].append(cost)
    return figures


def measure_imports(vendor: str, *, rounds: int) -> Costs:
    """Return the CPU seconds of importing ours, the SDK, and what bruno-core takes of ours."""
    programs = {"ours": _OURS[vendor], "official": _OFFICIAL[vendor], "bruno-core": _CORE}
    figures: Costs = {name: [] for name in programs}
    for turn in range(rounds + 1):
        for name, program in programs.items():
            done = subprocess.run(
                [*_PYTHON, "-c", _TIMED.format(program)],
                capture_output=True,
                text=True,
                check=True,
                env=_ENVIRONMENT,
            )
            if turn:
                figures[name].append(float(done.stdout))
    return figures


def in_a_process(module: str, *arguments: object) -> Any:
    """Run a module of ours that prints JSON, and return what it printed."""
    command = [*_PYTHON, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def ratio(costs: Costs, client: str, reference: str = "official") -> float:
    """Return the median, over the rounds, of what *client* paid for what *reference* paid 1 for."""
    pairs = zip(costs[client], costs[reference], strict=True)
    return median(ours / theirs for ours, theirs in pairs)
