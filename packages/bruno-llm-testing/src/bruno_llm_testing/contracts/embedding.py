"""What a provider of embeddings does with everything a server may say."""

import asyncio
import json
import pickle
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message, MessageRole, MessageType
from bruno_llm_base.embeddings import BaseEmbeddings
from bruno_llm_base.events import Event, RequestFinished
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
)
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.response import Usage

from bruno_llm_testing.contracts.model import EVERY_ERROR
from bruno_llm_testing.script import ErrorKind, FakeAnswer, FakeError, Fault, RawReply, Received
from bruno_llm_testing.server import FakeServer

_Test = Callable[[BaseEmbeddings], Coroutine[Any, Any, Any]]


class EmbeddingContract:
    """What a provider of embeddings does with everything a server may say.

    It runs its own event loops, so pytest needs no plugin.

    Attributes:
        provider: The class under test.
        fake: Its fake server, which embeds with `vector_of`.
        takes_dimensions: Whether the model can be asked for fewer dimensions than its own.
    """

    provider: type[BaseEmbeddings]
    fake: type[FakeServer]
    takes_dimensions: bool = True

    @pytest.fixture
    def server(self) -> Iterator[FakeServer]:
        """Return the running fake."""
        with self.fake() as server:
            yield server

    @pytest.fixture
    def keywords(self, server: FakeServer) -> dict[str, Any]:
        """Return what points the provider at the fake, which is asked once."""
        return server.connection() | {"retry": Retry(attempts=1)}

    def run(self, keywords: dict[str, Any], test: _Test) -> Any:
        """Return what *test* makes of a new provider, in an event loop of its own."""

        async def inside() -> Any:
            async with self.provider(**keywords) as embeddings:
                return await test(embeddings)

        return asyncio.run(inside())

    def asked(self, server: FakeServer) -> list[Received]:
        """Return the requests for embeddings that arrived."""
        return [r for r in server.received if server.operation(r) == "embeddings"]

    # -- what is returned ---------------------------------------------------------------------------

    def test_it_embeds_for_bruno_core(self, keywords: dict[str, Any]) -> None:
        embeddings = self.provider(**keywords)
        assert isinstance(embeddings, EmbeddingInterface)
        assert embeddings.get_model_name() == self.provider.default_model
        assert embeddings.supports_batch()
        assert embeddings.get_max_batch_size() > 1

    def test_every_text_gets_its_own_vector(self, keywords: dict[str, Any]) -> None:
        texts = ["first", "second", "Grüße, 世界! 👋🏽", "first", "a\n\nb\t"]
        message = Message(role=MessageRole.USER, content="second")

        async def test(embeddings: BaseEmbeddings) -> None:
            vectors = await embeddings.embed_texts(texts)
            assert len(vectors) == len(texts)
            assert {len(vector) for vector in vectors} == {embeddings.get_dimension()}
            assert vectors[0] == vectors[3]
            assert len(set(map(tuple, vectors))) == len(set(texts))
            assert await embeddings.embed_text("second") == vectors[1]
            assert await embeddings.embed_message(message) == vectors[1]
            assert await embeddings.embed_batch(texts) == vectors
            assert await embeddings.embed_texts([]) == []
            assert all(type(number) is float for number in vectors[2])

        self.run(keywords, test)

    def test_batches_keep_the_order(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        texts = [f"text {place}" for place in range(23)]
        alone = self.run(keywords, lambda e: e.embed_texts(texts))
        first = -(-len(texts) // self.provider(**keywords).get_max_batch_size())
        assert len(self.asked(server)) == first
        # the first requests come back last
        server.say(*(Fault(before_header=0.05) for _ in range(3)), to="embeddings")
        batched = self.run(keywords | {"batch_size": 4}, lambda e: e.embed_texts(texts))
        assert len(self.asked(server)) == first + 6
        assert batched == alone

    def test_the_dimension_is_known_before_any_call(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        own = self.provider(**keywords).get_dimension()
        assert self.provider(**keywords, dimensions=own).get_dimension() == own
        with pytest.raises(ConfigurationError, match="give dimensions"):
            self.provider(**keywords, model="an-unknown-one").get_dimension()
        for wrong in (0, -1, 1.5, "many", True):
            with pytest.raises(ConfigurationError, match="dimensions"):
                self.provider(**keywords, dimensions=wrong)  # type: ignore[arg-type]
        if not self.takes_dimensions:
            with pytest.raises(ConfigurationError, match=f"always has {own}"):
                self.provider(**keywords, dimensions=8)
            return
        assert self.provider(**keywords, dimensions=8).get_dimension() == 8
        assert server.received == []
        vector = self.run(keywords | {"dimensions": 8}, lambda e: e.embed_text("hi"))
        assert len(vector) == 8 < own

    # -- what is sent -------------------------------------------------------------------------------

    def test_what_cannot_be_embedded_is_refused_first(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        image = Message(role=MessageRole.USER, content="cat.png", message_type=MessageType.IMAGE)
        wrong: list[tuple[_Test, str]] = [
            (lambda e: e.embed_text(""), "text is empty"),
            (lambda e: e.embed_text(" \n"), "text is empty"),
            (lambda e: e.embed_text(None), "text is a NoneType"),  # type: ignore[arg-type]
            (lambda e: e.embed_text("\ud800"), "text holds half of a surrogate pair"),
            (lambda e: e.embed_texts(["a", "", "b"]), r"texts\[1\] is empty"),
            (lambda e: e.embed_texts(["a", 5]), r"texts\[1\] is a int"),  # type: ignore[list-item]
            (lambda e: e.embed_texts("abc"), "texts is a str: give a list"),
            (lambda e: e.embed_message(image), r"message holds cat\.png"),
            (lambda e: e.embed_message("hi"), "message is a str"),  # type: ignore[arg-type]
        ]
        for ask, complaint in wrong:
            with pytest.raises(InvalidRequestError, match=complaint):
                self.run(keywords, ask)
        assert server.received == []

    def test_options_reach_the_wire(self, server: FakeServer, keywords: dict[str, Any]) -> None:
        self.run(
            keywords | {"options": {"x_own": {"a": 1}}}, lambda e: e.embed_texts(["one", "two"])
        )
        (request,) = self.asked(server)
        assert '"x_own": {"a": 1}' in json.dumps(request.body)
        for name, value in (("model", "x"), ("x", float("nan")), ("x", object())):
            with pytest.raises(ConfigurationError, match=repr(name)):
                self.provider(**keywords, options={name: value})

    # -- what goes wrong ----------------------------------------------------------------------------

    @pytest.mark.parametrize(("kind", "expected"), EVERY_ERROR)
    def test_errors_are_of_one_family(
        self,
        server: FakeServer,
        keywords: dict[str, Any],
        kind: ErrorKind,
        expected: type[LLMError],
    ) -> None:
        server.say(FakeError(kind=kind), to="embeddings")
        with pytest.raises(LLMError) as caught:
            self.run(keywords, lambda e: e.embed_text("hi"))
        error = caught.value
        assert type(error) is expected
        assert error.provider == self.provider.name
        assert error.model == self.provider.default_model
        assert error.status_code is not None
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(copy), str(copy)) == (expected, str(error))

    def test_a_failed_batch_alone_is_sent_again(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        again = keywords | {"retry": Retry(attempts=3, wait_initial=0), "batch_size": 2}
        texts = [f"text {place}" for place in range(8)]
        expected = self.run(keywords, lambda e: e.embed_texts(texts))
        server.say(
            FakeError(kind="overloaded"),
            FakeError(kind="rate_limit", retry_after=0),
            to="embeddings",
        )
        assert self.run(again, lambda e: e.embed_texts(texts)) == expected
        assert len(self.asked(server)) == 1 + 4 + 2

    def test_an_answer_that_makes_no_sense_is_an_error(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        for body in (b"<html>", b"{}", b"[]", b'{"data":[],"embeddings":[]}'):
            server.say(RawReply(body=body), to="embeddings")
            with pytest.raises(InvalidResponseError):
                self.run(keywords, lambda e: e.embed_text("hi"))
        server.say(Fault(after=1, then="close"), to="embeddings")
        with pytest.raises(LLMError):
            self.run(keywords, lambda e: e.embed_text("hi"))
        server.say(Fault(then="stall"), to="embeddings")
        with pytest.raises(LLMTimeoutError):
            self.run(keywords | {"timeouts": Timeouts(total=0.2)}, lambda e: e.embed_text("hi"))

    def test_a_dead_server_is_told(self, keywords: dict[str, Any]) -> None:
        dead = keywords | {"base_url": "http://127.0.0.1:9", "timeouts": Timeouts(connect=1)}

        async def test(embeddings: BaseEmbeddings) -> None:
            with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
                await embeddings.embed_text("hi")
            assert not await embeddings.check_connection()
            assert "cannot be reached" in str((await embeddings.diagnose()).reason)

        self.run(dead, test)

    # -- what is known ------------------------------------------------------------------------------

    def test_the_model_is_found(self, keywords: dict[str, Any]) -> None:
        async def test(embeddings: BaseEmbeddings) -> None:
            assert await embeddings.check_connection()
            assert (await embeddings.diagnose()).reason is None

        self.run(keywords, test)
        wrong = keywords | {"api_key": "not-the-right-key"}
        assert not self.run(wrong, lambda e: e.check_connection())
        with pytest.raises(AuthenticationError) as caught:
            self.run(wrong, lambda e: e.embed_text("hi"))
        assert wrong["api_key"] not in repr(caught.value)

    def test_usage_is_the_servers_and_else_estimated(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        heard: list[Event] = []
        server.say(FakeAnswer(usage=Usage(input_tokens=42)), FakeAnswer(), to="embeddings")
        told = keywords | {"observers": [heard.append]}
        self.run(told, lambda e: e.embed_text("hello, world"))
        (done,) = [event for event in heard if isinstance(event, RequestFinished)]
        assert done.operation == "embeddings"
        assert done.response.usage == Usage(input_tokens=42, output_tokens=0)
        assert not done.response.usage_estimated
        assert done.response.provider == self.provider.name
        assert len(done.response.attempts) == 1

    def test_one_provider_serves_several_loops_and_processes(
        self, server: FakeServer, keywords: dict[str, Any]
    ) -> None:
        embeddings = self.provider(**keywords)
        first, second = (asyncio.run(embeddings.embed_text("hi")) for _ in range(2))
        assert first == second
        if "api_key" in server.connection():
            with pytest.raises(ConfigurationError, match="cannot be pickled"):
                pickle.dumps(embeddings)
            assert server.api_key not in repr(embeddings)
