"""What a provider of chat is built with, and the options of its requests."""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar, Never

from pydantic import SecretStr

from bruno_llm_base.adapter import ChatAdapter
from bruno_llm_base.attempt import Request
from bruno_llm_base.calibration import Calibrations
from bruno_llm_base.config import Settings, check, keywords_of, refuse
from bruno_llm_base.context import ContextPolicy
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError, LLMError
from bruno_llm_base.fitting import Fitting
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.observe import Observer, OptionDropped
from bruno_llm_base.policies import Retry, Timeouts, policy
from bruno_llm_base.provider.catalogue import Catalogue
from bruno_llm_base.types import Json
from bruno_llm_base.values import is_json, shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.tracker import CostTracker

__all__ = ["Chat"]


class Chat(Catalogue):
    """What a provider of chat is set to."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"chat", "streaming"})
    adapter_type: ClassVar[type[ChatAdapter]]
    _adapter: ChatAdapter

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
        think_tags: bool = False,
        options: Json | None = None,
        retry: Retry | None = None,
        rate_limit: RateLimit | None = None,
        timeouts: Timeouts | None = None,
        context: ContextPolicy | None = None,
        cost: "CostTracker | None" = None,
        budget: "Budget | Sequence[Budget] | None" = None,
        free: bool = False,
        price_name: str | None = None,
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
            think_tags: Move what stands between `<think>` and `</think>` in the text to `reasoning`, for
                servers that leave thoughts there.
            options: The vendor's own request fields, sent as they are.
            retry: When to send a failed request again.
            rate_limit: How much may be sent in a while; providers that are given the same one
                share it.
            timeouts: How long the request, and each step of it, may take.
            context: What is done about a conversation that does not fit the context window.
            cost: Where costs are booked; providers that are given the same one share it.
            budget: The most that may be spent, as `cost` has booked it; a list of budgets keeps to
                each of them.
            free: Whether answers cost nothing, as from a server of your own.
            price_name: What `genai-prices` calls the vendor whose prices hold, such as "openai". By
                default that of the vendor's own address, or of whoever is known to be at
                `base_url`; what answers on this machine is free.
            observers: Callables that hear of every request.
            timeout: Short for `timeouts=Timeouts(call=timeout)`: seconds for a request, with its
                retries and waits.
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
            "think_tags": think_tags,
            "options": deepcopy(options) if options else {},
            "free": free,
            "price_name": price_name,
        }
        settings = check(Settings, given, ConfigurationError)
        self._context = policy(ContextPolicy, "context", context)
        super().__init__(
            settings,
            client=client,
            retry=retry,
            rate_limit=rate_limit,
            timeouts=timeouts,
            cost=cost,
            budget=budget,
            observers=observers,
            timeout=timeout,
            max_retries=max_retries,
            window=self._context.window,
        )
        self._system_prompt = settings.system_prompt
        self._think_tags = settings.think_tags
        self._unknown_words: set[str] = set()
        self._fitting = Fitting(settings, self._adapter)
        self._calibrations = Calibrations()

    @property
    def adapter(self) -> ChatAdapter:
        """How the API spells things."""
        return self._adapter

    @property
    def context(self) -> ContextPolicy:
        """What is done about a conversation that does not fit."""
        return self._context

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, (kind, keywords) = super().__reduce__()
        own = {"system_prompt": self._system_prompt, "context": self._context}
        return rebuild, (kind, keywords | own)

    def _named(self, model: str | None) -> str:
        """Return *model*, or the provider's own if None."""
        if model is None:
            return self._model
        if not isinstance(model, str) or not model.strip() or not is_json(model):
            raise InvalidRequestError(f"model is {shown(model)}: give its name")
        return self.plain_name(model)

    def _amend(self, request: Request[Any], error: LLMError) -> Json | None:
        amended = self._fitting.amend(request, error)
        if amended is None:
            return None
        body, dropped = amended
        if dropped is not None:
            self._endpoint.tell(request, OptionDropped, option=dropped)
        return body
