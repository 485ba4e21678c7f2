"""Models without `await`: one thread with an event loop does the work."""

import asyncio
import inspect
import json
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message
from bruno_llm_base import (
    CachedEmbeddings,
    CachedLLM,
    ConfigurationError,
    Conversation,
    CostTracker,
    FallbackLLM,
    InvalidRequestError,
    RateLimitError,
    Retry,
    StreamError,
    SyncLLM,
    SyncStream,
    run_sync,
    run_tools,
    stream_tools,
)
from bruno_llm_base.loop_thread import Pump
from bruno_llm_ollama import OllamaEmbeddings
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeError, FakeOllama, FakeOpenAI, Fault
from pydantic import BaseModel

LONG = "word " * 400


class City(BaseModel):
    name: str


def weather(place: str) -> str:
    """Tell the weather."""
    return f"Rain in {place}."


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        yield server


@pytest.fixture
def llm(server):
    with OpenAIProvider(**server.connection(), retry=Retry(attempts=1)).sync as llm:
        yield llm


def test_every_method_answers(server, llm):
    assert llm.generate("Hello") == llm.request("Hello").text == "Hello from the fake server."
    assert llm.list_models()
    assert llm.check_connection()
    assert llm.diagnose().ok
    assert llm.count_tokens("Hello").tokens > 0
    server.say(FakeAnswer(text='{"name": "Oslo"}'))
    assert llm.request("Where?", output=City).output == City(name="Oslo")
    assert {item.row: item.response.text for item in llm.map(["a", "b"], "{row}?")} == {
        "a": "Hello from the fake server.",
        "b": "Hello from the fake server.",
    }
    assert "OpenAIProvider" in repr(llm)


def public(thing):
    return {name for name in dir(thing) if name[0] != "_"}


def test_it_has_all_that_is_there_with_await_and_no_more():
    llm, embeddings = OpenAIProvider(api_key="k"), OpenAIEmbeddings(api_key="k")
    asynchronous = {"aclose", "sync"}
    for made, own in (
        (llm, {"context", "media", "timeouts"}),
        (FallbackLLM([llm]), {"members"}),
        (CachedLLM(llm), {"llm"}),
        (CachedLLM(FallbackLLM([llm])), {"llm"}),
        (embeddings, {"timeouts"}),
        (CachedEmbeddings(embeddings), set()),
    ):
        assert public(made.sync) == public(made) - own - asynchronous | {"close"}
        for name in public(made.sync) - {"close"}:
            offered, ours = getattr(made, name), getattr(made.sync, name)
            if not callable(offered):
                assert ours == offered, name
                continue
            names = [list(inspect.signature(method).parameters) for method in (offered, ours)]
            assert names[0] == names[1], name


class Echo(LLMInterface):
    """A model of a user's that has no more than bruno-core asks for."""

    async def generate(self, messages, temperature=None, max_tokens=None, **options):
        return messages[-1].content

    async def stream(self, messages, temperature=None, max_tokens=None, **options):
        yield messages[-1].content

    async def list_models(self):
        return ["echo"]

    async def check_connection(self):
        return True

    def get_token_count(self, text):
        return len(text)

    def get_model_info(self):
        return {}

    def set_system_prompt(self, prompt):
        pass

    def get_system_prompt(self):
        return None


def test_what_the_model_lacks_says_who_has_it():
    llm, embeddings = OpenAIProvider(api_key="k"), OpenAIEmbeddings(api_key="k")
    providers = "the providers have it, use that of one of them"
    of_providers = "warm_up price context_window count_text count_conversation"
    of_embeddings = (
        "warm_up price context_window fingerprint list_models diagnose name capabilities"
    )
    for lacking, names, cure in (
        (FallbackLLM([llm]).sync, of_providers, f"FallbackLLM has no {{}}: {providers}"),
        (CachedLLM(llm).sync, of_providers, f"CachedLLM has no {{}}: {providers}"),
        (CachedEmbeddings(embeddings).sync, of_embeddings, f"Embeddings has no {{}}: {providers}"),
        (SyncLLM(Echo()), "request map", "Echo has no {}: wrap it in FallbackLLM([...])"),
    ):
        for name in names.split():
            assert name not in dir(lacking)
            with pytest.raises(AttributeError, match=re.escape(cure.format(name))):
                getattr(lacking, name)
    with pytest.raises(AttributeError, match="'SyncLLM' object has no attribute 'no'"):
        llm.sync.no
    for wrapper in (FallbackLLM([llm]), CachedLLM(llm)):
        for call in (wrapper.batch_from, wrapper.sync.batch_from):
            with pytest.raises(InvalidRequestError, match="of the provider that sent it"):
                call("openai:1")
    with SyncLLM(Echo()) as bare:  # it has nothing to close
        assert bare.list_models() == ["echo"]


