"""Embeddings on the path of every request, over a server that answers in memory."""

import asyncio
import gc
import json
import math
import pickle
import random
import weakref
from collections import deque
from dataclasses import replace
from itertools import pairwise

import pytest
from bruno_llm_base import (
    BaseEmbeddings,
    Budget,
    BudgetExceededError,
    ConfigurationError,
    CostTracker,
    EmbeddingAdapter,
    EmbeddingResponse,
    ErrorFacts,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    Price,
    RateLimit,
    Retry,
    ServiceUnavailableError,
    Usage,
)
from bruno_llm_base.embeddings import _split as split
from bruno_llm_base.events import AttemptFailed, RequestFinished
from bruno_llm_base.tokens import estimate_tokens, utf8_size
from bruno_llm_base.transport import Reply
from bruno_llm_base.vectors import similarity
from bruno_llm_testing import vector_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TEXTS = st.lists(st.text(min_size=1).filter(str.strip), max_size=40)
PATIENT = Retry(attempts=20, wait_initial=0.01, deadline=1e6)


class Answer:
    headers = {"content-type": "application/json"}  # noqa: RUF012

    def __init__(self, status, document):
        self.status_code = status
        self._body = json.dumps(document).encode()

    async def aiter_bytes(self):
        yield self._body

    async def aclose(self):
        pass


class Server:
    """Embeds in memory, late and with failures where it is told to."""

    def __init__(self, *, late=lambda: 0.0, fails=lambda: False, document=None, meet=None):
        self.late, self.fails, self.document, self.meet = late, fails, document, meet
        self.batches, self.active, self.most_active = [], 0, 0

    async def send(self, method, path, body=None):
        self.batches.append(body["texts"])
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            if self.meet is not None:
                await self.meet()
            await asyncio.sleep(self.late())
        finally:
            self.active -= 1
        if self.fails():
            return Reply(Answer(503, {"error": "busy"}))
        document = {"vectors": [vector_of(text, 4) for text in body["texts"]]}
        return Reply(Answer(200, self.document or document))

    async def aclose(self):
        pass


class PlainAdapter(EmbeddingAdapter):
    models_path = "/models"
    embeddings_path = "/vectors"
    dimensions = {"plain-4": 4}  # noqa: RUF012
    max_batch = 500

    def build(self, texts, options, dimensions):
        return options | {"texts": list(texts), "size": dimensions}

    def parse(self, data):
        usage = Usage(input_tokens=data.get("read"), output_tokens=0)
        return EmbeddingResponse(vectors=data["vectors"], usage=usage)

    def parse_models(self, data):
        return data["models"]

    def read_error(self, status, headers, data):
        return ErrorFacts(message=data["error"])


class Plain(BaseEmbeddings):
    """A third party's."""

    name = "plain"
    adapter_type = PlainAdapter
    default_model = "plain-4"
    default_base_url = "http://plain.example"
    needs_key = False
    sdk = "json"

    @staticmethod
    def open_transport(access, timeouts):
        return access.client


def make(server, **keywords):
    return Plain(client=server, **keywords)


# -- order and batches ------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # `leap` keeps nothing
)
@given(texts=TEXTS, batch_size=st.integers(1, 50), seed=st.integers())
def test_order_survives_any_delays_and_failures(leap, texts, batch_size, seed):
    chance = random.Random(seed)  # noqa: S311
    server = Server(late=lambda: chance.random() * 9, fails=lambda: chance.random() < 0.3)
    embeddings = make(server, batch_size=batch_size, retry=PATIENT)
    embeddings._endpoint = replace(embeddings._endpoint, throttle=Generous())
    vectors = leap(embeddings.embed_texts(texts))
    assert vectors == [vector_of(text, 4) for text in texts]


class Generous:
    """A throttle that lets all through: failures here are many, and random."""

    def spend(self):
        return True

    def earn(self):
        pass


