"""One language model behind bruno-core's `LLMInterface`: what all providers share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Never, Self

from bruno_core.interfaces import LLMInterface
from pydantic import SecretStr

from bruno_llm_base.access import Access, find_access
from bruno_llm_base.config import Settings, check, keywords_of, refuse
from bruno_llm_base.conversation import Conversation, Messages
from bruno_llm_base.counting import (
    Calibrations,
    is_large,
    may_estimate,
    printed,
    tool_list,
    with_tools,
)
from bruno_llm_base.dialect import Dialect
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LLMError,
    ModelNotFoundError,
    ServiceUnavailableError,
)
from bruno_llm_base.exchange import Request
from bruno_llm_base.failures import ErrorFacts, answer_text, server_wait
from bruno_llm_base.fitting import Fitting
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.observe import (
    CountEstimated,
    Observer,
    OptionDropped,
    checked_observers,
    log_event,
    tell,
)
from bruno_llm_base.options import closest
from bruno_llm_base.pipeline import Pipeline
from bruno_llm_base.policies import Retry, Timeouts, policy
from bruno_llm_base.retry import RetryBudget
from bruno_llm_base.stream import TextStream
from bruno_llm_base.tokens import TokenCount, estimate_conversation
from bruno_llm_base.transport import MAX_CONNECTIONS, PerLoop
from bruno_llm_base.types import Json, ModelResponse, checked
from bruno_llm_base.values import is_json, is_whole, shown

__all__ = ["BaseProvider", "Diagnosis"]

_CHECK_SECONDS = 5.0
_EXPLAIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a provider can be used, and if not, why.

    Attributes:
        ok: Whether it answers, takes the key and, where that can be told, has the model.
        reason: What is wrong, for people; None if nothing is.
        error: The error behind it.
        models: The models on offer.
    """

    ok: bool
    reason: str | None = None
    error: LLMError | None = None
    models: tuple[str, ...] = ()


