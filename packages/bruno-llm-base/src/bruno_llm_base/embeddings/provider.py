"""One embedding model behind bruno-core's `EmbeddingInterface`: what all providers share."""

import math
from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Never

from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message
from pydantic import Field, SecretStr

from bruno_llm_base.config import Basics, WholeNumber, check, keywords_of, refuse
from bruno_llm_base.conversation import check_message, check_text
from bruno_llm_base.embeddings.batches import Limit, in_order, size, split
from bruno_llm_base.embeddings.dialect import EmbeddingDialect, EmbeddingResponse
from bruno_llm_base.embeddings.similarity import similarity
from bruno_llm_base.exceptions import (
    ConfigurationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
)
from bruno_llm_base.exchange import Request
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.observe import Observer
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.pricing import InputPricing, Pricing
from bruno_llm_base.provider.catalogue import Catalogue
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_base.types import Json, checked
from bruno_llm_base.values import is_json

if TYPE_CHECKING:
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.labels import Labels
    from bruno_llm_base.cost.tracker import CostTracker

__all__ = ["BaseEmbeddings"]

_USUAL_BATCH = 256  # texts: the vectors of more take so long to read that others would notice
_AT_ONCE = 8  # requests: vendors answer the next ones while they compute
_NUMBERS = {float, int}


class _Settings(Basics):
    dimensions: Annotated[WholeNumber, Field(ge=1)] | None = None
    batch_size: Annotated[WholeNumber, Field(ge=1)] | None = None