@given(
    texts=TEXTS,
    most=st.integers(1, 50),
    most_bytes=st.integers(1, 300),
    most_tokens=st.integers(1, 100),
)
def test_batches_are_as_long_as_all_limits_let_them_be(texts, most, most_bytes, most_tokens):
    limits = [(lambda _: 1, most), (utf8_size, most_bytes), (estimate_tokens, most_tokens)]

    def fits(batch):
        return all(sum(map(measure, batch)) <= limit for measure, limit in limits)

    batches = split(texts, limits)
    assert [text for batch in batches for text in batch] == texts
    assert all(fits(batch) or len(batch) == 1 for batch in batches)
    neighbours = pairwise(batches)
    assert not any(fits([*batch, following[0]]) for batch, following in neighbours)


@given(st.text())
def test_a_text_has_at_least_one_byte_for_each_token(text):
    assert utf8_size(text) == len(text.encode("utf-8")) >= estimate_tokens(text)


def test_ten_thousand_texts_go_out_eight_requests_at_a_time(leap):
    server = Server(late=lambda: 1.0)
    texts = [f"text {place}" for place in range(10_000)]
    vectors = leap(make(server).embed_texts(texts))
    assert len(vectors) == 10_000
    assert vectors[9_999] == vector_of("text 9999", 4)
    assert server.most_active == 8
    assert len(server.batches) == math.ceil(10_000 / 256)
    assert server.active == 0


async def test_no_request_has_more_tokens_than_the_vendor_takes(monkeypatch):
    monkeypatch.setattr(PlainAdapter, "max_request_tokens", 100)
    server = Server()
    texts = ["x" * 60, "y" * 40, "z" * 1, "é" * 50, "long" * 200]
    await make(server).embed_texts(texts)
    assert sorted(map(len, server.batches)) == [1, 1, 1, 2]
    assert texts[:2] in server.batches


def test_the_batch_size_is_checked():
    assert Plain().get_max_batch_size() == 256
    assert not make(Server(), batch_size=1).supports_batch()
    with pytest.raises(ConfigurationError, match="plain takes 500 texts at most"):
        Plain(batch_size=501)
    with pytest.raises(ConfigurationError, match="batch_size"):
        Plain(batch_size=0)
    with pytest.raises(ConfigurationError, match="did you mean 'batch_size'"):
        Plain(batchsize=1)
    with pytest.raises(ConfigurationError, match="takes no 'temperature'"):
        Plain(temperature=1)


# -- what goes wrong --------------------------------------------------------------------------------


async def test_the_first_failure_stops_all_others():
    many = [f"text {place}" for place in range(100)]
    count = iter(range(1000))
    server = Server(late=lambda: 0.0 if next(count) == 3 else 60.0, fails=lambda: True)
    embeddings = make(server, batch_size=1, retry=Retry(attempts=1))
    with pytest.raises(ServiceUnavailableError) as caught:
        await embeddings.embed_texts(many)
    assert 3 < len(server.batches) <= 8
    assert server.active == 0
    assert len(caught.value.attempts) == 1
    assert "busy" in str(caught.value)


async def test_whoever_is_cancelled_leaves_no_request_behind():
    three = asyncio.Barrier(4)
    server = Server(late=lambda: 60.0, meet=three.wait)
    task = asyncio.create_task(make(server, batch_size=1).embed_texts(["a", "b", "c"]))
    await three.wait()
    assert server.active == 3
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server.active == 0


