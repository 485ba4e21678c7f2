"""Notebooks, in a real kernel that the real client of Jupyter drives, against a fake."""

import os
import re
import sys
import time
from pathlib import Path

import pytest
from bruno_llm_testing import FakeAnswer, FakeOpenAI, Fault
from jupyter_client import KernelManager

PAGE = Path(__file__).resolve().parents[2] / "docs" / "notebooks.md"
SETUP = """
from bruno_llm import CostTracker, LLMFactory
costs = CostTracker()
llm = LLMFactory.create("openai", cost=costs, max_retries=0)
"""
PATIENCE = 120  # seconds until a test gives up


class Notebook:
    """A kernel, and the fake that it asks."""

    def __init__(self, manager, client, fake):
        self.manager, self.client, self.fake = manager, client, fake

    def run(self, cell, *, interrupt=False):
        """Run a cell, and return the error that it ended with, if any, and what it showed.

        It can be interrupted when it has printed something, and its request has arrived.
        """
        shown, before = [], len(self.fake.received)

        def show(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
                if interrupt and len(shown) == 1:
                    wait_for(lambda: len(self.fake.received) > before)
                    self.manager.interrupt_kernel()
            elif "data" in content:
                shown.append(content["data"].get("text/markdown", content["data"]["text/plain"]))

        reply = self.client.execute_interactive(cell, output_hook=show, timeout=PATIENCE)
        return reply["content"].get("ename"), shown


def wait_for(condition):
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.001)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    with FakeOpenAI() as fake:
        environment = {
            name: os.environ[name] for name in {"PATH", "TMPDIR"} & os.environ.keys()
        } | {
            "HOME": str(folder),
            "OPENAI_API_KEY": fake.api_key,
            "OPENAI_BASE_URL": fake.connection()["base_url"],
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        manager = KernelManager(transport="ipc", connection_file=str(folder / "kernel.json"))
        manager.start_kernel(env=environment, cwd=folder)
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=PATIENCE)
        yield Notebook(manager, client, fake)
        client.stop_channels()
        manager.shutdown_kernel()


@pytest.fixture
def notebook(kernel):
    assert kernel.run(SETUP) == (None, [])
    return kernel


@pytest.mark.parametrize("cell", ["await llm.generate('Hi')", "llm.sync.generate('Hi')"])
def test_a_question_is_answered_with_and_without_await(notebook, cell):
    assert notebook.run(cell) == (None, ["'Hello from the fake server.'"])


STREAMS = [
    "async for piece in llm.stream('Hi'): print(piece, end='', flush=True)",
    "for piece in llm.sync.stream('Hi'): print(piece, end='', flush=True)",
]


@pytest.mark.parametrize("cell", STREAMS)
def test_a_stream_is_printed(notebook, cell):
    error, shown = notebook.run(cell)
    assert (error, "".join(shown)) == (None, "Hello from the fake server.")


# ipykernel interrupts an `await` when its loop next wakes, https://github.com/ipython/ipykernel/issues/881
GOES_ON = Fault(FakeAnswer(text="word " * 5_000), between_events=0.02)


@pytest.mark.parametrize(
    ("cell", "error", "fault"),
    [
        (STREAMS[0], "CancelledError", GOES_ON),
        (STREAMS[1], "KeyboardInterrupt", Fault(after=4, then="stall")),
        ("print('...')\nllm.sync.generate('Hi')", "KeyboardInterrupt", Fault(then="stall")),
    ],
)
def test_an_interrupt_ends_the_request_and_not_the_kernel(notebook, cell, error, fault):
    notebook.fake.say(fault)
    assert notebook.run(cell, interrupt=True)[0] == error  # the beginning of a stream was shown
    assert notebook.fake.received[-1].left.wait(PATIENCE)
    assert notebook.run("await llm.generate('Hi')") == (None, ["'Hello from the fake server.'"])
    total = "total = costs.total(); print(total.requests, total.estimated)"
    assert notebook.run(total) == (None, ["2 1\n"])


def test_a_restart_leaves_nothing(notebook):
    notebook.fake.say(Fault(after=4, then="stall"), Fault(after=4, then="stall"))
    opening = "streams = [await llm.stream('Hi'), llm.sync.stream('Hi')]; next(streams[1])"
    assert notebook.run(opening) == (None, ["'Hello'"])
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=PATIENCE)
    assert all(request.left.wait(PATIENCE) for request in notebook.fake.received[-2:])
    wait_for(lambda: notebook.fake.open_connections == 0)
    assert notebook.run("streams")[0] == "NameError"


def test_the_cells_of_the_page(notebook):
    notebook.fake.say(*[FakeAnswer(text="It *is* blue.")] * 5)
    before = len(notebook.fake.bodies)
    page = PAGE.read_text()
    cells = re.findall(r"^```py\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shown = [notebook.run(cell) for cell in cells]
    assert [error for error, _ in shown] == [None] * len(cells)
    answer = ["'It *is* blue.'"]
    assert [texts for _, texts in shown[:2]] == [answer, answer]
    assert shown[4][1] == ["", "It", "It *is*", "It *is* blue."]
    said = ["".join(texts) for _, texts in shown]
    assert said[2:4] == ["It *is* blue."] * 2
    assert "| **Total** |" in said[5]
    assert said[6] == "Hello from the fake server.\n" * 2
    assert sorted(said[7].splitlines()) == [
        "Never again. Hello from the fake server.",
        "The room was great! Hello from the fake server.",
    ]
    assert len(notebook.fake.bodies) - before == 8
