"""One language model behind bruno-core's `LLMInterface`: what all providers share."""

import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Never, Self

from bruno_core.interfaces import LLMInterface
from pydantic import SecretStr

from bruno_llm_base.config import Settings, check, public_url, refuse
from bruno_llm_base.conversation import Conversation, Messages
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
from bruno_llm_base.failures import answer_text
from bruno_llm_base.fitting import Fitting
from bruno_llm_base.observe import Observer, OptionDropped, log_event, tell
from bruno_llm_base.options import closest
from bruno_llm_base.pipeline import Pipeline
from bruno_llm_base.policies import Retry, Timeouts, policy
from bruno_llm_base.stream import TextStream
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_base.transport import PerLoop
from bruno_llm_base.types import Json, ModelResponse

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
            "options": options or {},
        }
        self._settings = check(Settings, given, ConfigurationError)
        self._timeouts = policy(Timeouts, "timeouts", timeouts, total=timeout)
        attempts = max_retries + 1 if isinstance(max_retries, int) else max_retries
        self._retry = policy(Retry, "retry", retry, attempts=attempts)
        self._client = client
        self._observers = tuple(observers)
        self._model = self._settings.model or self.default_model
        self._base_url = self._settings.base_url or self._base_url_from_env()
        self._api_key, self._api_key_source = self._find_key()
        self._system_prompt = self._settings.system_prompt
        self._fitting = Fitting(self, self._settings, self._warn)
        self._transports = PerLoop(self.open_transport, needs=self.sdk)
        self._chat = self._pipeline(self._retry, self._timeouts, self._explain)

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

        The arguments and errors are those of `generate`; errors are raised while reading.
        """
        kwargs |= {"temperature": temperature, "max_tokens": max_tokens}
        request = self._request(_asked(messages, prompt), kwargs, stream=True)
        return self._chat.stream(request, self.parse_event)

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
        return await self._chat.call(request, self.parse_response)

    def get_token_count(self, text: str) -> int:
        """Estimate the tokens of *text*, without asking anyone."""
        return estimate_tokens(text)

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
            "base_url": public_url(self._base_url or self.default_base_url),
            "capabilities": sorted(self.capabilities),
            **self._fitting.defaults,
        }

    def set_system_prompt(self, prompt: str) -> None:
        """Begin every conversation with *prompt*; an empty one removes it."""
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
    def key(self) -> str | None:
        """The API key in clear: for `open_transport` only."""
        return None if self._api_key is None else self._api_key.get_secret_value()

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
        where = f", base_url={public_url(self._base_url)!r}" if self._base_url else ""
        return f"{type(self).__name__}(model={self._model!r}{where})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings and where the key is, never a key or a client."""
        if self._settings.api_key is not None or self._client is not None:
            raise ConfigurationError(
                f"a {type(self).__name__} with a literal api_key or a client cannot be pickled:"
                f" set {' or '.join(self.api_key_env) or 'base_url'} in the worker's environment"
            )
        keywords = self._settings.model_dump(exclude={"api_key"}) | {
            "system_prompt": self._system_prompt,
            "retry": self._retry,
            "timeouts": self._timeouts,
            "observers": self._observers,
        }
        return _rebuild, (type(self), keywords)

    # -- inside -----------------------------------------------------------------------------------

    def _request(self, messages: Messages, call: Json, *, stream: bool) -> Request:
        """Return what to send: conversation, options, body."""
        conversation = Conversation.of(messages, self._system_prompt)
        model = call.pop("model", None) or self._model
        if not isinstance(model, str):
            raise InvalidRequestError(f"model is {model!r}: give its name")
        options = self._fitting.options(model, call)
        body = self.build_request(conversation, options, stream=stream)
        return Request(
            operation="stream" if stream else "chat",
            path=(stream and self.stream_path) or self.chat_path,
            body=self._fitting.recall(model, body),
            model=model,
        )

    def _warn(self, model: str, option: str) -> None:
        event = OptionDropped(provider=self.name, model=model, operation="chat", option=option)
        tell((log_event, *self._observers), event)

    def _pipeline(
        self,
        retry: Retry,
        timeouts: Timeouts,
        explain: Callable[[LLMError], Awaitable[None]],
    ) -> Pipeline:
        return Pipeline(
            provider=self.name,
            transport=self._transports.get,
            retry=retry,
            timeouts=timeouts,
            read_error=self.read_error,
            amend=self._fitting.amend,
            explain=explain,
            observers=(log_event, *self._observers),
        )

    async def _list_models(self, retry: Retry, timeouts: Timeouts) -> list[str]:
        request = Request(
            operation="models", method="GET", path=self.models_path, model=self._model
        )
        pipeline = self._pipeline(retry, timeouts, self._advise)
        return await pipeline.call(request, self.parse_models)

    async def _explain(self, error: LLMError) -> None:
        """Name the models that are closest to an unknown one, and what may be done."""
        if isinstance(error, ModelNotFoundError) and error.model is not None:
            await self._name_closest(error, error.model)
        await self._advise(error)

    async def _advise(self, error: LLMError) -> None:
        if isinstance(error, AuthenticationError) and self._api_key_source:
            error.message += f"; the key came from {self._api_key_source}"
        elif isinstance(error, ServiceUnavailableError) and error.status_code is None:
            error.message += (
                f"; the address is {public_url(self._base_url or self.default_base_url)}"
            )
        if advice := self.advise(error):
            error.message += f"; {advice}"

    async def _name_closest(self, error: LLMError, model: str) -> None:
        try:
            offered = await self._list_models(Retry(attempts=1), Timeouts(total=_EXPLAIN_SECONDS))
        except LLMError:
            return  # the original error is what matters
        if offered:
            error.message += f"; closest on offer: {', '.join(closest(model, offered))}"

    def _base_url_from_env(self) -> str | None:
        return (self.base_url_env and os.environ.get(self.base_url_env)) or None

    def _find_key(self) -> tuple[SecretStr | None, str | None]:
        """Return the key and where it was found."""
        if self._settings.api_key is not None:
            return self._settings.api_key, "api_key"
        for variable in self.api_key_env:
            if value := os.environ.get(variable, "").strip():
                return SecretStr(value), variable
        if self.api_key_env and self._client is None and self._base_url is None:
            raise ConfigurationError(
                f"{self.name} needs an API key: set {self.api_key_env[0]} or pass api_key"
            )
        return None, None


def keywords_of(kind: type) -> set[str]:
    """Return what a provider class can be built with."""
    names = {
        name
        for base in kind.__mro__
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(vars(base)["__init__"]).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    return names - {"self"}


def _asked(messages: Messages | None, prompt: str | None) -> Messages:
    if (messages is None) == (prompt is None):
        raise InvalidRequestError("give either messages or prompt")
    return messages if messages is not None else prompt or ""


def _rebuild(kind: type[BaseProvider], keywords: Json) -> BaseProvider:
    return kind(**keywords)
