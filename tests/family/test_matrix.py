"""Every fault, on every provider, whole and streamed: what the caller gets, and what is left.

The table is the promise, and all four keep it alike. Where one cannot, the table says so.
"""

import json
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import get_args

import pytest
from bruno_llm_base import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMFactory,
    LLMTimeoutError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimit,
    RateLimitError,
    Retry,
    ServiceUnavailableError,
    StreamError,
    Timeouts,
)
from bruno_llm_testing import FakeAnswer, FakeError, Fault, RawReply, Received
from bruno_llm_testing.script import ErrorKind, Mishap

pytestmark = pytest.mark.usefixtures("unmeasured")

RETRY = Retry(attempts=3, wait_initial=0)


def limiter():
    """Return the keywords that let one attempt at a time go to the server."""
    return {"rate_limit": RateLimit(max_concurrent=1)}


async def check_that_all_permits_are_back(keywords):
    permit = await keywords["rate_limit"].acquire(0)
    permit.cancel()


# -- the words of the table -----------------------------------------------------------------------

HEADER, BEGUN, SPOKEN = 0, 1, 2
"""After what a fault comes. In a stream: the header; what the vendor says before any text; the words
"one two". In a document: the header, and for the other two its first half."""

ANSWER = FakeAnswer(text="one two three four")
LONG = FakeAnswer(text="word " * 100)
UNICODE = FakeAnswer(text="Grüße, 世界! 👋🏽 👩‍👩‍👧")
HTML, PAGE = {"content-type": "text/html"}, b"<h1>Bad Gateway</h1>"


@dataclass(frozen=True)
class InBand:
    """An error in the body, after a status of 200."""

    kind: str
    after: int


@dataclass(frozen=True)
class Nobody:
    """An address without a server: it refuses connections, or leaves them waiting."""

    refuses: bool


@dataclass(frozen=True)
class Outcome:
    """How a call ends.

    `text` is what comes of the answer: all of it, or what had come before the error; None is some.
    `kept` is whether the connection serves the next call; None is either.
    """

    error: type[LLMError] | None
    attempts: int
    text: str | None
    kept: bool | None
    says: str = ""


def answers(attempts=1, answer=ANSWER, *, kept=True):
    return Outcome(None, attempts, answer.text, kept)


def fails(error, attempts=1, text="", says=""):
    return Outcome(error, attempts, text, kept=True, says=says)


def breaks(error, attempts=1, text="", says=""):
    return Outcome(error, attempts, text, kept=False, says=says)


def late(says, attempts=3, text=""):
    return Outcome(LLMTimeoutError, attempts, text, kept=False, says=says)


@dataclass(frozen=True)
class Row:
    """What the server does, and what comes of it.

    A single step is said to every attempt, a list to one after the other. `but` is what vendors give
    that cannot do as the others.
    """

    script: object
    whole: Outcome
    streamed: Outcome
    timeouts: Timeouts | None = None
    but: dict = field(default_factory=dict)

    def outcome(self, name, *, streamed):
        whole_or_not = self.but.get(name, (self.whole, self.streamed))
        return whole_or_not[streamed]


# -- the table ------------------------------------------------------------------------------------

Auth, Denied, Quota = AuthenticationError, PermissionDeniedError, QuotaExceededError
Wrong, TooLong, NoModel = InvalidRequestError, ContextLengthExceededError, ModelNotFoundError
Busy, Down = RateLimitError, ServiceUnavailableError
Unread, Broken = InvalidResponseError, StreamError

# What a server is late for may take any time: the checks let the clock jump.
CONNECT, FIRST = Timeouts(connect=0.04), Timeouts(first_token=30)
NEXT, TOTAL = Timeouts(first_token=30, between_tokens=20), Timeouts(total=30)
no_way_in, no_first = "no connection within 0.04 s", "no first token within 30 s"
no_next, no_end = "no further token within 20 s", "no complete answer within 30 s"

