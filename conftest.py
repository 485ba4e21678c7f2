"""Run the Python examples of the READMEs as tests, against the fake servers."""

import asyncio
import os
from contextlib import ExitStack

from bruno_llm_claude.testing import FakeClaude
from bruno_llm_gemini.testing import FakeGemini
from bruno_llm_ollama.testing import FakeOllama
from bruno_llm_openai.testing import FakeOpenAI
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

ADDRESSES = {
    "OPENAI": (FakeOpenAI, "OPENAI_BASE_URL"),
    "ANTHROPIC": (FakeClaude, "ANTHROPIC_BASE_URL"),
    "GEMINI": (FakeGemini, "GOOGLE_GEMINI_BASE_URL"),
    "OLLAMA": (FakeOllama, "OLLAMA_HOST"),
}


class _Evaluator(PythonEvaluator):
    """Runs a block, and then the `main` that it defines."""

    def __call__(self, example: Example) -> None:
        super().__call__(example)
        main = example.namespace.pop("main", None)
        if main is not None:
            asyncio.run(main())


def _setup(namespace: dict[str, object]) -> None:
    namespace["servers"] = servers = ExitStack()
    namespace["environment"] = dict(os.environ)
    for vendor, (kind, variable) in ADDRESSES.items():
        server = servers.enter_context(kind())
        os.environ[variable] = server.connection()["base_url"]
        os.environ[f"{vendor}_API_KEY"] = server.api_key


def _teardown(namespace: dict[str, object]) -> None:
    namespace["servers"].close()  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(namespace["environment"])  # type: ignore[call-overload]


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _Evaluator())],
    patterns=["README.md"],
    excludes=[".env/**"],
    setup=_setup,
    teardown=_teardown,
).pytest()
