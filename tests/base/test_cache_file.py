"""Answers in a file that processes share, at the wire of OpenAI's fake."""

import asyncio
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from multiprocessing import get_context

import pytest
from bruno_llm_base import CachedLLM, ConfigurationError, CostTracker
from bruno_llm_base.events import CacheUnusable
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOllama, FakeOpenAI, Fault

SAID = FakeAnswer().text


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.db"


def cached(server, path, **settings):
    llm = OpenAIProvider("gpt-4.1", api="chat", **server.connection(), **settings)
    return CachedLLM(llm, store=path)


def changed(path, statement, *values):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def counted(path):
    """The answers and the leads in a file."""
    connection = sqlite3.connect(path)
    both = "SELECT (SELECT COUNT(*) FROM answers), (SELECT COUNT(*) FROM leads)"
    found = connection.execute(both).fetchone()
    connection.close()
    return found


async def test_answers_outlive_the_process_that_asked(server, path):
    async with cached(server, path) as llm:
        first = await llm.request("hi")
    async with cached(server, str(path)) as llm:
        again = await llm.request("hi")
        assert (again.cached, again.parts, again.usage) == (True, first.parts, first.usage)
        await llm.generate("hi", refresh=True)
    assert len(server.bodies) == 2
    assert counted(path) == (1, 0)


ASK = """
import asyncio, sys
from bruno_llm_base import CachedLLM
from bruno_llm_ollama import OllamaProvider  # it loads no SDK

async def main():
    async with CachedLLM(OllamaProvider(base_url=sys.argv[1]), store=sys.argv[2]) as llm:
        print("ready", flush=True)
        sys.stdin.readline()
        print(await llm.generate("hi"), flush=True)

asyncio.run(main())
"""


def asking(server, path):
    command = [sys.executable, "-c", ASK, server.connection()["base_url"], str(path)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


async def test_processes_that_ask_the_same_are_one_request(path, until):
    """The first is killed while it asks; of the others, one asks in its place, and all get its answer."""
    with FakeOllama() as server:
        server.say(Fault(then="stall"))
        processes = await asyncio.gather(
            *(asyncio.to_thread(asking, server, path) for _ in range(3))
        )
        try:
            go(processes[0])
            await until(lambda: server.bodies)
            for process in processes[1:]:
                go(process)
            processes[0].send_signal(signal.SIGKILL)
            processes[0].wait()
            assert counted(path) == (0, 1)
            assert len(server.bodies) == 1
            changed(path, "UPDATE leads SET expires = 0")  # a minute later
            said = [await asyncio.to_thread(process.stdout.readline) for process in processes[1:]]
            assert said == [f"{SAID}\n"] * 2
            assert len(server.bodies) == 2
        finally:
            for process in processes:
                process.kill()
                process.wait()
                process.stdin.close()
                process.stdout.close()


@pytest.mark.parametrize(
    "value", [b"nonsense", b'{"schema": 99}', pickle.dumps({"schema": 1}), "text", None, 5]
)
async def test_an_entry_that_is_none_of_ours_is_asked_for_again(server, path, value):
    async with cached(server, path) as llm:
        await llm.generate("hi")
        changed(path, "UPDATE answers SET value = ?", value)
        assert not (await llm.request("hi")).cached
        assert (await llm.request("hi")).cached


async def test_a_cache_is_emptied_by_deleting_its_file(server, path):
    async with cached(server, path) as llm:
        await llm.generate("hi")
        for each in path.parent.iterdir():
            each.unlink()
        assert not (await llm.request("hi")).cached
        assert (await llm.request("hi")).cached


async def test_a_full_disk_costs_no_answer_and_one_warning(server, path):
    told = []
    async with cached(server, path, observers=[told.append]) as llm:
        await llm.generate("hi")
        llm._cache.store._file.connection().execute("PRAGMA max_page_count = 1")
        for _ in range(2):
            long = os.urandom(30_000).hex()
            server.say(FakeAnswer(text=long))
            assert await llm.generate("more") == long
        assert (await llm.request("hi")).cached
    (event,) = [event for event in told if isinstance(event, CacheUnusable)]
    assert "the cache" in event.reason
    assert "full" in event.reason


async def test_a_file_that_another_process_locks_holds_up_no_loop(server, path, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.sqlite_file._PATIENCE", 0.01)
    async with cached(server, path) as llm:
        await llm.generate("hi")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert (await llm.request("hi")).cached
        assert await llm.generate("ho") == SAID
        other.close()


def test_a_clock_that_was_set_back_holds_up_no_lead(path):
    from bruno_llm_base.wrappers.sqlite_store import SqliteStore

    async def main():
        one, other = SqliteStore(path), SqliteStore(path)
        assert await one.lead("key")
        assert await one.lead("key")
        assert not await other.lead("key")
        changed(path, "UPDATE leads SET expires = expires + 1000")
        assert await other.lead("key")
        await one.release("key")
        assert not await one.lead("key")
        await other.release("key")
        assert await one.lead("key")
        await one.aclose()
        await other.aclose()

    asyncio.run(main())


def test_what_is_no_cache_is_named(server, tmp_path, path):
    CostTracker(tmp_path / "costs.db")
    (tmp_path / "text.db").write_text("no database " * 100)
    changed(tmp_path / "other.db", "CREATE TABLE t (a)")
    cached(server, path)
    changed(path, "PRAGMA user_version = 9")
    for name, words in {
        "costs.db": "some other program's database, not a cache of answers",
        "text.db": "is not a database, so not a cache of answers: give another path",
        "other.db": "some other program's database",
        "answers.db": "is a cache of version 9, and this bruno-llm-base reads version 1: upgrade it",
        ".": "is a folder, so not a cache of answers: give the path of a file",
        "none/a.db": "the cache .* cannot be used",
    }.items():
        with pytest.raises(ConfigurationError, match=words):
            cached(server, tmp_path / name)
    with pytest.raises(ConfigurationError, match="not a ledger of costs"):
        CostTracker(path)
    for wrong in ("", ":memory:"):
        with pytest.raises(ConfigurationError, match="store is"):
            cached(server, wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks nothing")
def test_a_forked_process_shares_the_file(server, path):
    llm = cached(server, path)
    asyncio.run(llm.generate("hi"))

    def child(told):
        answers = asyncio.run(_both(llm))
        told.send([answer.cached for answer in answers])

    context = get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,))
    process.start()
    assert ours.recv() == [True, False]
    process.join()
    assert asyncio.run(llm.request("ho")).cached
    assert len(server.bodies) == 2


async def _both(llm):
    return [await llm.request("hi"), await llm.request("ho")]
