"""A forked process has nothing on its way: what its parent has is not its own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")

PRELUDE = """
import asyncio, faulthandler, multiprocessing, os, signal, sys, threading
from decimal import Decimal
from bruno_llm_base import (
    Breaker, Budget, CostTracker, FallbackLLM, Price, RateLimit, RateLimitError, Usage,
)
from bruno_llm_testing import FakeAnswer, FakeError, Fault, MockLLM
from bruno_llm_ollama import OllamaProvider
from bruno_llm_testing import FakeOllama

PRICE = Price(input=1_000_000, output=2_000_000)  # 1 and 2 USD a token
SHORT = FakeAnswer(text="one two", usage=Usage(input_tokens=3, output_tokens=2))  # 7 USD
PATH = sys.argv[1] if sys.argv[1:] else None

def tracker():
    return CostTracker(PATH, prices={"ollama/llama3.2": PRICE, "mock/mock-model": PRICE})

def forked(work):
    "Do the work in a forked process, and say whether all is well."
    child = os.fork()
    if not child:
        signal.alarm(60)  # a process that waits for ever is killed, and says where it was
        faulthandler.dump_traceback_later(50)
        try:
            work()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
            code = 1
        sys.stderr.flush()
        os._exit(code)
    return child

def well(*children):
    return all(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 for child in children)
"""


def done(code, *arguments):
    process = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PRELUDE + code,
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout.split()


REQUEST_ON_ITS_WAY = """
costs = tracker()
budget = Budget(200)  # a request holds some 160
limit = RateLimit(max_concurrent=1, requests_per_minute=2, max_wait=0)

def ask_in_child(llm):
    heard = []  # in another thread: in this one, the parent's loop is still to be seen
    thread = threading.Thread(target=lambda: heard.append(asyncio.run(llm.generate("hi"))))
    thread.start()
    thread.join()
    assert heard == ["one two"]

async def main(url):
    llm = OllamaProvider(base_url=url, max_retries=0, max_tokens=2, rate_limit=limit, cost=costs, budget=budget)
    texts = aiter(llm.stream("hi"))
    print(await anext(texts))
    try:
        await llm.generate("hi")
    except RateLimitError:
        print("full")
    child = forked(lambda: ask_in_child(llm))
    print(await asyncio.to_thread(well, child))
    print("".join([piece async for piece in texts]))
    await llm.aclose()

with FakeOllama() as server:
    server.say(SHORT, SHORT)
    asyncio.run(main(server.connection()["base_url"]))
print(costs.total().requests, costs.total().cost, budget.left())
"""


def test_a_child_has_all_places_and_all_money_in_memory():
    assert done(REQUEST_ON_ITS_WAY)[1:3] == ["full", "True"]


def test_a_child_counts_what_its_parent_holds_in_a_file_and_books_there(tmp_path):
    code = REQUEST_ON_ITS_WAY.replace("Budget(200)", "Budget(1000)")
    said = done(code, tmp_path / "costs.db")
    assert (said[1:3], said[-3:]) == (["full", "True"], ["2", "14", "986"])


def test_a_child_tries_what_failed_in_its_parent():
    code = """
def child(llm):
    assert asyncio.run(llm.generate("hi")) == "one two"

with FakeOllama() as server:
    server.say(FakeError(kind="overloaded"), SHORT)
    member = OllamaProvider(**server.connection(), max_retries=0)
    llm = FallbackLLM([member], breaker=Breaker(failures=1, cooldown=10_000))
    for _ in range(2):
        try:
            asyncio.run(llm.generate("hi"))
        except Exception as error:
            print(len(server.bodies))
    print(well(forked(lambda: child(llm))), len(server.bodies))
"""
    assert done(code) == ["1", "1", "True", "2"]


@pytest.mark.parametrize("named", [False, True])
def test_what_its_parent_has_begun_is_not_booked_by_a_child(tmp_path, named):
    code = """
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.cost.spending import Spending
from bruno_llm_base.deadline import Deadline
from bruno_llm_base.response import ModelResponse

class Attempt:
    response = None

costs = tracker()
budget = Budget(100)
spending = Spending(costs, budget, lambda _: Prices("ollama", "ollama", None, costs.prices, tell=print))

async def main():
    attempt = Attempt()
    async with spending.hold(
        attempt,
        model="llama3.2",
        most_input=lambda: 3,
        most_output=2,
        deadline=Deadline(),
        tell=lambda *_, **__: None,
    ):
        child = os.fork()
        answer = ModelResponse(usage=Usage(input_tokens=3, output_tokens=2))
        answer.cost = PRICE.cost(answer.usage)
        attempt.response = answer
        if child:
            print(well(child), costs.total().requests, budget.left())
    if not child:
        os._exit(0)

asyncio.run(main())
print(costs.total().requests, budget.left())
"""
    said = done(code, *([tmp_path / "costs.db"] if named else []))
    assert said == ["True", "0", "93", "1", "93"]


HAMMERED = """
costs, limit = tracker(), RateLimit(max_concurrent=3, requests_per_minute=1_000_000)
budget = Budget(10**9, by="user")
stop = threading.Event()

def use(llm):
    async def ask():
        await llm.generate("hi")
        await llm.aclose()
    asyncio.run(ask())
    costs.record(provider="p", model="m", cost=Decimal(1), user="ann")
    assert budget.left("ann") > 0

def hammer(llm):
    while not stop.is_set():
        use(llm)

def start(kind, llm):
    if kind == "os.fork":
        return forked(lambda: use(llm))
    process = multiprocessing.get_context("fork").Process(target=use, args=(llm,))
    process.start()
    return process

# without a network: a child that is forked while OpenSSL works in a thread may hang in OpenSSL itself
llm = MockLLM("one two", rate_limit=limit, cost=costs, budget=budget, max_tokens=2)
use(llm)
threads = [threading.Thread(target=hammer, args=(llm,)) for _ in range(3)]
for thread in threads:
    thread.start()
children = [start("os.fork", llm) for _ in range(8)]
processes = [start("multiprocessing", llm) for _ in range(4)]
print(well(*children))
for process in processes:
    process.join(60)
print([process.exitcode for process in processes] == [0] * 4)
stop.set()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize("named", [False, True])
def test_forks_while_threads_are_at_work_never_hang(tmp_path, named):
    assert done(HAMMERED, *([tmp_path / "costs.db"] if named else [])) == ["True", "True"]


def test_forked_processes_do_not_wait_for_the_same_time():
    waits = done("""
import os
from bruno_llm_base import Retry
from bruno_llm_base.call import next_wait

def wait():
    seconds = next_wait(Retry(), RateLimitError("slow down"), failed=1, elapsed=0)
    os.write(1, f"{seconds}\\n".encode())  # at once, beside those of the others

assert well(*[forked(wait) for _ in range(4)])
""")
    assert len(set(waits)) == 4
