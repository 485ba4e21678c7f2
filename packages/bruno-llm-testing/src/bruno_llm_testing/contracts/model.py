"""What holds for every provider with a model behind it, real or not."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest
from bruno_core.interfaces import LLMInterface
from bruno_core.models import Message, MessageRole
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidRequestError,
    LLMError,
    ModelNotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.policies import Retry
from bruno_llm_base.provider import BaseProvider

from bruno_llm_testing.script import ErrorKind

EVERY_ERROR: list[tuple[ErrorKind, type[LLMError]]] = [
    ("authentication", AuthenticationError),
    ("permission", PermissionDeniedError),
    ("quota", QuotaExceededError),
    ("rate_limit", RateLimitError),
    ("overloaded", ServiceUnavailableError),
    ("server_error", ServiceUnavailableError),
    ("model_not_found", ModelNotFoundError),
    ("context_length", ContextLengthExceededError),
    ("invalid_request", InvalidRequestError),
]
"""What a server may refuse, and what it is read as."""

HELLO = [Message(role=MessageRole.USER, content="Say hello.")]


class ModelContract:
    """What holds for every provider with a model behind it.

    Attributes:
        provider: The class under test.
        lists_models: Whether the API lists its models.
        short: Options that keep answers short; a model that reasons needs room for that as well.
    """

    provider: type[BaseProvider]
    lists_models: bool = True
    short: ClassVar[dict[str, Any]] = {"max_tokens": 24}

    @pytest.fixture
    def keywords(self) -> dict[str, Any]:
        """Return what points the provider at its model; override it."""
        raise NotImplementedError

    def make(self, keywords: dict[str, Any], **more: Any) -> BaseProvider:
        """Return a provider; a real server may drop an idle connection, so it tries again."""
        return self.provider(**{"retry": Retry(wait_initial=0)} | keywords | more)

    def run(
        self, llm: BaseProvider, test: Callable[[BaseProvider], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Return what *test* returns, run in an event loop of its own."""

        async def inside() -> Any:
            async with llm:
                return await test(llm)

        return asyncio.run(inside())

    def test_it_is_an_llm_of_bruno_core(self, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords)
        assert isinstance(llm, LLMInterface)
        assert llm.get_system_prompt() is None
        llm.set_system_prompt("Be brief.")
        assert llm.get_system_prompt() == "Be brief."
        assert json.dumps(llm.get_model_info())

    def test_tokens_are_counted(self, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords)
        assert 0 < llm.get_token_count("Hello, world") < llm.get_token_count("Hello, world" * 9)
        assert llm.get_token_count("") == 0
        odd: list[Any] = [None, 5, b"x", [], object(), "\ud800", "\0", " " * 300_000]
        assert all(llm.get_token_count(value) >= 0 for value in odd)
        question = "Why is the sky blue? " * 20
        few = self.run(llm, lambda llm: llm.count_tokens(HELLO))
        many = self.run(llm, lambda llm: llm.count_tokens(prompt=question))
        assert 0 < few.tokens < many.tokens
        assert few.source
        assert few.exact == (few.error == 0)

    def test_generate_returns_text(self, keywords: dict[str, Any]) -> None:
        answer = self.run(self.make(keywords), lambda llm: llm.generate(HELLO, **self.short))
        assert isinstance(answer, str)
        assert answer.strip()

    def test_request_reports_usage_and_finish_reason(self, keywords: dict[str, Any]) -> None:
        response = self.run(self.make(keywords), lambda llm: llm.request(HELLO, **self.short))
        assert response.text.strip()
        assert response.usage.input_tokens > 0
        assert response.usage.output_tokens > 0
        assert response.finish_reason in ("stop", "length")
        assert response.model
        assert response.attempts[-1].error is None

    def test_the_pieces_of_a_stream_sum_to_the_answer(self, keywords: dict[str, Any]) -> None:
        async def test(llm: BaseProvider) -> None:
            stream = llm.stream(HELLO, **self.short)
            pieces = [piece async for piece in stream]
            assert len(pieces) > 1
            assert "".join(pieces) == stream.response.text
            assert all(pieces)
            assert stream.response.usage.output_tokens
            assert stream.response.finish_reason in ("stop", "length")

        self.run(self.make(keywords), test)

    def test_a_stream_may_be_awaited_or_entered(self, keywords: dict[str, Any]) -> None:
        async def test(llm: BaseProvider) -> None:
            stream = await llm.stream(HELLO, **self.short)
            assert "".join([piece async for piece in stream]) == stream.response.text
            async with llm.stream(HELLO, **self.short) as stream:
                assert await anext(stream)
            with pytest.raises(StreamError, match="not complete"):
                _ = stream.response

        self.run(self.make(keywords), test)

    def test_the_model_is_found(self, keywords: dict[str, Any]) -> None:
        async def test(llm: BaseProvider) -> None:
            assert await llm.check_connection()
            if self.lists_models:
                assert await llm.list_models()
            assert (await llm.diagnose()).reason is None

        self.run(self.make(keywords), test)

    def test_one_provider_serves_several_loops(self, keywords: dict[str, Any]) -> None:
        llm = self.make(keywords)
        for _ in range(2):
            assert asyncio.run(llm.generate(HELLO, **self.short))
