"""What every provider is built with, and how its requests are sent."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Never, Self

from pydantic import SecretStr

from bruno_llm_base.access import Access, find_access
from bruno_llm_base.config import Settings, check, keywords_of, refuse
from bruno_llm_base.counting import (
    Calibrations,
)
from bruno_llm_base.dialect import Dialect
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LLMError,
    ServiceUnavailableError,
)
from bruno_llm_base.exchange import Request
from bruno_llm_base.failures import ErrorFacts, server_wait
from bruno_llm_base.fitting import Fitting
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.observe import (
    Observer,
    OptionDropped,
    checked_observers,
    log_event,
    tell,
)
from bruno_llm_base.pipeline import Pipeline
from bruno_llm_base.policies import ContextPolicy, Retry, Timeouts, policy
from bruno_llm_base.pricing import Pricing
from bruno_llm_base.retry import RetryBudget
from bruno_llm_base.transport import MAX_CONNECTIONS, PerLoop
from bruno_llm_base.types import Json, ModelResponse
from bruno_llm_base.values import is_json, is_whole, shown
from bruno_llm_base.windows import Windows

if TYPE_CHECKING:
    from bruno_llm_base.cost.account import Account
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.tracker import CostTracker

__all__ = ["Core"]


class Core(Dialect):
    """A provider's settings and connections."""

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
        context: ContextPolicy | None = None,
        cost: "CostTracker | None" = None,
        budget: "Budget | None" = None,
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
            context: What is done about a conversation that does not fit the context window.
            cost: Where costs are booked; providers that are given the same one share it.
            budget: The most that may be spent, as `cost` has booked it.
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
        self._context = policy(ContextPolicy, "context", context)
        self._windows = Windows(self._context.window, firm=self.firm_windows)
        self._connections = RateLimit(max_concurrent=MAX_CONNECTIONS)
        self._access = find_access(self, self._settings, client)
        self._observers = checked_observers(observers)
        self._model = self._settings.model or self.default_model
        self._system_prompt = self._settings.system_prompt
        self._fitting = Fitting(self._settings, self.structure)
        self._calibrations = Calibrations()
        self._transports = PerLoop(needs=self.sdk)
        self._cost, self._budget = cost, budget
        self._account, self._pricing = _money(self, cost, budget, self._observers)

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

    @property
    def context(self) -> ContextPolicy:
        """What is done about a conversation that does not fit."""
        return self._context

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
            "context": self._context,
            "cost": self._cost,
            "budget": self._budget,
            "observers": self._observers,
        }
        return _rebuild, (type(self), keywords)

    def _named(self, model: str | None) -> str:
        """Return *model*, or the provider's own if None."""
        if model is None:
            return self._model
        if not isinstance(model, str) or not model.strip() or not is_json(model):
            raise InvalidRequestError(f"model is {shown(model)}: give its name")
        return model

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

    def _pipeline(
        self,
        retry: Retry,
        timeouts: Timeouts,
        explain: Callable[[LLMError], Awaitable[None]],
        *,
        limits: Sequence[RateLimit] = (),
        account: "Account | None" = None,
        learn: Callable[[Request, ModelResponse], None] | None = None,
    ) -> Pipeline:
        # Made for each request: kept, it would make a cycle, and a dropped provider would keep its
        # connections.
        return Pipeline(
            provider=self.name,
            transport=partial(self._transports.get, self.open_transport),
            retry=retry,
            retry_budget=self._retry_budget,
            limits=(*limits, self._connections),
            read_limits=self.read_limits,
            timeouts=timeouts,
            read_error=self._read_error,
            blot=self._access.blot,
            amend=self._amend,
            explain=explain,
            observers=(log_event, *self._observers),
            account=account,
            pricing=self._pricing,
            most_output=self.most_output,
            learn=learn,
        )

    def _read_error(self, status: int, headers: Mapping[str, str], data: Json) -> ErrorFacts:
        """Read an error, and when the limits that it speaks of are there again."""
        facts = self.read_error(status, headers, data)
        if facts.retry_after is None and status == 429 and server_wait(headers) is None:
            said = self.read_limits(headers)
            return facts if said is None else replace(facts, retry_after=said.wait)
        return facts

    async def _advise(self, error: LLMError) -> None:
        if isinstance(error, AuthenticationError) and self._access.key_source:
            error.message += f"; the key came from {self._access.key_source}"
        elif isinstance(error, ServiceUnavailableError) and error.status_code is None:
            error.message += f"; the address is {self._access.address}"
        if advice := self.advise(error):
            error.message += f"; {advice}"


def _money(
    provider: Dialect,
    cost: "CostTracker | None",
    budget: "Budget | None",
    observers: Sequence[Observer],
) -> "tuple[Account | None, Pricing]":
    """Return where costs are booked, if anywhere, and what answers cost."""
    vendor = provider.price_name or provider.name
    if cost is None and budget is None:
        return None, Pricing(provider.name, vendor, provider.free, observers=observers)
    from bruno_llm_base.cost.account import Account, tracker_of  # most providers do without

    tracker = tracker_of(cost, budget)
    pricing = Pricing(provider.name, vendor, provider.free, tracker.prices, observers=observers)
    return Account(tracker, budget, pricing), pricing


def _checked_limit(limit: RateLimit | None) -> RateLimit | None:
    if not isinstance(limit, RateLimit | None):
        raise ConfigurationError(f"rate_limit is {shown(limit)}: give a RateLimit")
    return limit


def _rebuild(kind: type[Core], keywords: Json) -> Core:
    return kind(**keywords)
