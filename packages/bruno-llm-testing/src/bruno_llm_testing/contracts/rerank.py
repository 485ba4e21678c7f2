"""What a reranker does with everything a server may say."""

import asyncio
import json
import pickle
from collections.abc import Callable, Coroutine, Iterator
from operator import methodcaller
from typing import Any, ClassVar

import pytest
from bruno_llm_base.events import Event, PriceUnknown, RequestFinished
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
)
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.response import Usage

from bruno_llm_testing.contracts.model import EVERY_ERROR
from bruno_llm_testing.reranking import FakeReranker, Shape
from bruno_llm_testing.script import ErrorKind, FakeAnswer, FakeError, Fault, RawReply, Received

_Test = Callable[[Any], Coroutine[Any, Any, Any]]
QUERY = "where do cats sleep"
DOCUMENTS = [
    "Shares fell on Monday.",
    "Cats sleep on sofas.",
    "where cats do sleep",
    "Grüße, 世界! 👋🏽",
    "Cats sleep on sofas.",
]
BEST_FIRST = [2, 1, 4, 0, 3]


class RerankContract:
    """What a reranker does with everything a server may say.

    It runs its own event loops, so pytest needs no plugin.

    Attributes:
        provider: What makes the reranker under test of keywords: its class, or a `partial`.
        name: What it is called in errors.
        shape: Whose API it speaks.
        counts_tokens: Whether the API says how many tokens it took.
    """

    provider: Callable[..., Any]
    name: ClassVar[str]
    shape: Shape
    counts_tokens: bool = True

    @pytest.fixture
    def server(self) -> Iterator[FakeReranker]:
        """Return the running fake."""
        with FakeReranker(self.shape) as server:
            yield server

    @pytest.fixture
    def keywords(self, server: FakeReranker) -> dict[str, Any]:
        """Return what points the reranker at the fake, which is asked once."""
        return server.connection() | {"retry": Retry(attempts=1)}

    def run(self, keywords: dict[str, Any], test: _Test) -> Any:
        """Return what *test* makes of a new reranker, in an event loop of its own."""

        async def inside() -> Any:
            async with type(self).provider(**keywords) as reranker:
                return await test(reranker)

        return asyncio.run(inside())

    def rank(self, keywords: dict[str, Any], **more: Any) -> Any:
        """Return how a new reranker ranks the documents."""
        return self.run(keywords, lambda reranker: reranker.rank(QUERY, DOCUMENTS, **more))

    def asked(self, server: FakeReranker) -> list[Received]:
        """Return the requests for a ranking that arrived."""
        return [r for r in server.received if server.operation(r) == "rerank"]

    # -- what is returned ---------------------------------------------------------------------------

    def test_the_best_document_comes_first(self, keywords: dict[str, Any]) -> None:
        ranking = self.rank(keywords)
        assert [result.index for result in ranking.results] == BEST_FIRST
        assert [result.document for result in ranking.results] == [DOCUMENTS[n] for n in BEST_FIRST]
        scores = [result.score for result in ranking.results]
        assert scores == sorted(scores, reverse=True)
        assert all(type(score) is float for score in scores)
        assert ranking.text == ""

    def test_as_many_come_back_as_are_wanted(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        for top, expected in ((1, 1), (3, 3), (99, 5), (None, 5)):
            ranking = self.rank(keywords, top=top)
            assert [result.index for result in ranking.results] == BEST_FIRST[:expected]
        for wrong in (0, -1, 1.5, True, "all"):
            with pytest.raises(InvalidRequestError, match="top is"):
                self.rank(keywords, top=wrong)
        assert len(self.asked(server)) == 4

    def test_no_documents_are_no_request(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        ranking = self.run(keywords, lambda reranker: reranker.rank(QUERY, []))
        assert ranking.results == []
        assert ranking.usage.input_tokens == 0
        assert server.received == []

    # -- what is sent -------------------------------------------------------------------------------

    def test_what_cannot_be_ranked_is_refused_first(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        wrong: list[tuple[Any, Any, str]] = [
            ("", ["a"], "query is empty"),
            (None, ["a"], "query is a NoneType"),
            ("a", ["a", " \n"], r"documents\[1\] is empty"),
            ("a", ["a", {"text": "b"}], r"documents\[1\] is a dict"),
            ("a", "abc", "documents is a str: give a list"),
            ("a", ["\ud800"], r"documents\[0\] holds half of a surrogate pair"),
        ]
        for query, documents, complaint in wrong:
            ask = methodcaller("rank", query, documents)
            with pytest.raises(InvalidRequestError, match=complaint):
                self.run(keywords, ask)
        assert server.received == []

    def test_options_reach_the_wire(self, server: FakeReranker, keywords: dict[str, Any]) -> None:
        self.rank(keywords | {"options": {"x_own": {"a": 1}}})
        (request,) = self.asked(server)
        assert '"x_own": {"a": 1}' in json.dumps(request.body)
        for name, value in (("query", "x"), ("top_n", 3), ("x", float("nan"))):
            with pytest.raises(ConfigurationError, match=repr(name)):
                type(self).provider(**keywords | {"options": {name: value}})

    # -- what goes wrong ----------------------------------------------------------------------------

    @pytest.mark.parametrize(("kind", "expected"), EVERY_ERROR)
    def test_errors_are_of_one_family(
        self,
        server: FakeReranker,
        keywords: dict[str, Any],
        kind: ErrorKind,
        expected: type[LLMError],
    ) -> None:
        server.say(FakeError(kind=kind, param="x"), to="rerank")
        with pytest.raises(LLMError) as caught:
            self.rank(keywords)
        error = caught.value
        assert type(error) is expected
        assert (error.provider, error.model) == (self.name, server.rerank_models[0])
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(copy), str(copy)) == (expected, str(error))

    def test_it_is_tried_again(self, server: FakeReranker, keywords: dict[str, Any]) -> None:
        server.say(FakeError(kind="overloaded"), FakeError(kind="server_error"), to="rerank")
        ranking = self.rank(keywords | {"retry": Retry(attempts=3, wait_initial=0)})
        assert [attempt.error for attempt in ranking.attempts] == [
            "ServiceUnavailableError",
            "ServiceUnavailableError",
            None,
        ]

    def test_an_answer_that_makes_no_sense_is_an_error(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        rows = [{"index": place, "relevance_score": 0.5} for place in range(len(DOCUMENTS))]
        for broken, complaint in (
            (rows[:-1], "ranked 4 of 5 documents, and 5 were asked for"),
            ([*rows[:-1], rows[0]], "ranked document 0 twice"),
            (
                [*rows[:-1], {"index": 5, "relevance_score": 1}],
                "document 5 of 5, the first being 0",
            ),
            ([*rows[:-1], {"index": -1, "relevance_score": 1}], "."),
            ([*rows[:-1], {"index": 4, "relevance_score": None}], "."),
            ([*rows[:-1], {"index": 4}], "."),
            ("text", "."),
        ):
            body = json.dumps({"results": broken, "data": broken}).encode()
            server.say(RawReply(body=body), to="rerank")
            with pytest.raises(InvalidResponseError, match=complaint):
                self.rank(keywords)
        for body in (b"<html>", b"{}", b"[]"):
            server.say(RawReply(body=body), to="rerank")
            with pytest.raises(InvalidResponseError):
                self.rank(keywords)
        server.say(Fault(then="stall"), to="rerank")
        with pytest.raises(LLMTimeoutError):
            self.rank(keywords | {"timeouts": Timeouts(total=0.2)})

    def test_a_disordered_answer_is_put_in_order(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        scores = [0, -2.5, 3, 0, 3]
        rows = [{"index": n, "relevance_score": score} for n, score in enumerate(scores)]
        server.say(RawReply(body=json.dumps({"results": rows, "data": rows}).encode()), to="rerank")
        ranking = self.rank(keywords, top=3)
        assert [(result.index, result.score) for result in ranking.results] == [
            (2, 3),
            (4, 3),
            (0, 0),
        ]

    # -- what is known ------------------------------------------------------------------------------

    def test_it_is_told_whether_it_can_be_used(self, keywords: dict[str, Any]) -> None:
        async def reason(reranker: Any) -> Any:
            return await reranker.diagnose()

        assert self.run(keywords, reason).reason is None
        missing = self.run(keywords | {"model": "an-unknown-one"}, reason)
        assert isinstance(missing.error, ModelNotFoundError)
        wrong = keywords | {"api_key": "not-the-right-key"}
        assert isinstance(self.run(wrong, reason).error, AuthenticationError)
        assert wrong["api_key"] not in str(self.run(wrong, reason))
        dead = keywords | {"base_url": "http://127.0.0.1:9", "timeouts": Timeouts(connect=1)}
        assert "cannot be reached" in self.run(dead, reason).reason

    def test_usage_is_the_servers_and_else_estimated(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        heard: list[Event] = []
        server.say(FakeAnswer(usage=Usage(input_tokens=42)), to="rerank")
        self.rank(keywords | {"observers": [heard.append]})
        (done,) = [event for event in heard if isinstance(event, RequestFinished)]
        assert done.operation == "rerank"
        assert done.response.usage_estimated != self.counts_tokens
        assert (done.response.usage.input_tokens == 42) == self.counts_tokens
        assert done.response.usage.output_tokens == 0
        assert done.response.provider == self.name
        assert not any(isinstance(event, PriceUnknown) for event in heard)  # this machine is free

    def test_one_reranker_serves_several_loops(
        self, server: FakeReranker, keywords: dict[str, Any]
    ) -> None:
        reranker = type(self).provider(**keywords)
        first, second = (asyncio.run(reranker.rank(QUERY, DOCUMENTS)) for _ in range(2))
        assert first.results == second.results
        assert server.api_key not in repr(reranker)
        with pytest.raises(ConfigurationError, match="cannot be pickled"):
            pickle.dumps(reranker)