# fmt: off
TABLE = {
    # What happens                                          whole              streamed
    # The server refuses, and says why
    "a wrong key": Row(
        FakeError(kind="authentication"),                   fails(Auth),       fails(Auth)),
    "no right to it": Row(
        FakeError(kind="permission"),                       fails(Denied),     fails(Denied)),
    "no money left": Row(
        FakeError(kind="quota"),                            fails(Quota),      fails(Quota)),
    "an unknown model": Row(
        FakeError(kind="model_not_found"),                  fails(NoModel),    fails(NoModel)),
    "too long a prompt": Row(
        FakeError(kind="context_length"),                   fails(TooLong),    fails(TooLong)),
    "a bad request": Row(
        FakeError(kind="invalid_request"),                  fails(Wrong),      fails(Wrong)),
    "too many requests": Row(
        FakeError(kind="rate_limit"),                       fails(Busy, 3),    fails(Busy, 3)),
    "too many, for an hour": Row(
        FakeError(kind="rate_limit", retry_after=3600),     fails(Busy, 1),    fails(Busy, 1)),
    "overloaded": Row(
        FakeError(kind="overloaded"),                       fails(Down, 3),    fails(Down, 3)),
    "a failure of its own": Row(
        FakeError(kind="server_error"),                     fails(Down, 3),    fails(Down, 3)),

    # Something else than the server answers
    "a gateway's page": Row(
        RawReply(status=502, headers=HTML, body=PAGE),      fails(Down, 3),    fails(Down, 3)),
    "a failure without a word": Row(
        RawReply(status=500),                               fails(Down, 3),    fails(Down, 3)),
    "a page to sign in": Row(
        RawReply(headers=HTML, body=PAGE),                  fails(Unread),     fails(Unread)),
    "a redirect": Row(
        RawReply(status=307, headers={"location": "/v2"}),  fails(Unread),     fails(Unread)),
    "no HTTP": Row(
        Fault(then="garble"),                               breaks(Unread),    breaks(Unread)),

    # There is no connection, or it breaks
    "nobody listens": Row(
        Nobody(refuses=True),                               breaks(Down, 3),   breaks(Down, 3)),
    "nobody lets us in": Row(
        Nobody(refuses=False),                              late(no_way_in),   late(no_way_in), CONNECT),
    "reset before the header": Row(
        Fault(then="reset"),                                breaks(Down, 3),   breaks(Down, 3)),
    "closed before the header": Row(
        Fault(then="close"),                                breaks(Down, 3),   breaks(Down, 3)),
    "reset after the header": Row(
        Fault(ANSWER, after=HEADER, then="reset"),          breaks(Down, 3),   breaks(Broken, 3)),
    "closed after the header": Row(
        Fault(ANSWER, after=HEADER, then="close"),          breaks(Down, 3),   breaks(Broken, 3)),
    "reset before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="reset"),           breaks(Down, 3),   breaks(Broken, 3)),
    "closed before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="close"),           breaks(Down, 3),   breaks(Broken, 3)),
    "reset after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="reset"),          breaks(Down, 3),   breaks(Broken, 1, "one two")),
    "closed after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="close"),          breaks(Down, 3),   breaks(Broken, 1, "one two")),

    # The body ends too early, or is not JSON. To HTTP nothing is wrong, so the connection is kept
    "no body": Row(
        RawReply(),                                         fails(Unread),     fails(Broken, 3)),
    "an end before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="end"),             fails(Unread),     fails(Broken, 3)),
    "an end after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="end"),            fails(Unread),     fails(Broken, 1, "one two")),
    # (unless it is a stream of which more would come)
    "garbage after the header": Row(
        Fault(ANSWER, after=HEADER, then="garble",
              between_events=0.01),                         fails(Unread),     breaks(Unread)),
    "garbage before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="garble",
              between_events=0.01),                         fails(Unread),     breaks(Unread)),
    "garbage after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="garble",
              between_events=0.01),                         fails(Unread),     breaks(Unread, 1, "one two")),

    # Nothing comes, or not all of it, and in time; pings are nothing
    "a late first event": Row(
        Fault(before_first_event=999),                        late(no_first),    late(no_first), FIRST),
    "a late first event, and pings": Row(
        Fault(before_first_event=999, pings=0.01),            late(no_first),    late(no_first), FIRST),
    "silence before the header": Row(
        Fault(then="stall"),                                late(no_first),    late(no_first), FIRST),
    "silence before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="stall"),           late(no_first),    late(no_first), FIRST),
    "pings before the first text": Row(
        Fault(ANSWER, after=BEGUN, then="stall",
              pings=0.01),                                  late(no_first),    late(no_first), FIRST),
    "silence after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="stall"),          late(no_first),    late(no_next, 1, "one two"), NEXT),
    "pings after some text": Row(
        Fault(ANSWER, after=SPOKEN, then="stall",
              pings=0.01),                                  late(no_first),    late(no_next, 1, "one two"), NEXT),
    "nothing in the time for all of it": Row(
        Fault(before_first_event=999),                        late(no_end),      late(no_end), TOTAL),
    "a stream of words that takes too long": Row(
        Fault(LONG, between_events=0.01),                   answers(1, LONG),  late(no_end, 1, None), TOTAL),

    # It takes its time, and comes
    "byte by byte": Row(
        Fault(UNICODE, split=1),                            answers(1, UNICODE), answers(1, UNICODE, kept=None)),
    "word by word": Row(
        Fault(UNICODE, between_events=0.01),                answers(1, UNICODE), answers(1, UNICODE)),
    "a late header, and in time": Row(
        Fault(ANSWER, before_header=0.02),                  answers(),         answers(), FIRST),
    "pings, and in time": Row(
        Fault(ANSWER, before_first_event=0.03, pings=0.01), answers(),         answers(), FIRST),

    # It passes
    "overloaded, once": Row(
        [FakeError(kind="overloaded"), ANSWER],             answers(2),        answers(2)),
    "too many requests, for a moment": Row(
        [FakeError(kind="rate_limit", retry_after=0.02), ANSWER],
                                                            answers(2),        answers(2)),
    "overloaded, and then too many requests": Row(
        [FakeError(kind="overloaded"), FakeError(kind="rate_limit"), ANSWER],
                                                            answers(3),        answers(3)),
    "a gateway's page, then a failure without a word": Row(
        [RawReply(status=502, headers=HTML, body=PAGE), RawReply(status=500), ANSWER],
                                                            answers(3),        answers(3)),
    "closed, once": Row(
        [Fault(then="close"), ANSWER],                      answers(2),        answers(2)),
    "closed, and reset": Row(
        [Fault(then="close"), Fault(then="reset"), ANSWER], answers(3),        answers(3)),
    "closed and reset before the first text": Row(
        [Fault(ANSWER, after=BEGUN, then="close"), Fault(ANSWER, after=BEGUN, then="reset"), ANSWER],
                                                            answers(3),        answers(3)),
    "silent, once": Row(
        [Fault(ANSWER, after=BEGUN, then="stall"), ANSWER], answers(2),        answers(2), NEXT),
    "two errors in the body": Row(
        [InBand("overloaded", BEGUN), InBand("server_error", BEGUN), ANSWER],
                                                            answers(3),        answers(3)),
    "overloaded, and then a wrong key": Row(
        [FakeError(kind="overloaded"), FakeError(kind="authentication")],
                                                            fails(Auth, 2),    fails(Auth, 2)),
    "overloaded, and then cut": Row(
        [FakeError(kind="overloaded"), Fault(ANSWER, after=SPOKEN, then="close"), ANSWER],
                                                            answers(3),        breaks(Broken, 2, "one two")),
}