def test_what_needs_no_server_is_the_same(server, llm):
    llm.set_system_prompt("Be brief.")
    assert llm.get_system_prompt() == "Be brief."
    assert llm.get_model_info()["model"] == llm.model
    assert llm.count_text("Hello").tokens == llm.get_token_count("Hello") > 0
    assert llm.count_conversation(Conversation.of("Hello")).tokens > 1
    assert llm.fingerprint("a") == llm.fingerprint("a") != llm.fingerprint("b")
    assert llm.price("gpt-4o").input == 0  # what answers on this machine is free
    assert llm.context_window("gpt-4o").tokens
    assert not server.received
    llm.warm_up()
    assert [request.method for request in server.received] == ["GET"]
    with OpenAIEmbeddings(**server.connection()).sync as embeddings:
        vectors = embeddings.embed_batch(["a", "b"])
        assert vectors[0] == embeddings.embed_message(Message(role="user", content="a"))
        assert embeddings.calculate_similarity(*vectors) <= 1
        assert embeddings.get_dimension() == len(vectors[0])
        assert embeddings.get_max_batch_size() > 1
        assert embeddings.supports_batch()
        assert embeddings.get_model_name() == embeddings.model
        assert embeddings.fingerprint("a") != embeddings.fingerprint("b")
        assert embeddings.diagnose().ok


def test_a_batch_is_sent_waited_for_and_read(server, llm):
    server.say(FakeAnswer(), FakeError(kind="invalid_request"))
    batch = llm.batch({"one": "Hello", "two": "Hi"})
    assert batch.id in repr(batch)
    known = llm.batch_from(batch.id)
    assert known.state is None
    assert known.refresh().counts.total == 2
    assert batch.wait(0).status == "ended"
    assert {item.key: item.error is None for item in batch.results()} == {"one": True, "two": False}
    again = batch.retry()
    assert [item.text for item in again.results()] == ["Hello from the fake server."]
    assert again.state.status == "ended"
    server.batches.hold()
    held = llm.batch({"three": "Hello"})
    with pytest.raises(InvalidRequestError, match="no results yet"):
        list(held.results())
    held.cancel()
    assert held.wait(0).counts.cancelled == 1


def test_a_stream_is_an_iterator(server, llm):
    server.say(FakeAnswer(text=LONG))
    stream = llm.stream("Hello")
    with pytest.raises(StreamError, match="not complete"):
        assert stream.response
    pieces = list(stream)
    assert len(pieces) > 10
    assert "".join(pieces) == stream.response.text == LONG
    assert list(stream) == []
    assert next(llm.stream("Hello").words()) == "Hello "
    assert list(llm.stream("Hello").sentences()) == ["Hello from the fake server."]
    server.say(FakeAnswer(text='{"name": "Oslo"}'))
    with llm.stream("Where?", output=City) as stream:
        assert "".join(stream)
        assert stream.partial() == {"name": "Oslo"}
        assert stream.response.output == City(name="Oslo")


def test_errors_are_those_of_the_model(server, llm):
    server.say(FakeError(kind="rate_limit"))
    with pytest.raises(RateLimitError):
        llm.generate("Hello")
    server.say(Fault(FakeAnswer(text=LONG), after=5, then="close"))
    stream = llm.stream("Hello")
    with pytest.raises(StreamError) as caught:
        list(stream)
    assert LONG.startswith(caught.value.partial.text)


def within_seconds(call):
    """Return what *call* returns or raises; a test fails where it would wait for ever."""
    found = []

    def run():
        try:
            found.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            found.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it hangs"
    return found[0]