async def test_a_failure_keeps_nothing_alive():
    embeddings = make(Server(fails=lambda: True), retry=Retry(attempts=1))
    gone = weakref.ref(embeddings)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(LLMError):
            await embeddings.embed_texts(["a"])
        await embeddings.aclose()
        del embeddings
        for _ in range(3):
            await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ({"vectors": [[1.0] * 4]}, "1 vectors for 2 texts"),
        ({"vectors": [[1.0] * 4, [1.0] * 3]}, "have 3 dimensions, and 4 are expected"),
        ({"vectors": [[1.0] * 4, [1.0, 2.0, "3", 4.0]]}, "not as documented"),
        ({"vectors": [[1.0] * 4, [1.0, 2.0, None, True]]}, "not as documented"),
        ({"vectors": [[1.0] * 4, [1.0, 2.0, math.inf, -math.inf]]}, "not as documented"),
        ({"vectors": [[1.0] * 4, [1, 2, 3, 10**400]]}, "not as documented"),
        ({"vectors": [[1.0] * 4, []]}, "not as documented"),
        ({"vectors": [[1.0] * 4, {"a": 1}]}, "not as documented"),
        ({"vectors": [[1.0] * 4, 5]}, "not as documented"),
        ({"vectors": None}, "not as documented"),
        ({"vectors": []}, "0 vectors for 2 texts"),
    ],
)
async def test_vectors_that_make_no_sense_are_refused(document, complaint):
    embeddings = make(Server(document=document), retry=Retry(attempts=1))
    with pytest.raises(InvalidResponseError, match=complaint):
        await embeddings.embed_texts(["a", "b"])


async def test_whole_numbers_are_numbers_too():
    embeddings = make(Server(document={"vectors": [[0, 1, -2.5, 2**70]]}))
    vector = await embeddings.embed_text("a")
    assert vector == [0.0, 1.0, -2.5, float(2**70)]
    assert all(type(number) is float for number in vector)


# -- dimensions -------------------------------------------------------------------------------------


async def test_a_dimension_that_nobody_knows_is_seen_in_the_first_answer():
    server = Server()
    embeddings = make(server, model="nobodys-own")
    with pytest.raises(ConfigurationError, match="dimensions the vectors of nobodys-own have"):
        embeddings.get_dimension()
    await embeddings.embed_text("hi")
    assert embeddings.get_dimension() == 4
    server.document = {"vectors": [[1.0] * 5]}
    with pytest.raises(InvalidResponseError, match="give dimensions=5"):
        await embeddings.embed_text("hi")


async def test_dimensions_are_asked_for_where_they_are_not_the_models_own():
    for asked, sent in ((None, None), (4, None), (2, 2)):
        embeddings = Plain(dimensions=asked)
        assert embeddings._request(["a"], None).body["size"] == sent
        assert embeddings.get_dimension() == asked or 4
    with pytest.raises(ConfigurationError, match="plain-4 has 4: give that or fewer"):
        Plain(dimensions=5)


# -- limits and money -------------------------------------------------------------------------------


FIVE = "one two three four five"
"""Five tokens, as estimates have it."""


def test_five_is_five():
    assert estimate_tokens(FIVE) == 5


def test_a_rate_limit_of_tokens_shapes_the_batches_and_makes_them_wait(leap):
    server, clock = Server(), []

    async def test():
        loop = asyncio.get_running_loop()
        limit = RateLimit(tokens_per_minute=10, clock=loop.time)
        began = loop.time()
        vectors = await make(server, rate_limit=limit).embed_texts([FIVE] * 6)
        clock.append(loop.time() - began)
        return vectors

    assert len(leap(test())) == 6
    assert [len(batch) for batch in server.batches] == [2, 2, 2], "5 tokens each, 10 a minute"
    assert clock[0] > 60


async def test_a_text_that_no_minute_has_room_for_is_refused():
    server = Server()
    embeddings = make(server, rate_limit=RateLimit(tokens_per_minute=10))
    with pytest.raises(InvalidRequestError, match="tokens_per_minute is 10"):
        await embeddings.embed_text(FIVE * 3)
    assert server.batches == []


async def test_each_batch_waits_for_its_place():
    server = Server(meet=asyncio.Barrier(2).wait)  # lets them through in pairs
    limit = RateLimit(max_concurrent=2)
    await make(server, batch_size=1, rate_limit=limit).embed_texts([str(n) for n in range(20)])
    assert server.most_active == 2


def tracker():
    return CostTracker(prices={"plain-4": Price(input=1_000_000, output=0, source="test")})


async def test_what_is_embedded_is_booked_as_the_server_counts_it():
    costs, heard = tracker(), []
    server = Server(document={"vectors": [[1.0] * 4] * 2, "read": 7})
    embeddings = make(server, cost=costs, observers=[heard.append])
    await embeddings.embed_texts(["a", "b"])
    assert costs.total().cost == 7
    (done,) = [event for event in heard if isinstance(event, RequestFinished)]
    assert done.response.cost.total == 7
    assert not done.response.cost.estimated