# An error in the body, after a status of 200: before the first text, or instead of a whole answer, it
# is what its status would have made of it; afterwards it is so once, with the text. Ollama's errors
# are one sentence; where that does not tell, it is the server's failure.
IN_BAND = {
    "authentication":  (Auth, 1, Auth),
    "permission":      (Denied, 1, Down),
    "quota":           (Quota, 1, Quota),
    "model_not_found": (NoModel, 1, NoModel),
    "context_length":  (TooLong, 1, TooLong),
    "invalid_request": (Wrong, 1, Down),
    "rate_limit":      (Busy, 3, Down),
    "overloaded":      (Down, 3, Down),
    "server_error":    (Down, 3, Down),
}
# fmt: on

for kind, (error, attempts, to_ollama) in IN_BAND.items():
    again = 3 if to_ollama is Down else 1
    TABLE[f"{kind} in the body, before the first text"] = Row(
        InBand(kind, BEGUN),
        fails(error, attempts),
        fails(error, attempts),
        but={"ollama": (fails(to_ollama, again), fails(to_ollama, again))},
    )
    TABLE[f"{kind} in the body, after some text"] = Row(
        InBand(kind, SPOKEN),
        fails(error, attempts),
        fails(error, 1, "one two"),
        but={"ollama": (fails(to_ollama, again), fails(to_ollama, 1, "one two"))},
    )