def test_wrong_arguments_are_told_at_the_call(server, llm):
    fallback = FallbackLLM([OpenAIProvider(**server.connection())]).sync
    read = llm.stream("Hello")
    assert list(read)
    wrong = [
        (lambda: llm.map("text", "{row}"), InvalidRequestError, "rows is 'text'"),
        (lambda: llm.map(["a"], "{row}", temprature=1), InvalidRequestError, "mean 'temperature'"),
        (lambda: llm.map(["a"], "{row}", concurrency=0), ConfigurationError, "concurrency is 0"),
        (lambda: llm.map(["a"], ""), InvalidRequestError, "prompt is ''"),
        (lambda: llm.map(["a"], "{row}", tools=[weather]), InvalidRequestError, "takes no tools"),
        (
            lambda: fallback.map(["a"], "{row}", temprature=1),
            InvalidRequestError,
            "mean 'temperature'",
        ),
        (lambda: SyncLLM(object()).map(["a"], "{row}"), AttributeError, "object"),
        (lambda: llm.stream("Hello").sentences(max_chars=0), ConfigurationError, "max_chars is 0"),
        (read.words, RuntimeError, "can be read once"),
        (read.sentences, RuntimeError, "can be read once"),
        (lambda: next(llm.map(["a"], "{no}")), InvalidRequestError, "names 'no'"),
        (lambda: next(Pump(object())), TypeError, "object"),
    ]
    for call, kind, words in wrong:
        error = within_seconds(call)
        assert isinstance(error, kind), error
        assert words in str(error)
    assert len(server.received) == 1


@pytest.mark.parametrize("leave", ["break", "with", "close"])
def test_leaving_a_stream_closes_the_connection(server, llm, leave):
    server.say(Fault(FakeAnswer(text=LONG), after=5, then="stall"))
    if leave == "break":
        for _ in llm.stream("Hello"):
            break
    elif leave == "with":
        with llm.stream("Hello") as stream:
            next(stream)
    else:
        stream = llm.stream("Hello")
        next(stream)
        stream.close()
        assert list(stream) == []
    assert server.received[-1].left.wait(30)


@pytest.mark.parametrize("read", [SyncStream.words, SyncStream.sentences])
def test_the_end_of_with_closes_words_and_sentences(server, llm, read):
    server.say(Fault(FakeAnswer(text="It rains. " * 100), after=50, then="stall"))
    with llm.stream("Hello") as stream:
        pieces = read(stream)
        assert next(pieces).startswith("It ")
    assert server.received[-1].left.wait(30)
    assert within_seconds(lambda: list(pieces)) == []


def test_closing_ends_a_reader_in_another_thread(server, llm):
    server.say(Fault(FakeAnswer(text=LONG), then="stall"))
    stream = llm.stream("Hello")

    def close():
        while not server.received:
            time.sleep(0.001)
        stream.close()

    closer = threading.Thread(target=close)
    closer.start()
    assert within_seconds(lambda: list(stream)) == []
    closer.join()


def test_nothing_is_sent_for_a_stream_that_is_closed(server, llm):
    with llm.stream("Hello") as stream:
        pass
    for read in (list, SyncStream.words, SyncStream.sentences):
        with pytest.raises(RuntimeError, match=r"the stream is closed: call stream\(\) again"):
            read(stream)
    assert server.received == []


def test_a_stream_is_not_read_far_ahead():
    made = []

    async def numbers():
        for number in range(1000):
            made.append(number)
            yield number

    pump = Pump(numbers())
    assert next(pump) == 0
    while len(made) < 60:
        time.sleep(0.001)
    run_sync(asyncio.sleep(0.01))
    assert len(made) < 80
    assert list(pump) == list(range(1, 1000))


async def test_it_also_works_where_a_loop_runs_and_says_what_that_costs(server):
    llm = OpenAIProvider(**server.connection())
    calls = (
        lambda: llm.sync.generate("Hello"),
        lambda: "".join(llm.sync.stream("Hello")),
        lambda: run_sync(llm.generate("Hello")),
    )
    for call in calls:
        with pytest.warns(RuntimeWarning, match="blocks the event loop of its thread") as warned:
            assert call() == "Hello from the fake server."
        assert warned[0].filename == __file__
    with pytest.warns(RuntimeWarning):
        llm.sync.close()


def test_it_cannot_wait_for_itself(llm):
    async def inside():
        return llm.generate("Hello")

    with pytest.raises(RuntimeError, match="called from within itself: in asynchronous code, use"):
        run_sync(inside())


