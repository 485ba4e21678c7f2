"""Run the Python examples of the READMEs and of the documentation as tests.

Vendors are their fake servers, and the working directory is an empty one. Each block of Python is a
program: it finds no names of the blocks above it, runs its own `main`, and then prints something.
Beside these:

- a block of any kind with `title="name"` is the file of that name, for the blocks below it;
- a line `--8<-- "path"` stands for a file of the repository, as on the built site; it is imported,
  so to say, and has a test of its own for what it does.
"""

import gc
import os
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack, chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from bruno_llm_base.discovery import kind_of
from bruno_llm_openai.vendors import ROWS
from bruno_llm_testing import FakeReranker, FakeVendor, clouds
from bruno_llm_testing.fakes import FAKES, fake_of
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.integration.pytest import SybilItem
from sybil.parsers.markdown import CodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parent
SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)
TITLE = re.compile(r'\w+ title="(?P<name>[^"]+)"$\n', re.MULTILINE)


@pytest.hookimpl(optionalhook=True)  # not all who run tests here have xdist
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: some tests wait for a server or a process."""
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else 2


class _Evaluator(PythonEvaluator):
    """Runs a block as a reader would."""

    def __call__(self, example: Example) -> str | None:
        source = SNIPPET.sub(lambda found: (ROOT / found[1]).read_text(), example.parsed)
        is_file = source != example.parsed
        example.parsed = type(example.parsed)(
            source, example.parsed.offset, example.parsed.line_offset
        )
        known = dict(example.namespace)
        said = StringIO()
        with redirect_stdout(said):
            super().__call__(example)
        ran = "main" not in example.namespace or said.getvalue()
        example.namespace.clear()
        example.namespace.update(known)
        # files have tests of their own
        return None if ran or is_file else "this program prints nothing"


def _write(example: Example) -> None:
    Path(example.region.lexemes["name"]).write_text(example.parsed)


def _files(document: Document) -> Iterator[Region]:
    """Yield the blocks that are files."""
    for block in RawFencedCodeBlockLexer(TITLE)(document):
        yield Region(block.start, block.end, block.lexemes["source"], _write, block.lexemes)


def _setup(namespace: dict[str, object]) -> None:
    namespace["servers"] = servers = ExitStack()
    namespace["environment"] = dict(os.environ)
    servers.enter_context(chdir(servers.enter_context(TemporaryDirectory())))
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2"  # of 3 x 2 pixels
    Path("photo.png").write_bytes(header + b"\x08\x02\0\0\0")
    for name in FAKES:
        server, kind = servers.enter_context(fake_of(name)()), kind_of(name)
        os.environ[kind.base_url_env] = server.connection()["base_url"]
        os.environ[kind.api_key_env[0]] = server.api_key
    for name, model in (("openrouter", "anthropic/claude-sonnet-5-5"), ("vllm", "Qwen/Qwen3-8B")):
        vendor = servers.enter_context(FakeVendor(ROWS[name]))
        vendor.models = (model,)
        os.environ[f"{name.upper()}_BASE_URL"] = vendor.connection()["base_url"]
        os.environ[f"{name.upper()}_API_KEY"] = vendor.api_key
    ranker = servers.enter_context(FakeReranker())
    os.environ["JINA_BASE_URL"] = ranker.connection()["base_url"]
    os.environ["JINA_API_KEY"] = ranker.api_key
    ranker.rerank_models = ("jina-reranker-v3",)  # type: ignore[misc]
    fakes = (clouds.FakeBedrock, clouds.FakeBedrockOpenAI, clouds.FakeAzure)
    claude, gpt, azure = (servers.enter_context(fake()) for fake in fakes)
    os.environ |= {
        "ANTHROPIC_BEDROCK_BASE_URL": claude.address,
        "AWS_ACCESS_KEY_ID": claude.api_key,
        "AWS_BEDROCK_BASE_URL": f"{gpt.address}/openai/v1",
        "AWS_SECRET_ACCESS_KEY": clouds.SECRET_KEY,
        "AZURE_OPENAI_API_KEY": azure.api_key,
        "AZURE_OPENAI_ENDPOINT": azure.address,
    }


def _teardown(namespace: dict[str, object]) -> None:
    namespace["servers"].close()  # type: ignore[attr-defined]
    os.environ.clear()
    os.environ.update(namespace["environment"])  # type: ignore[call-overload]


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes of tests: children of a shell's background job ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep the garbage collector, which some tests call, from looking through all SDKs each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the blocks of a page together and in order, as they build on each other."""
    pages: dict[Path, list[SybilItem]] = {}
    for item in items:
        if isinstance(item, SybilItem):
            pages.setdefault(item.path, []).append(item)
    shuffled, items[:] = items[:], []
    for item in shuffled:
        if isinstance(item, SybilItem):  # the first block of a page brings the others
            items += sorted(pages.pop(item.path, ()), key=lambda block: block.example.start)
        else:
            items.append(item)


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _Evaluator()), _files],
    patterns=["*.md"],
    excludes=[".env/**"],
    setup=_setup,
    teardown=_teardown,
).pytest()