# -- how it is checked ----------------------------------------------------------------------------


def asked(server):
    """Return the request that the fake's events are rendered for."""
    model = server.models[0]
    return Received(
        method="POST",
        path=f"/v1beta/models/{model}:generateContent",
        query={},
        headers={"anthropic-version": "2026-10-21"},
        body={"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    )


def events_before(server, place):
    """Return the events of ANSWER that come before a fault at *place*."""
    events = server.render_stream(ANSWER, asked(server))
    first, second = (
        next(number for number, event in enumerate(events) if word in event)
        for word in (b"one", b" two")
    )
    return events[: {HEADER: 0, BEGUN: first, SPOKEN: second + 1}[place]]


def step_for(server, step, *, streamed):
    """Return what the fake is told to say."""
    if isinstance(step, InBand):
        error = FakeError(kind=step.kind)
        if not streamed:
            document = server.render_error(error, asked(server))[1]
            return RawReply(body=json.dumps(document).encode())
        said = server.render_stream_error(error, asked(server))
        return RawReply(body=b"".join([*events_before(server, step.after), said]))
    if streamed and isinstance(step, Fault) and step.after is not None:
        return replace(step, after=len(events_before(server, step.after)))
    return step


@contextmanager
def unanswered(*, refuses):
    """Return the number of a port where nobody answers."""
    with ExitStack() as sockets:
        port = sockets.enter_context(socket.socket())
        port.bind(("127.0.0.1", 0))
        if not refuses:
            port.listen(0)
            for _ in range(2):  # a queue without room, as listen(2) says
                waiting = sockets.enter_context(socket.socket())
                waiting.settimeout(0)
                waiting.connect_ex(port.getsockname())
        yield port.getsockname()[1]


async def call(llm, pieces, *, streamed):
    """Return the text that came, the error if one did, and the story of the attempts."""
    try:
        if not streamed:
            response = await llm.request("hi")
            return response.text, None, response.attempts
        stream = llm.stream("hi")
        async for piece in stream:
            pieces.append(piece)
        assert stream.response.text == "".join(pieces)
        return stream.response.text, None, stream.response.attempts
    except LLMError as error:
        return "".join(pieces), error, error.attempts


def check(expected, text, error, attempts):
    assert type(error) is (expected.error or type(None))
    if error:
        assert (error.partial.text if error.partial else "") == text
    assert len(attempts) == expected.attempts
    assert attempts[-1].error == (expected.error and expected.error.__name__)
    assert all(attempt.error for attempt in attempts[:-1])
    if expected.text is None:
        assert LONG.text.startswith(text)
        assert 0 < len(text) < len(LONG.text)
    else:
        assert text == expected.text
    assert expected.says in str(error)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
async def test_matrix(name, server, row, streamed, until, jump):
    if isinstance(row.script, Nobody):
        await check_without_a_server(name, server, row, streamed=streamed)
        return
    expected = row.outcome(name, streamed=streamed)
    keywords = server.connection() | {"retry": RETRY, "timeouts": row.timeouts} | limiter()
    async with LLMFactory.create(name, **keywords) as llm:
        await llm.generate("warm up: import the SDK, open the connection")
        script = row.script if isinstance(row.script, list) else [row.script] * expected.attempts
        for step in script[: expected.attempts]:
            server.say(step_for(server, step, streamed=streamed))
        pieces = []
        async with jump(31, *lateness(server, script, expected, pieces)):
            text, error, attempts = await call(llm, pieces, streamed=streamed)
        check(expected, text, error, attempts)
        assert len(server.bodies) == 1 + expected.attempts

        if expected.kept is not None:
            await until(lambda: server.open_connections == expected.kept)
        await check_that_all_permits_are_back(keywords)
        opened = server.accepted_connections
        assert await llm.generate("and now?") == FakeAnswer().text
        if expected.kept is not None:
            assert server.accepted_connections == opened + (not expected.kept)
        await until(lambda: server.open_connections == 1)
    await until(lambda: server.open_connections == 0)


def lateness(server, script, expected, pieces):
    """Return for each attempt that will be late a condition that holds when there is no more to come.

    The server has got the request, and we have read what it says.
    """

    in_the_end = expected.error is LLMTimeoutError
    awaited = expected.text if in_the_end else ""

    def silent(number):
        heard = pieces if awaited is None else "".join(pieces) == awaited
        return heard and len(server.bodies) == 2 + number

    stalls = [isinstance(step, Fault) and step.then == "stall" for step in script]
    return [partial(silent, n) for n in range(expected.attempts) if in_the_end or stalls[n]]


async def check_without_a_server(name, server, row, *, streamed):
    with unanswered(refuses=row.script.refuses) as port:
        connection = server.connection()
        connection["base_url"] = connection["base_url"].replace(
            server.address, f"http://127.0.0.1:{port}"
        )
        keywords = connection | {"retry": RETRY, "timeouts": row.timeouts} | limiter()
        async with LLMFactory.create(name, **keywords) as llm:
            text, error, attempts = await call(llm, [], streamed=streamed)
        check(row.outcome(name, streamed=streamed), text, error, attempts)
        await check_that_all_permits_are_back(keywords)


async def test_a_wait_beyond_the_deadline_is_told(name, server):
    server.say(FakeError(kind="rate_limit", headers={"retry-after": "3600"}))
    async with LLMFactory.create(name, **server.connection(), retry=RETRY) as llm:
        with pytest.raises(RateLimitError) as caught:
            await llm.generate("hi")
    assert caught.value.retry_after == caught.value.attempts[0].retry_after == 3600


async def test_a_redirect_takes_nothing_to_another_address(name, server):
    with type(server)() as other:
        for code in (301, 302, 307, 308):
            server.say(RawReply(status=code, headers={"location": other.address}), times=2)
        async with LLMFactory.create(name, **server.connection(), retry=RETRY) as llm:
            for code in (301, 302, 307, 308):
                for streamed in (False, True):
                    _, error, _ = await call(llm, [], streamed=streamed)
                    assert type(error) is InvalidResponseError
                    assert f"the server redirects ({code})" in str(error)
        assert other.received == []


def test_every_fault_of_the_language_is_in_the_table():
    steps = [
        step
        for row in TABLE.values()
        for step in (row.script if isinstance(row.script, list) else [row.script])
    ]
    faults = [step for step in steps if isinstance(step, Fault)]
    assert {step.kind for step in steps if isinstance(step, FakeError)} == set(get_args(ErrorKind))
    assert set(IN_BAND) == set(get_args(ErrorKind))
    assert {fault.then for fault in faults} == {None, *get_args(Mishap)}
    for name in ("before_header", "before_first_event", "between_events", "pings", "split"):
        assert any(getattr(fault, name) for fault in faults), name