def test_a_stream_in_a_plain_loop_says_what_to_do(llm):
    with pytest.raises(TypeError, match=r"use `async for`, or for over llm\.sync\.stream"):
        list(OpenAIProvider(api_key="k").stream("Hello"))


def test_threads_share_it_and_labels_are_the_callers(server):
    tracker = CostTracker()
    texts = []
    with OpenAIProvider(**server.connection(), cost=tracker).sync as llm:

        def ask(user):
            with tracker.label(user=user):
                texts.append(llm.generate("Hello"))
                texts.append("".join(llm.stream("Hello")))

        threads = [threading.Thread(target=ask, args=(f"u{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Hello from the fake server."] * 8
    assert {row.user: row.requests for row in tracker.total("user")} == {
        f"u{n}": 2 for n in range(4)
    }


def test_wrappers_tools_and_embeddings_have_it_too(server):
    llm = OpenAIProvider(**server.connection())
    assert FallbackLLM([llm]).sync.generate("Hello") == "Hello from the fake server."
    kept = CachedLLM(llm).sync
    assert not kept.request("Hello").cached
    assert kept.request("Hello").cached
    assert SyncLLM(llm).generate("Hello") == "Hello from the fake server."
    assert run_sync(run_tools(llm, "Hello", tools=[weather])).text == "Hello from the fake server."
    assert "".join(SyncStream(stream_tools(llm, "Hello", tools=[weather])))
    llm.sync.close()
    with FakeOllama() as ollama, OllamaEmbeddings(**ollama.connection()).sync as embeddings:
        assert embeddings.embed_texts(["a"]) == [embeddings.embed_text("a")]
        assert "OllamaEmbeddings" in repr(embeddings)


PROGRAM = """
import json, os, sys
from bruno_llm_openai import OpenAIProvider

llm = OpenAIProvider(**json.loads(sys.argv[1])).sync
{}
"""


def started(server, *lines):
    program = PROGRAM.format("\n".join(lines))
    return subprocess.Popen(
        [sys.executable, "-c", program, json.dumps(server.connection())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("call", ["llm.generate('Hello')", "list(llm.stream('Hello'))"])
def test_ctrl_c_ends_the_request(server, call):
    server.say(Fault(FakeAnswer(text=LONG), then="stall"))
    lines = ["try:", f"    {call}", "except KeyboardInterrupt:", "    print('stopped', flush=True)"]
    program = started(server, *lines, "sys.stdin.read()")
    while not server.received:
        time.sleep(0.01)
    program.send_signal(signal.SIGINT)
    assert program.stdout.readline() == "stopped\n"
    assert server.received[0].left.wait(30)
    assert program.communicate()[1] == ""


def test_the_end_of_the_program_closes_what_is_open(server):
    server.say(Fault(FakeAnswer(text=LONG), after=5, then="stall"))
    program = started(server, "stream = llm.stream('Hello')", "next(stream)")
    assert program.communicate() == ("", "")
    assert program.returncode == 0
    assert server.received[0].left.wait(30)


def test_a_forked_process_has_a_thread_of_its_own(server):
    lines = [
        "print(llm.generate('Hello'), flush=True)",
        "child = os.fork()",
        "print(llm.generate('Hello'), flush=True)",
        "if child:",
        "    os.waitpid(child, 0)",
    ]
    out, err = started(server, *lines).communicate()
    assert (out, err) == ("Hello from the fake server.\n" * 3, "")


def test_a_forked_process_is_told_that_it_cannot_read_a_stream_of_its_parent(server):
    server.say(FakeAnswer(text=LONG))
    lines = [
        "stream = llm.stream('Hello')",
        "text = next(stream)",
        "if child := os.fork():",
        "    os.waitpid(child, 0)",
        "    print(len(text + ''.join(stream)))",
        "else:",
        "    try:",
        "        next(stream)",
        "    except RuntimeError as error:",
        "        print(error, flush=True)",
        "    os._exit(0)",  # as `multiprocessing` ends them
    ]
    out, err = started(server, *lines).communicate()
    assert "only its parent can read it: ask again" in out
    assert out.endswith(f"{len(LONG)}\n")
    assert err == ""


def test_the_event_loop_is_closed_at_the_end():
    program = (
        "import bruno_llm_base.loop_thread as thread\n"
        "loop = thread._thread.loop\n"
        "thread._thread.stop()\n"
        "print(loop.is_closed())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == "True\n"
