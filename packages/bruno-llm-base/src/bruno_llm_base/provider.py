"""One language model behind bruno-core's `LLMInterface`: what all providers share."""

import asyncio
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from bruno_core.interfaces import LLMInterface
from typing_extensions import Unpack

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.call import result_of, text_stream
from bruno_llm_base.client import Client, Policies
from bruno_llm_base.context import ContextPolicy, Window, fit
from bruno_llm_base.context.windows import surely_fits
from bruno_llm_base.counting import TokenCounter, tool_list
from bruno_llm_base.events import (
    CountEstimated,
    FinishReasonUnknown,
    OptionDropped,
    PromptCut,
    Tell,
)
from bruno_llm_base.exceptions import (
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
from bruno_llm_base.lenient import is_known
from bruno_llm_base.messages import Conversation, Messages, question
from bruno_llm_base.options import PORTABLE, ChatSettings
from bruno_llm_base.policies import policy
from bruno_llm_base.request import Request
from bruno_llm_base.request_options import RequestOptions
from bruno_llm_base.response import Json, ModelResponse
from bruno_llm_base.stream import TextStream, answer_text
from bruno_llm_base.tokens import TokenCount, estimate_conversation, estimate_tokens
from bruno_llm_base.values import is_whole, shown

__all__ = ["BaseProvider", "ProviderKeywords"]

_CANNOT_TELL = (
    InvalidResponseError,
    LLMTimeoutError,
    QuotaExceededError,
    RateLimitError,
    ServiceUnavailableError,
)
_NO_SUCH_ENDPOINT = (404, 405)


class ProviderKeywords(ChatSettings, Policies, total=False):
    """What every provider of chat is built with, beside its model.

    Attributes:
        context: What is done about a conversation that does not fit the context window.
    """

    context: ContextPolicy | None


_NO_OPTIONS = frozenset(ProviderKeywords.__annotations__) - {*PORTABLE, "options"}


class BaseProvider(Client, LLMInterface):
    """Everything the providers share; a provider's adapter says how its API spells things."""

    adapter_type: ClassVar[type[ChatAdapter]]
    capabilities: ClassVar[frozenset[str]] = frozenset({"chat", "streaming"})
    settings_type: ClassVar[Any] = ChatSettings
    _adapter: ChatAdapter

    def __init__(self, model: str | None = None, **keywords: Unpack[ProviderKeywords]) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; the provider's `default_model` if None.
            **keywords: The options of `CallOptions`, and those of `ChatSettings`, `Policies` and
                `ProviderKeywords`.

        Raises:
            ConfigurationError: A keyword is unknown, a value is wrong, or the key is missing.
        """
        self._context = policy(ContextPolicy, "context", keywords.get("context"))
        super().__init__(model, keywords, self._context.window)
        self._system_prompt: str | None = self._settings.get("system_prompt")
        self._options = RequestOptions(self._settings, self._adapter, _NO_OPTIONS)
        self._counter = TokenCounter(self._adapter)
        self._unknown_words: set[str] = set()

    @property
    def adapter(self) -> ChatAdapter:
        """How the API spells things."""
        return self._adapter

    @property
    def context(self) -> ContextPolicy:
        """What is done about a conversation that does not fit."""
        return self._context

    # -- asking -------------------------------------------------------------------------------------

    async def generate(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **options: Any,
    ) -> str:
        """Return the model's answer, which is never empty.

        Args:
            messages: The conversation, or one question.
            temperature: Sampling temperature, 0 to 2.
            max_tokens: The most tokens to generate, reasoning included.
            prompt: One question, instead of `messages`.
            **options: `model`, the other options of `CallOptions`, and the vendor's own request
                fields.

        Raises:
            ContentBlockedError: The model refused, or a filter took the answer.
            OutputLimitError: The output budget was spent before any text.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        options |= {"temperature": temperature, "max_tokens": max_tokens, "prompt": prompt}
        return answer_text(await self.request(messages, **options), self.name)

    def stream(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **options: Any,
    ) -> TextStream:
        """Return the model's answer piece by piece.

        The arguments are those of `generate`.

        Raises:
            InvalidRequestError: An argument is wrong. All other errors are raised while reading.
        """
        options |= {"temperature": temperature, "max_tokens": max_tokens}
        return text_stream(
            self._endpoint, self._request(question(messages, prompt), options, stream=True)
        )

    async def request(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **options: Any,
    ) -> ModelResponse:
        """Return the model's answer with all that is known about it, whatever its finish reason.

        The arguments are those of `generate`.

        Raises:
            LLMError: There is no answer; see `bruno_llm_base.exceptions`.
        """
        options |= {"temperature": temperature, "max_tokens": max_tokens}
        return await result_of(
            self._endpoint, self._request(question(messages, prompt), options, stream=False)
        )

    def get_model_info(self) -> dict[str, Any]:
        """Describe the provider: plain JSON, no secrets, no network."""
        return {
            "provider": self.name,
            "model": self._model,
            "base_url": self._access.address,
            "capabilities": sorted(self.capabilities),
            **deepcopy(self._options.defaults),
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it.

        Raises:
            InvalidRequestError: It is not text.
        """
        if not isinstance(prompt, str | None):
            raise InvalidRequestError(f"the system prompt is {shown(prompt)}: give a text")
        self._system_prompt = prompt or None

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        return self._system_prompt

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (kind, keywords) = super().__reduce__()
        own = {"system_prompt": self._system_prompt, "context": self._context}
        return rebuild, (kind, keywords | own)

    # -- a request ----------------------------------------------------------------------------------

    def _request(self, messages: Messages, call: Json, *, stream: bool) -> Request[ModelResponse]:
        """Return what to send: conversation, options, body."""
        adapter, spending = self._adapter, self._endpoint.spending
        conversation = Conversation.of(messages, self._system_prompt)
        model = self._named(call.pop("model", None))
        options, dropped = self._options.options(model, call)
        body = self._options.recall(model, self._body(conversation, options, stream=stream))
        request = Request(
            operation="chat",
            path=(stream and adapter.stream_path) or adapter.chat_path,
            parse=adapter.parse_event if stream else adapter.parse,
            stream=stream,
            parse_whole=adapter.parse if stream else None,
            think_tags=self._settings.get("think_tags", False),
            body=body,
            model=model,
            tokens=self._tokens(conversation, call),
            conversation=conversation,
            labels=None if spending is None else spending.tracker.labels(),
            unpriced_field=adapter.unpriced_field(body),
            amend=self._amend,
            advise=self._advise_on_model,
            learn=self._learn,
        )
        for name in dropped:
            self._endpoint.tell(request, OptionDropped, option=name)
        window, max_output = self._window(request), adapter.max_output(body)
        if not surely_fits(conversation, options, window, self._context, max_output):
            request.fit = partial(self._fit, options)
        return request

    def _body(self, conversation: Conversation, options: Json, *, stream: bool) -> Json:
        body = self._adapter.build(conversation, options, stream=stream)
        window = self._context.window
        return body if window is None else self._adapter.with_window(body, window)

    def _window(self, request: Request[ModelResponse]) -> Window | None:
        tokens = self._adapter.requested_window(request.body or {})
        if tokens is not None:
            return Window(tokens=tokens, source="the request")
        return self._windows.of(str(request.model))

    async def _fit(
        self, options: Json, request: Request[ModelResponse], tell: Tell
    ) -> Request[ModelResponse]:
        """Return *request* as it fits the context window; see `ContextPolicy`."""
        model, conversation = str(request.model), request.conversation
        window = self._window(request) or await self._listed_window(model)
        if window is None or conversation is None:
            return request
        max_output = self._adapter.max_output(request.body or {})
        if surely_fits(conversation, options, window, self._context, max_output):
            return request  # a list of prices knows a window that is large enough
        fits = await fit(
            conversation,
            self._context,
            window,
            max_output=max_output,
            extra=estimate_tokens(tool_list(options)),
            count=lambda part: self._counter.count_conversation(part, model),
            tell=tell,
        )
        if fits is conversation:
            return request
        body = self._body(fits, options, stream=request.stream)
        return replace(
            request,
            body=self._options.recall(model, body),
            tokens=_recounted(request.tokens, conversation, fits),
            conversation=fits,
        )

    def _tokens(self, conversation: Conversation, call: Json) -> int:
        """Return about how many tokens a request takes, for a limit that counts them.

        Output counts as far as it is limited; what comes beyond is counted when it is known.
        """
        limit = self._endpoint.rate_limit
        if limit is None or not limit.tokens_per_minute:
            return 0
        most = call.get("max_tokens") or self._options.defaults.get("max_tokens") or 0
        return estimate_conversation(conversation) + int(most)

    def _amend(self, request: Request[Any], error: LLMError) -> Json | None:
        """Return the body without what the API has just refused, or None if nothing can be done."""
        amended = self._options.amend(request, error)
        if amended is None:
            return None
        body, dropped = amended
        if dropped is not None:
            self._endpoint.tell(request, OptionDropped, option=dropped)
        return body

    def _learn(self, request: Request[ModelResponse], response: ModelResponse) -> None:
        """Learn from an answer how the server counts, and tell once of a word that we do not know."""
        word = response.finish_detail
        if (
            word is not None
            and response.finish_reason in ("stop", "tool_call")
            and word not in self._unknown_words
            and not is_known(word, self._adapter.finish_reasons)
        ):
            self._unknown_words.add(word)
            self._endpoint.tell(request, FinishReasonUnknown, word=word)
        conversation, read = request.conversation, response.usage.input_tokens
        if conversation is None or read is None or response.usage_estimated:
            return
        sent = self._counter.learn(conversation, request.body or {}, str(request.model), read)
        if sent is not None:
            self._endpoint.tell(request, PromptCut, tokens=sent.tokens, read=read)

    # -- counting -----------------------------------------------------------------------------------

    async def count_tokens(
        self, messages: Messages | None = None, *, prompt: str | None = None, **options: Any
    ) -> TokenCount:
        """Count the input tokens of a request, system prompt and tools included.

        The vendor is asked where it offers that. Where it cannot be asked, the count is estimated,
        which observers and the log are told.

        Args:
            messages: The conversation, or one question.
            prompt: One question, instead of `messages`.
            **options: The options that the request would have; see `generate`.

        Raises:
            InvalidRequestError: An argument is wrong, or the vendor refuses the request.
            LLMError: The vendor refuses the key or the model.
        """
        said = question(messages, prompt)
        request = self._request(said, options, stream=False)
        conversation = Conversation.of(said, self._system_prompt)
        counted = await self._count_there(conversation, request)
        if counted is not None:
            return counted
        model = str(request.model)
        count = partial(self._counter.count_request, conversation, request.body or {}, model)
        takes_long = self._counter.takes_long(conversation, model)
        return await asyncio.to_thread(count) if takes_long else count()

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text* for the provider's model, without asking a server.

        Never raises: what is not text is counted as it is printed, None as nothing. `count_text`
        says how far to trust the number.
        """
        return self.count_text(_printed(text)).tokens

    def count_text(self, text: str, model: str | None = None) -> TokenCount:
        """Count the tokens of *text*, without asking a server.

        Args:
            text: The text alone, with nothing around it.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: It is not text, or the model has no name.
        """
        return self._counter.count_text(text, self._named(model))

    def count_conversation(
        self, conversation: Conversation, model: str | None = None
    ) -> TokenCount:
        """Count the tokens of *conversation*, without asking a server.

        Args:
            conversation: What has been said.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: The model has no name.
        """
        return self._counter.count_conversation(conversation, self._named(model))

    async def _count_there(
        self, conversation: Conversation, request: Request[ModelResponse]
    ) -> TokenCount | None:
        """Return the server's count of *request*, or None where it has none."""
        adapter = self._adapter
        body = adapter.build_count(conversation, request.body or {})
        if adapter.count_path is None or body is None:
            return None
        counting = Request(
            operation="count_tokens",
            path=adapter.count_path,
            body=body,
            model=request.model,
            parse=self._parse_count,
            amend=self._amend,
            advise=self._advise_on_model,
        )
        try:
            tokens = await result_of(self._endpoint, counting)
        except LLMError as error:
            if not _may_estimate(error):
                raise
            self._endpoint.tell(counting, CountEstimated, error=error)
            return None
        await self._learn_window(str(request.model))
        return TokenCount(
            tokens=tokens,
            exact=adapter.count_error == 0,
            source=f"{self.name}, {adapter.count_path}",
            error=adapter.count_error,
        )

    def _parse_count(self, data: Json) -> int:
        tokens = self._adapter.parse_count(data)
        if not is_whole(tokens, least=0):
            raise TypeError("a number of tokens")
        return tokens


def _printed(value: object) -> str:
    """Return *value* as it is printed, None as nothing, and nothing where it cannot be printed."""
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else str(value)
    except Exception:  # noqa: BLE001 - bruno-core's get_token_count never raises
        return ""


def _recounted(tokens: int, before: Conversation, after: Conversation) -> int:
    """Return what a request of about *tokens* takes with another conversation; 0 stays 0."""
    if not tokens:
        return 0
    return tokens - estimate_conversation(before) + estimate_conversation(after)


def _may_estimate(error: LLMError) -> bool:
    """Whether a guess will do for a count that ended with *error*.

    It will where the server cannot be asked, is too busy or knows no such endpoint; not where it
    refuses the key, the model or the request, which it would refuse the request itself for.
    """
    if isinstance(error, InvalidRequestError) and not isinstance(error, ModelNotFoundError):
        return error.status_code in _NO_SUCH_ENDPOINT
    return isinstance(error, _CANNOT_TELL)