class BaseEmbeddings(Catalogue, EmbeddingDialect, EmbeddingInterface):
    """Everything that providers of embeddings share; one says only how its API spells things.

    Requests take the path of all others: they are tried again, wait for a place in `rate_limit`,
    are booked in `cost`, kept within `budget`, and told to observers.
    """

    pricing_type: ClassVar[type[Pricing]] = InputPricing

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
            dimensions: How many numbers a vector has: asked for where the model can have fewer
                than its own, and known before any call where nobody else knows.
            batch_size: The most texts in one request; if None, 256 or what the vendor takes.
            options: The vendor's own request fields, sent as they are.
            retry: When to send a failed request again; each batch is a request.
            rate_limit: How much may be sent in a while; providers that are given the same one
                share it.
            timeouts: How long each step may take.
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
            "dimensions": dimensions,
            "batch_size": batch_size,
            "options": deepcopy(options) if options else {},
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

    async def embed_text(self, text: str) -> list[float]:
        """Return the vector of *text*.

        Raises:
            InvalidRequestError: It is empty, or no text.
            ContextLengthExceededError: It is longer than the model reads.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        _check_text("text", text)
        return (await self._embed([text]))[0]

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of *texts*, in their order.

        They are sent in batches, several at once. If one fails for good, nothing is returned.

        Raises:
            InvalidRequestError: One of them is empty, or no text; nothing has been sent.
            ContextLengthExceededError: One is longer than the model reads.
            LLMError: Any other failure; see `bruno_llm_base.exceptions`.
        """
        if isinstance(texts, str) or not isinstance(texts, Sequence):
            raise InvalidRequestError(f"texts is a {type(texts).__name__}: give a list of texts")
        for place, text in enumerate(texts):
            _check_text(f"texts[{place}]", text)
        return await self._embed(texts)

    async def embed_batch(self, texts: Sequence[str]) -> list[list[float]]:
        """Return the vectors of *texts*: another name of `embed_texts`, which bruno-memory uses."""
        return await self.embed_texts(texts)

    async def embed_message(self, message: Message) -> list[float]:
        """Return the vector of what *message* says.

        Raises:
            InvalidRequestError: It is no message, says nothing, or holds an image or a file.
            LLMError: As for `embed_text`.
        """
        check_message("message", message)
        return (await self._embed([message.content]))[0]

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

    def calculate_similarity(
        self, embedding1: Sequence[float], embedding2: Sequence[float]
    ) -> float:
        """Return how alike two vectors are, 0 to 1: their cosine, and 0 where that is negative.

        Raises:
            InvalidRequestError: They are no vectors of one length.
        """
        return similarity(embedding1, embedding2)

    def supports_batch(self) -> bool:
        """Say whether several texts go into one request."""
        return self.get_max_batch_size() > 1

    def get_max_batch_size(self) -> int:
        """Return the most texts that one request has; `embed_texts` takes any number."""
        return self._batch_size or min(_USUAL_BATCH, self.max_batch or _USUAL_BATCH)

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        labels = None if self._account is None else self._account.tracker.labels()
        pipeline = self._pipeline(
            self._retry,
            self._timeouts,
            self._explain,
            limits=[] if self._rate_limit is None else [self._rate_limit],
            account=self._account,
        )

        async def send(batch: Sequence[str]) -> list[list[float]]:
            request = self._request(batch, labels)
            return (await pipeline.call(request, partial(self._parse, len(batch)))).vectors

        return await in_order(split(texts, self._limits()), send, at_once=_AT_ONCE)

    def _limits(self) -> list[Limit]:
        limits: list[Limit] = [(lambda _: 1, self.get_max_batch_size())]
        if self.max_request_tokens is not None:
            limits.append((size, self.max_request_tokens))
        if self._rate_limit is not None and self._rate_limit.tokens_per_minute is not None:
            limits.append((estimate_tokens, self._rate_limit.tokens_per_minute))
        return limits

    def _request(self, texts: Sequence[str], labels: "Labels | None") -> Request:
        asked, own = self._asked_dimension, self.own_dimension(self._model)
        options = deepcopy(self._options) | {"model": self._model}
        request = Request(
            operation="embeddings",
            path=self.embeddings_path,
            body=self.build_embeddings(texts, options, None if asked == own else asked),
            model=self._model,
            texts=texts,
            labels=labels,
        )
        if self._rate_limit is not None and self._rate_limit.counts_tokens:
            request.tokens = request.estimated_input
        return request

    def _parse(self, count: int, data: Json) -> EmbeddingResponse:
        response = self.parse_embeddings(data)
        vectors = response.vectors
        if len(vectors) != count:
            raise InvalidResponseError(f"the server sent {len(vectors)} vectors for {count} texts")
        expected = self._dimension() or len(vectors[0])
        for vector in vectors:
            if len(vector) != expected:
                raise InvalidResponseError(
                    f"the vectors of {self._model} have {len(vector)} dimensions, and {expected}"
                    f" are expected: give dimensions={len(vector)} if that is right"
                )
            if not set(map(type, vector)) <= _NUMBERS or not math.isfinite(sum(vector)):
                raise TypeError("a vector")
        self._seen_dimension = expected
        checked(response)
        return response

    def _dimension(self) -> int | None:
        return self._asked_dimension or self.own_dimension(self._model) or self._seen_dimension

    async def _advise(self, error: LLMError) -> None:
        if isinstance(error, ContextLengthExceededError):
            error.message += "; cut the text into shorter ones and embed each"
        await super()._advise(error)

    def _check_settings(self) -> None:
        asked, own = self._asked_dimension, self.own_dimension(self._model)
        if asked is not None and own is not None and asked > own and self._access.base_url is None:
            raise ConfigurationError(
                f"dimensions is {asked}, and {self._model} has {own}: give that or fewer"
            )
        if self.max_batch is not None and (self._batch_size or 0) > self.max_batch:
            raise ConfigurationError(
                f"batch_size is {self._batch_size}, and {self.name} takes {self.max_batch} texts at"
                " most: give that or fewer"
            )
        for name, value in self._options.items():
            if name in self.structure:
                raise ConfigurationError(
                    f"{name!r} is no option: it belongs to the request itself, leave it out"
                )
            if not is_json({name: value}):
                raise ConfigurationError(
                    f"the option {name!r} is no JSON, but a {type(value).__name__}"
                )


def _check_text(name: str, text: str) -> None:
    check_text(name, text)
    if not text.strip():
        raise InvalidRequestError(f"{name} is empty: leave it out, there is nothing to embed")
