"""What a provider of embeddings is built with, and what it knows without asking."""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Never

from pydantic import Field, SecretStr

from bruno_llm_base.adapter import EmbeddingAdapter
from bruno_llm_base.config import Basics, WholeNumber, check, keywords_of, refuse
from bruno_llm_base.cost.prices import InputPrices, Prices
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.observe import Observer
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider.catalogue import Catalogue
from bruno_llm_base.types import Json
from bruno_llm_base.values import is_json

if TYPE_CHECKING:
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.tracker import CostTracker

__all__ = ["Setup"]

_USUAL_BATCH = 256  # texts: the vectors of more take so long to read that others would notice


class _Settings(Basics):
    dimensions: Annotated[WholeNumber, Field(ge=1)] | None = None
    batch_size: Annotated[WholeNumber, Field(ge=1)] | None = None


class Setup(Catalogue):
    """What a provider of embeddings is set to."""

    adapter_type: ClassVar[type[EmbeddingAdapter]]
    capabilities: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    prices_type: ClassVar[type[Prices]] = InputPrices
    _adapter: EmbeddingAdapter

    @property
    def adapter(self) -> EmbeddingAdapter:
        """How the API spells things."""
        return self._adapter

    def __init__(
        self,
        model: str | None = None,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        client: Any = None,
        dimensions: int | None = None,
        batch_size: int | None = None,
        options: Json | None = None,
        retry: Retry | None = None,
        rate_limit: RateLimit | None = None,
        timeouts: Timeouts | None = None,
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
            dimensions: How many numbers a vector has: asked for where the model can have fewer
                than its own, and known before any call where nobody else knows.
            batch_size: The most texts in one request; if None, 256 or what the vendor takes.
            options: The vendor's own request fields, sent as they are.
            retry: When to send a failed request again; each batch is a request.
            rate_limit: How much may be sent in a while; providers that are given the same one
                share it.
            timeouts: How long each request, and each step of it, may take.
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
            "dimensions": dimensions,
            "batch_size": batch_size,
            "options": deepcopy(options) if options else {},
            "free": free,
            "price_name": price_name,
        }
        settings = check(_Settings, given, ConfigurationError)
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
        )
        self._asked_dimension = settings.dimensions
        self._batch_size = settings.batch_size
        self._options = settings.options
        self._seen_dimension: int | None = None
        self._check_settings()

    def get_dimension(self) -> int:
        """Return how many numbers a vector has; nothing is asked for it.

        Raises:
            ConfigurationError: Nobody knows: it was not set, the model is not known, and nothing
                has been embedded yet.
        """
        known = self._dimension()
        if known is None:
            raise ConfigurationError(
                f"nobody knows how many dimensions the vectors of {self._model} have: give"
                " dimensions, or embed a text first",
                model=self._model,
            )
        return known

    def get_model_name(self) -> str:
        """Return the model's name."""
        return self._model

    def supports_batch(self) -> bool:
        """Say whether several texts go into one request."""
        return self.get_max_batch_size() > 1

    def get_max_batch_size(self) -> int:
        """Return the most texts that one request has; `embed_texts` takes any number."""
        return self._batch_size or min(_USUAL_BATCH, self._adapter.max_batch or _USUAL_BATCH)

    def _dimension(self) -> int | None:
        return (
            self._asked_dimension
            or self._adapter.own_dimension(self._model)
            or self._seen_dimension
        )

    def _check_settings(self) -> None:
        asked, own = self._asked_dimension, self._adapter.own_dimension(self._model)
        if asked is not None and own is not None and asked > own and self._access.base_url is None:
            raise ConfigurationError(
                f"dimensions is {asked}, and {self._model} has {own}: give that or fewer"
            )
        if (
            self._adapter.max_batch is not None
            and (self._batch_size or 0) > self._adapter.max_batch
        ):
            raise ConfigurationError(
                f"batch_size is {self._batch_size}, and {self.name} takes {self._adapter.max_batch} texts at"
                " most: give that or fewer"
            )
        for name, value in self._options.items():
            if name in self._adapter.reserved_fields:
                raise ConfigurationError(
                    f"{name!r} is no option: it belongs to the request itself, leave it out"
                )
            if not is_json({name: value}):
                raise ConfigurationError(
                    f"the option {name!r} is no JSON, but a {type(value).__name__}"
                )
