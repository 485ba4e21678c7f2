"""A provider that answers what a test tells it to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from bruno_llm_base.access import Access
from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.error_mapping import ErrorFacts
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.media_rules import MediaRules
from bruno_llm_base.messages import Conversation
from bruno_llm_base.parts import Json, Media
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.response import ModelResponse, TokenCount
from bruno_llm_base.tools import Tool
from bruno_llm_base.transport import Transport
from bruno_llm_base.values import is_seconds, shown

from bruno_llm_testing.mock_replies import MockReply, Script, words
from bruno_llm_testing.mock_transport import (
    MODELS,
    Call,
    MemoryTransport,
    read_answer,
    write_conversation,
)

_ANY_MEDIA = ("application/*", "audio/*", "image/*", "text/*", "video/*")


class MockAdapter(ChatAdapter):
    """How a mock's memory spells things; a token is a word."""

    __slots__ = ()

    chat_path = "/chat"
    models_path = MODELS
    reserved_fields = frozenset({"conversation", "model", "stream"})
    media = MediaRules(
        types=_ANY_MEDIA, url_types=_ANY_MEDIA, ids=True, in_results=True, in_answers=True
    )

    def build(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        return {"conversation": write_conversation(conversation), **options, "stream": stream}

    def build_tools(
        self,
        tools: Sequence[Tool | Json],
        *,
        choice: str | None,
        parallel: bool | None,
        model: str,
    ) -> Json:
        declared = [tool if isinstance(tool, dict) else _declared(tool) for tool in tools]
        fields = {"tools": declared, "tool_choice": choice, "parallel_tool_calls": parallel}
        return {name: value for name, value in fields.items() if value not in (None, [])}

    def parse(self, data: Json) -> ModelResponse:
        return read_answer(data)

    def parse_event(self, data: Json) -> ModelResponse:
        return read_answer(data)

    def parse_models(self, data: Json) -> list[str]:
        return list(data["models"])

    wraps_output = False

    def build_reasoning(
        self, wanted: str | int, model: str, max_tokens: int | None
    ) -> tuple[Json, str | int]:
        return {"reasoning": wanted}, wanted

    def build_output(self, schema: Json, model: str) -> Json:
        return {"output": schema}

    def media_tokens(self, media: Media, model: str) -> int:
        return 0  # it has no words

    def text_tokens(self, text: str, model: str) -> TokenCount:
        return TokenCount(tokens=_count(text), exact=True, source="mock, words")

    def conversation_tokens(self, conversation: Conversation, model: str) -> TokenCount:
        return TokenCount(tokens=_count(conversation), exact=True, source="mock, words")

    def read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        return ErrorFacts()


class MockLLM(BaseProvider):
    """A provider for tests, which talks to no server.

        llm = MockLLM(["first reply", "second"])

    Only the wire is replaced: what is sent is checked, and answers, errors, retries, limits, context
    windows, costs and observers are treated, as with every other provider.

    Each reply answers one request, once; a request beyond the last one is a `NoReplyError`. A
    request is not sent again after an error unless `retry` is given, and then each attempt takes a
    reply. A token is a word, so counts and usage are exact. Answers cost nothing, unless a
    `CostTracker(prices=...)` has a price for the model.

    Attributes:
        calls: All requests that would have reached a server, in order.
    """

    adapter_type = MockAdapter
    name = "mock"
    default_model = "mock-model"
    default_base_url = "http://mock.invalid"
    needs_key = False
    sdk = ""
    capabilities = frozenset({"chat", "streaming", "tools", "reasoning", "mock"})
    free = "a mock's answers cost nothing"

    def __init__(
        self,
        replies: MockReply | Sequence[MockReply] | Mapping[str, MockReply] | None = None,
        *,
        delay: float = 0.0,
        models: Sequence[str] | None = None,
        **keywords: Any,
    ) -> None:
        """Set up a mock.

        Args:
            replies: A list of replies, each said once, in order; or a single reply, said to every
                request; or a mapping of patterns (of `re`, in any case) to replies, each said
                whenever its pattern is found in what was said last, the first one that fits. None
                says "Hello from the mock."
            delay: How many seconds each piece of an answer takes.
            models: The models on offer; its own alone if None.
            **keywords: What every provider takes; see `BaseProvider`. Without `retry` nothing is
                sent again.

        Raises:
            ConfigurationError: A value is wrong.
        """
        if keywords.get("retry") is None and keywords.get("max_retries") is None:
            keywords["retry"] = Retry(attempts=1)
        super().__init__(**keywords)
        if not is_seconds(delay):
            raise ConfigurationError(f"delay is {shown(delay)}: give seconds, 0 or more")
        if isinstance(models, str) or not all(isinstance(name, str) for name in models or ()):
            raise ConfigurationError(f"models is {shown(models)}: give a list of names")
        self.calls: list[Call] = []
        self._settings |= {"replies": replies, "delay": delay, "models": models}
        self._script = Script(replies)
        open_memory = partial(
            MemoryTransport,
            self._script,
            self.calls,
            models=(self.model,) if models is None else tuple(models),
            delay=delay,
            count=_count,
        )
        self._endpoint = replace(self._endpoint, open_transport=open_memory)

    def say(self, *replies: MockReply) -> None:
        """Say *replies* next, each once, after what is still to be said.

        Raises:
            ConfigurationError: One is not a reply.
        """
        self._script.say(replies)

    @staticmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Do nothing: each mock opens its own memory."""
        raise NotImplementedError


def _declared(tool: Tool) -> Json:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _count(said: str | Conversation) -> int:
    """Return how many words *said* has."""
    if isinstance(said, str):
        return len(words(said))
    call = Call(conversation=said, model="", options={}, streamed=False)
    return sum(len(words(text)) for _, text in call.messages)