async def test_what_the_server_does_not_count_is_estimated():
    costs, heard = tracker(), []
    embeddings = make(Server(), cost=costs, observers=[heard.append])
    await embeddings.embed_texts([FIVE, FIVE, FIVE])
    (done,) = [event for event in heard if isinstance(event, RequestFinished)]
    assert done.response.usage == Usage(input_tokens=15, output_tokens=0)
    assert done.response.cost.estimated
    assert costs.total().cost == 15


async def test_a_budget_holds_without_max_tokens_and_however_many_go_out_at_once():
    costs = tracker()
    server = Server(document={"vectors": [[1.0] * 4], "read": 60})
    budget = Budget(10_000)
    embeddings = make(server, batch_size=1, cost=costs, budget=budget)
    with pytest.raises(BudgetExceededError):
        await embeddings.embed_texts(["x" * 60] * 300)
    assert 140 < len(server.batches) <= 166
    assert costs.total().cost <= 10_000


async def test_a_failed_attempt_is_told_and_tried_again():
    heard, answers = [], deque([True, False])
    server = Server(fails=answers.popleft)
    embeddings = make(server, observers=[heard.append], retry=Retry(attempts=2, wait_initial=0))
    assert await embeddings.embed_text("a") == vector_of("a", 4)
    (failed,) = [event for event in heard if isinstance(event, AttemptFailed)]
    assert failed.operation == "embeddings"


# -- copies -----------------------------------------------------------------------------------------


def test_a_copy_is_set_as_the_original():
    original = Plain("nobodys-own", dimensions=3, batch_size=7, options={"a": {"b": 1}})
    copy = pickle.loads(pickle.dumps(original))
    assert copy.get_model_name() == "nobodys-own"
    assert copy.get_dimension() == 3
    assert copy.get_max_batch_size() == 7
    assert copy._request(["x"], None).body["a"] == {"b": 1}


# -- similarity -------------------------------------------------------------------------------------

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
PAIR = st.integers(1, 30).flatmap(
    lambda n: st.tuples(*[st.lists(NUMBER, min_size=n, max_size=n)] * 2)
)


@given(PAIR)
def test_similarity_is_symmetric_and_from_0_to_1(pair):
    first, second = pair
    assert 0 <= similarity(first, second) <= 1
    assert similarity(first, second) == similarity(second, first)
    if any(first):
        assert similarity(first, first) == pytest.approx(1)
        assert similarity(first, [-number for number in first]) == 0


@given(PAIR, st.floats(1e-3, 1e3))
def test_only_the_direction_of_a_vector_matters(pair, factor):
    first, second = ([number % 1000 for number in vector] for vector in pair)
    longer = [number * factor for number in first]
    assert similarity(longer, second) == pytest.approx(similarity(first, second), abs=1e-6)


def test_similarity_of_known_angles():
    assert similarity([1, 0], [0, 1]) == 0
    assert similarity([1, 0], [1, 1]) == pytest.approx(math.sqrt(0.5))
    assert similarity([1, 0], [1, math.sqrt(3)]) == pytest.approx(0.5)
    assert similarity([0.0, 0.0], [1.0, 2.0]) == 0
    assert Plain().calculate_similarity([3, 4], [3, 4]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("first", "second", "complaint"),
    [
        ([1.0], [1.0, 2.0], "have 1 and 2 numbers"),
        ([], [], "first vector is empty"),
        ([1.0], "a", "second vector is a str"),
        ([1.0], None, "second vector is a NoneType"),
        ([1.0], ["a"], "second vector holds something that is not a number"),
        ([math.nan], [1.0], "first vector holds something that is not a number"),
        ([10**400], [1.0], "first vector holds something that is not a number"),
    ],
)
def test_what_is_no_vector_is_refused(first, second, complaint):
    with pytest.raises(InvalidRequestError, match=complaint):
        similarity(first, second)