class BaseProvider(Dialect, LLMInterface):
    """Everything the providers share; a provider says only how its API spells things."""

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        client: Any = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        top_p: float | None = None,
        stop: str | list[str] | None = None,
        seed: int | None = None,
        strict: bool = False,
        options: Json | None = None,
        retry: Retry | None = None,
        rate_limit: RateLimit | None = None,
        timeouts: Timeouts | None = None,
        observers: Sequence[Observer] = (),
        timeout: float | None = None,
        max_retries: int | None = None,
        **unknown: Never,
    ) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; the provider's `default_model` if None.
            api_key: The key; from the environment if None.
            base_url: The API's address; from the environment, or the vendor's own, if None.
            client: A ready client of the vendor's SDK (Ollama: an httpx client), used as it is and
                never closed.
            system_prompt: What every conversation begins with.
            temperature: Sampling temperature, 0 to 2.
            max_tokens: The most tokens to generate, reasoning included.
            top_p: Nucleus sampling, above 0 to 1.
            stop: Texts that end the answer.
            seed: A number that makes sampling repeatable, where the vendor can.
            strict: Raise for an option that the model refuses, instead of leaving it out.
            options: The vendor's own request fields, sent as they are.
            retry: When to send a failed request again.
            rate_limit: How much may be sent in a while; providers that are given the same one
                share it.
            timeouts: How long each step may take.
            observers: Callables that hear of every request.
            timeout: Short for `timeouts=Timeouts(total=timeout)`, in seconds.
            max_retries: Short for `retry=Retry(attempts=max_retries + 1)`.
            unknown: Any other keyword is refused.

        Raises:
            ConfigurationError: A value is wrong, or the key is missing.
        """
        refuse(unknown, keywords_of(type(self)), type(self).__name__)
        given = {
            "model": model,
            "api_key": api_key,
            "base_url": base_url,
            "system_prompt": system_prompt,
            "temperature": temperature,
            "max_tokens": max_tokens,
            "top_p": top_p,
            "stop": stop,
            "seed": seed,
            "strict": strict,
            "options": deepcopy(options) if options else {},
        }
        self._settings = check(Settings, given, ConfigurationError)
        self._timeouts = policy(Timeouts, "timeouts", timeouts, total=timeout)
        if max_retries is not None and not is_whole(max_retries, least=0):
            raise ConfigurationError(
                f"max_retries is {shown(max_retries)}: give a whole number, 0 or more"
            )
        attempts = None if max_retries is None else max_retries + 1
        self._retry = policy(Retry, "retry", retry, attempts=attempts)
        self._retry_budget = RetryBudget()
        self._rate_limit = _checked_limit(rate_limit)
        self._connections = RateLimit(max_concurrent=MAX_CONNECTIONS)
        self._access = find_access(self, self._settings, client)
        self._observers = checked_observers(observers)
        self._model = self._settings.model or self.default_model
        self._system_prompt = self._settings.system_prompt
        self._fitting = Fitting(self._settings, self.structure)
        self._calibrations = Calibrations()
        self._transports = PerLoop(needs=self.sdk)

    # -- bruno-core's interface -------------------------------------------------------------------

    async def generate(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> str:
        """Return the model's answer, which is never empty.

        Args:
            messages: The conversation, or one question.
            temperature: Sampling temperature, 0 to 2.
            max_tokens: The most tokens to generate, reasoning included.
            prompt: One question, instead of `messages`.
            **kwargs: `top_p`, `stop`, `seed`, `model`, and the vendor's own request fields.

        Raises:
            ContentBlockedError: The model refused, or a filter took the answer.
            OutputLimitError: The output budget was spent before any text.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens, "prompt": prompt}
        return answer_text(await self.request(messages, **kwargs), self.name)

    def stream(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Return the model's answer piece by piece.

        The arguments are those of `generate`.

        Raises:
            InvalidRequestError: An argument is wrong. All other errors are raised while reading.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens}
        request = self._request(_asked(messages, prompt), kwargs, stream=True)
        return self._chat().stream(request, self._parse_part)

    async def request(
        self,
        messages: Messages | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        *,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> ModelResponse:
        """Return the model's answer with all that is known about it, whatever its finish reason.

        The arguments are those of `generate`.

        Raises:
            LLMError: There is no answer; see `bruno_llm_base.exceptions`.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens}
        request = self._request(_asked(messages, prompt), kwargs, stream=False)
        return await self._chat().call(request, self._parse_answer)

    def get_token_count(self, text: str) -> int:
        """Count the tokens of *text* for the provider's model, without asking anyone.

        Never raises: what is no text is counted as it is printed, None as nothing. `count_text`
        says how far to trust the number.
        """
        return self.count_text(printed(text)).tokens

    async def check_connection(self) -> bool:
        """Say whether the provider can be used; `diagnose` says why not. Never raises."""
        return (await self.diagnose()).ok

    async def list_models(self) -> list[str]:
        """Return the names of the models on offer.

        Raises:
            LLMError: The API does not tell.
        """
        return await self._list_models(self._retry, self._timeouts)

    def get_model_info(self) -> dict[str, Any]:
        """Describe the provider: plain JSON, no secrets, no network."""
        return {
            "provider": self.name,
            "model": self._model,
            "base_url": self._access.address,
            "capabilities": sorted(self.capabilities),
            **deepcopy(self._fitting.defaults),
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it.

        Raises:
            InvalidRequestError: It is no text.
        """
        if not isinstance(prompt, str | None):
            raise InvalidRequestError(f"the system prompt is {shown(prompt)}: give a text")
        self._system_prompt = prompt or None

    def get_system_prompt(self) -> str | None:
        """Return the system prompt."""
        return self._system_prompt

    # -- beyond it --------------------------------------------------------------------------------

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self._model

    @property
    def access(self) -> Access:
        """Where the API is, and the key: what `open_transport` needs."""
        return self._access

    @property
    def timeouts(self) -> Timeouts:
        """How long each step of an attempt may take."""
        return self._timeouts

    def count_text(self, text: str, model: str | None = None) -> TokenCount:
        """Count the tokens of *text*, without asking anyone.

        Args:
            text: The text alone, with nothing around it.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: It is no text, or the model has no name.
        """
        if not isinstance(text, str):
            raise InvalidRequestError(f"text is {shown(text)}: give a text")
        model = self._named(model)
        return self.text_tokens(text, model) or self._calibrations.of(model).count_text(text)

    def count_conversation(
        self, conversation: Conversation, model: str | None = None
    ) -> TokenCount:
        """Count the tokens of *conversation*, without asking anyone.

        Args:
            conversation: What has been said.
            model: The model that counts; the provider's own if None.

        Raises:
            InvalidRequestError: The model has no name.
        """
        model = self._named(model)
        counted = self.conversation_tokens(conversation, model)
        return counted or self._calibrations.of(model).count_conversation(conversation)

    async def count_tokens(
        self, messages: Messages | None = None, *, prompt: str | None = None, **kwargs: Any
    ) -> TokenCount:
        """Count the input tokens of a request, system prompt and tools included.

        The vendor is asked where it offers that. Where it cannot be asked, the count is estimated,
        which observers and the log are told.

        Args:
            messages: The conversation, or one question.
            prompt: One question, instead of `messages`.
            **kwargs: The options that the request would have; see `generate`.

        Raises:
            InvalidRequestError: An argument is wrong, or the vendor refuses the request.
            LLMError: The vendor refuses the key or the model.
        """
        asked = _asked(messages, prompt)
        request = self._request(asked, kwargs, stream=False)
        conversation = Conversation.of(asked, self._system_prompt)
        counted = await self._count_there(conversation, request)
        return counted or await self._count_here(conversation, request)

    async def diagnose(self) -> Diagnosis:
        """Find out whether the provider can be used, within 5 seconds and without cost."""
        try:
            models = await self._list_models(Retry(attempts=1), Timeouts(total=_CHECK_SECONDS))
        except LLMError as error:
            return Diagnosis(ok=False, reason=str(error), error=error)
        return self.judge(models)

    def judge(self, models: list[str]) -> Diagnosis:
        """Say whether a server that offers *models* will do."""
        return Diagnosis(ok=True, models=tuple(models))

    async def aclose(self) -> None:
        """Close the running loop's connections; they are opened again when needed."""
        await self._transports.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        own = self._access.base_url or self._access.client_address
        where = f", base_url={self._access.address!r}" if own else ""
        return f"{type(self).__name__}(model={self._model!r}{where})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings and where the key is, never a key or a client."""
        login = "@" in (self._settings.base_url or "")
        if self._settings.api_key is not None or self._access.client is not None or login:
            raise ConfigurationError(
                f"a {type(self).__name__} with a literal api_key, a login or a client cannot be"
                f" pickled: set {' or '.join(self.api_key_env)} in the worker's environment"
            )
        keywords = self._settings.model_dump(exclude={"api_key"}) | {
            "system_prompt": self._system_prompt,
            "retry": self._retry,
            "rate_limit": self._rate_limit,
            "timeouts": self._timeouts,
            "observers": self._observers,
        }
        return _rebuild, (type(self), keywords)

    # -- inside -----------------------------------------------------------------------------------

    def _request(self, messages: Messages, call: Json, *, stream: bool) -> Request:
        """Return what to send: conversation, options, body."""
        conversation = Conversation.of(messages, self._system_prompt)
        model = self._named(call.pop("model", None))
        options, dropped = self._fitting.options(self, model, call)
        for name in dropped:
            self._warn(model, name)
        body = self.build_request(conversation, options, stream=stream)
        return Request(
            operation="stream" if stream else "chat",
            path=(stream and self.stream_path) or self.chat_path,
            body=self._fitting.recall(self, model, body),
            model=model,
            tokens=self._tokens(conversation, call),
        )

    def _named(self, model: str | None) -> str:
        """Return *model*, or the provider's own if None."""
        if model is None:
            return self._model
        if not isinstance(model, str) or not model.strip() or not is_json(model):
            raise InvalidRequestError(f"model is {shown(model)}: give its name")
        return model

    def _tokens(self, conversation: Conversation, call: Json) -> int:
        """Return about how many tokens a request takes, for a limit that counts them.

        Output counts as far as it is limited; what comes beyond is counted when it is known.
        """
        if self._rate_limit is None or not self._rate_limit.counts_tokens:
            return 0
        most = call.get("max_tokens") or self._fitting.defaults.get("max_tokens") or 0
        return estimate_conversation(conversation) + int(most)

    def _warn(self, model: str, option: str) -> None:
        event = OptionDropped(provider=self.name, model=model, operation="chat", option=option)
        tell((log_event, *self._observers), event)

    def _amend(self, request: Request, error: LLMError) -> Json | None:
        amended = self._fitting.amend(self, request, error)
        if amended is None:
            return None
        body, dropped = amended
        if dropped is not None:
            self._warn(str(request.model), dropped)
        return body

    def _chat(self) -> Pipeline:
        # Made for each request: kept, it would make a cycle, and a dropped provider would keep its
        # connections.
        limits = [] if self._rate_limit is None else [self._rate_limit]
        return self._pipeline(self._retry, self._timeouts, self._explain, limits)

    def _pipeline(
        self,
        retry: Retry,
        timeouts: Timeouts,
        explain: Callable[[LLMError], Awaitable[None]],
        limits: Sequence[RateLimit] = (),
    ) -> Pipeline:
        return Pipeline(
            provider=self.name,
            transport=partial(self._transports.get, self.open_transport),
            retry=retry,
            budget=self._retry_budget,
            limits=(*limits, self._connections),
            read_limits=self.read_limits,
            timeouts=timeouts,
            read_error=self._read_error,
            blot=self._access.blot,
            amend=self._amend,
            explain=explain,
            observers=(log_event, *self._observers),
        )

    async def _list_models(self, retry: Retry, timeouts: Timeouts) -> list[str]:
        request = Request(
            operation="models", method="GET", path=self.models_path, model=self._model
        )
        pipeline = self._pipeline(retry, timeouts, self._advise)
        return await pipeline.call(request, self._parse_names)

    async def _count_there(self, conversation: Conversation, request: Request) -> TokenCount | None:
        """Return the server's count of *request*, or None where it has none."""
        body = self.build_count(conversation, request.body or {})
        if self.count_path is None or body is None:
            return None
        # vendors limit counting by itself, so it takes no place in the user's rate_limit
        pipeline = self._pipeline(self._retry, self._timeouts, self._explain)
        question = Request(
            operation="count_tokens", path=self.count_path, body=body, model=request.model
        )
        try:
            tokens = await pipeline.call(question, self._parse_tokens)
        except LLMError as error:
            if not may_estimate(error):
                raise
            event = CountEstimated(
                provider=self.name, model=request.model, operation=question.operation, error=error
            )
            tell((log_event, *self._observers), event)
            return None
        exact = self.count_error == 0
        source = f"{self.name}, {self.count_path}"
        return TokenCount(tokens=tokens, exact=exact, source=source, error=self.count_error)

    async def _count_here(self, conversation: Conversation, request: Request) -> TokenCount:
        """Return our own count of *request*, made in a thread where it takes long."""
        model, tools = request.model or self._model, tool_list(request.body or {})

        def count() -> TokenCount:
            counted = self.count_conversation(conversation, model)
            return with_tools(counted, self.count_text(tools, model)) if tools else counted

        if self.counts_at_once(model) and not is_large(conversation):
            return count()
        return await asyncio.to_thread(count)

    def _parse_answer(self, data: Json) -> ModelResponse:
        return checked(self.parse_response(data))

    def _parse_part(self, data: Json) -> ModelResponse:
        return checked(self.parse_event(data))

    def _parse_names(self, data: Json) -> list[str]:
        names = self.parse_models(data)
        if not all(isinstance(name, str) for name in names):
            raise TypeError("the name of a model")
        return names

    def _parse_tokens(self, data: Json) -> int:
        tokens = self.parse_count(data)
        if not is_whole(tokens, least=0):
            raise TypeError("a number of tokens")
        return tokens

    def _read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        """Read an error, and when the limits that it speaks of are there again."""
        facts = self.read_error(status, headers, data)
        if facts.retry_after is None and status == 429 and server_wait(headers) is None:
            said = self.read_limits(headers)
            return facts if said is None else replace(facts, retry_after=said.wait)
        return facts

    async def _explain(self, error: LLMError) -> None:
        """Name the models that are closest to an unknown one, and what may be done."""
        if isinstance(error, ModelNotFoundError) and error.model is not None:
            await self._name_closest(error, error.model)
        await self._advise(error)

    async def _advise(self, error: LLMError) -> None:
        if isinstance(error, AuthenticationError) and self._access.key_source:
            error.message += f"; the key came from {self._access.key_source}"
        elif isinstance(error, ServiceUnavailableError) and error.status_code is None:
            error.message += f"; the address is {self._access.address}"
        if advice := self.advise(error):
            error.message += f"; {advice}"

    async def _name_closest(self, error: LLMError, model: str) -> None:
        try:
            offered = await self._list_models(Retry(attempts=1), Timeouts(total=_EXPLAIN_SECONDS))
        except LLMError:
            return  # the original error is what matters
        if offered:
            error.message += f"; closest on offer: {', '.join(closest(model, offered))}"


def _checked_limit(limit: RateLimit | None) -> RateLimit | None:
    if not isinstance(limit, RateLimit | None):
        raise ConfigurationError(f"rate_limit is {shown(limit)}: give a RateLimit")
    return limit


def _asked(messages: Messages | None, prompt: str | None) -> Messages:
    if (messages is None) == (prompt is None):
        raise InvalidRequestError("give either messages or prompt")
    if messages is not None:
        return messages
    if not isinstance(prompt, str):
        raise InvalidRequestError(f"prompt is {shown(prompt)}: give a text")
    return prompt


def _rebuild(kind: type[BaseProvider], keywords: Json) -> BaseProvider:
    return kind(**keywords)
