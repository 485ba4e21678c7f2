"""The service of the examples, as its users meet it: uvicorn, sockets, fakes of the vendors."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from bruno_llm_base import CostTracker, Usage
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeError, FakeOpenAI, Fault

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "service"
TOKENS = {f"secret-of-{name}": name for name in ("ana", "ben", "cleo", "dora", "emil", "fay")}
SLOW = 120  # seconds, at which a test gives up


class Running:
    """The service, and the vendors that it asks."""

    def __init__(self, gpt, claude, port, costs):
        self.gpt, self.claude, self.port, self.costs = gpt, claude, port, costs

    def send(self, path, user, text=None):
        """Send a request, and return its connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SLOW)
        headers = {"Authorization": f"Bearer secret-of-{user}", "Content-Type": "application/json"}
        method, body = ("GET", None) if text is None else ("POST", json.dumps({"text": text}))
        connection.request(method, path, body, headers)
        return connection

    def ask(self, path, user, text=None):
        """Return status, headers and document of the response."""
        with closing(self.send(path, user, text)) as connection:
            response = connection.getresponse()
            return response.status, response.headers, json.load(response)

    def events(self, user, text):
        """Return the events of a streamed answer."""
        with closing(self.send("/stream", user, text)) as connection:
            response = connection.getresponse()
            assert response.headers["Content-Type"].startswith("text/event-stream")
            return list(events(response))

    def booked(self, user):
        with closing(CostTracker(self.costs)) as tracker:
            return tracker.total(user=user)


def events(response):
    """Yield the events of a response: kind and data."""
    kind = "message"
    for line in map(bytes.decode, response):
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)
            kind = "message"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The service, started as its README says."""
    costs = tmp_path_factory.mktemp("service") / "costs.db"
    kept = {"PATH", "SYSTEMROOT", "TMPDIR"} & os.environ.keys()
    with FakeOpenAI() as gpt, FakeClaude() as claude:
        environment = {name: os.environ[name] for name in kept} | {
            "ANTHROPIC_API_KEY": claude.api_key,
            "ANTHROPIC_BASE_URL": claude.connection()["base_url"],
            "BRUNO_LLM_CLAUDE_PRICE_NAME": "anthropic",  # the fakes charge as they do
            "BRUNO_LLM_MAX_RETRIES": "0",
            "BRUNO_LLM_OPENAI_PRICE_NAME": "openai",
            "OPENAI_API_KEY": gpt.api_key,
            "OPENAI_BASE_URL": gpt.connection()["base_url"],
            "PYTHONPATH": os.pathsep.join(sys.path),
            "SERVICE_BUDGET": "0.10",
            "SERVICE_COSTS": str(costs),
            "SERVICE_TOKENS": json.dumps(TOKENS),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "service:app", "--port", "0"],
            cwd=FOLDER,
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        with process:
            lines = iter(process.stderr.readline, "")
            ports = (
                found[1] for line in lines if (found := re.search(r"http://[^:]+:(\d+)", line))
            )
            yield Running(gpt, claude, int(next(ports)), costs)
            process.send_signal(signal.SIGTERM)
            log = process.stderr.read()
        assert "Application shutdown complete" in log, log
        assert "Traceback" not in log, log
        assert "test-key" not in log, log


def test_an_answer_comes_piece_by_piece(service):
    *pieces, (kind, facts) = service.events("ana", "Hello?")
    assert [kind for kind, _ in pieces] == ["message"] * 5
    assert "".join(piece for _, piece in pieces) == "Hello from the fake server."
    assert kind == "done"
    assert facts["tokens"] == {"input": 11, "output": 7}
    assert Decimal(facts["cost"]) > 0


def test_an_answer_comes_at_once(service):
    status, _, answer = service.ask("/ask", "ana", "Hello?")
    assert (status, answer["text"]) == (200, "Hello from the fake server.")
    assert answer["finish_reason"] == "stop"


def test_where_one_provider_fails_the_next_one_is_asked(service):
    service.gpt.say(FakeError(kind="quota"), FakeError(kind="quota"))
    _, _, answer = service.ask("/ask", "ana", "Hello?")
    assert answer["model"].startswith("claude")
    assert service.events("ana", "Hello?")[-1][1]["model"].startswith("claude")


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("rate_limit", 429, "rate_limit"),
        ("context_length", 413, "1234"),
        ("overloaded", 503, "no model can answer now"),
        ("authentication", 502, "no model can answer now"),
    ],
)
def test_an_error_of_all_providers_has_a_status(service, kind, status, words):
    wait = 19.5 if status in (429, 503) else None
    said = FakeError(kind=kind, retry_after=wait)
    service.gpt.say(said)
    service.claude.say(said)
    path = "/stream" if kind == "rate_limit" else "/ask"
    found, headers, body = service.ask(path, "ana", "Hello?")
    assert (found, words in body["message"].lower()) == (status, True), body
    assert headers["Retry-After"] == ("20" if wait else None)
    service.ask("/ask", "ana", "Hello?")  # so that no circuit breaker opens


def test_a_stream_that_breaks_off_says_so_at_its_end(service):
    service.gpt.say(FakeError(kind="server_error", in_stream=True))
    *pieces, (kind, body) = service.events("ana", "Hello?")
    assert (bool(pieces), kind) == (True, "failed")
    assert body == {"error": "ServiceUnavailableError", "message": "no model can answer now"}


def test_each_user_has_a_budget(service):
    service.gpt.say(FakeAnswer(usage=Usage(input_tokens=11, output_tokens=100_000)))
    assert service.ask("/ask", "dora", "Hello?")[0] == 200
    for path in ("/ask", "/stream"):
        status, _, body = service.ask(path, "dora", "Hello?")
        assert (status, body.get("error")) == (402, "BudgetExceededError"), body
        assert "0.10 USD per day for user 'dora'" in body["message"]
        assert "it begins again on" in body["message"]
    assert service.ask("/budget", "dora")[2]["left"] == "0"
    assert service.ask("/ask", "ana", "Hello?")[0] == 200


@pytest.mark.parametrize(
    ("user", "path", "fault"),
    [
        ("ben", "/stream", Fault(FakeAnswer(text="one two three four"), after=5, then="stall")),
        ("cleo", "/stream", Fault(then="stall")),
        ("emil", "/ask", Fault(then="stall")),
    ],
)
async def test_when_the_client_leaves_the_vendors_request_ends(service, until, user, path, fault):
    service.gpt.say(fault)
    before = len(service.gpt.received)
    with closing(service.send(path, user, "Hello?")) as connection:
        if fault.after:
            assert next(events(connection.getresponse())) == ("message", "one")
        await until(lambda: len(service.gpt.received) > before)
    assert service.gpt.received[-1].left.wait(SLOW)
    await until(lambda: service.booked(user).requests == 1)
    booked = service.booked(user)
    assert booked.cost > 0
    assert booked.estimated == 1
    assert service.ask("/budget", user)[2]["spent"] == str(booked.cost)


def test_who_is_not_known_is_not_answered(service):
    assert service.ask("/ask", "nemo", "Hello?")[0] == 401
    assert service.ask("/ask", "ana", "")[0] == 422


def test_its_health_is_told(service):
    assert service.ask("/health", "ana")[2] == {"ok": True}
    assert service.ask("/ready", "ana")[2] == {"ok": True, "reason": None}
    service.gpt.say(FakeError(kind="authentication"), to="models")
    service.claude.say(FakeError(kind="authentication"), to="models")
    status, _, body = service.ask("/ready", "ana")
    assert (status, body["ok"]) == (503, False)
