"""One embedding model behind bruno-core's `EmbeddingInterface`: what all providers share."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message
from typing_extensions import Unpack

from bruno_llm_base.access import versions_of
from bruno_llm_base.adapter import EmbeddingAdapter, EmbeddingResponse
from bruno_llm_base.call import result_of
from bruno_llm_base.client import Client, Policies
from bruno_llm_base.cost.prices import InputPrices, Prices
from bruno_llm_base.exceptions import (
    ConfigurationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
)
from bruno_llm_base.messages import Conversation, check_message, check_text
from bruno_llm_base.options import EmbeddingSettings, check_sendable
from bruno_llm_base.parts import Json
from bruno_llm_base.request import Request
from bruno_llm_base.response import checked
from bruno_llm_base.tokens import estimate_tokens, utf8_size
from bruno_llm_base.values import digest
from bruno_llm_base.vectors import checked_vector, similarity

if TYPE_CHECKING:
    from bruno_llm_base.sync import SyncEmbeddings

_T = TypeVar("_T")
_R = TypeVar("_R")
_AT_ONCE = 8  # requests: vendors answer the next ones while they compute
_USUAL_BATCH = 256  # texts: the vectors of more take so long to read that others would notice

_Limit = tuple[Callable[[str], int], int]
"""What is counted of each text, and how much of it one request may have."""


class EmbeddingKeywords(EmbeddingSettings, Policies, total=False):
    """What every provider of embeddings is built with, beside its model."""


class BaseEmbeddings(Client, EmbeddingInterface):
    """Everything that providers of embeddings share; an adapter says how the API spells things.

    Requests take the path of all others: they are tried again, wait for a place in `rate_limit`,
    are booked in `cost`, kept within `budget`, and told to observers.
    """

    adapter_type: ClassVar[type[EmbeddingAdapter]]
    capabilities: ClassVar[frozenset[str]] = frozenset({"embeddings"})
    settings_type: ClassVar[Any] = EmbeddingSettings
    prices_type: ClassVar[type[Prices]] = InputPrices
    adapter: EmbeddingAdapter

    def __init__(self, model: str | None = None, **keywords: Unpack[EmbeddingKeywords]) -> None:
        """Set up a provider. Nothing is sent, and no SDK is imported.

        Args:
            model: The model; the provider's `default_model` if None.
            **keywords: Those of `EmbeddingSettings` and `Policies`.

        Raises:
            ConfigurationError: A keyword is unknown, a value is wrong, or the key is missing.
        """
        super().__init__(model, keywords, None)
        settings = self._settings
        self._own_fields: Json = settings.get("options") or {}
        self._asked_dimension: int | None = settings.get("dimensions")
        self._own_dimension = self.adapter.own_dimension(self.model)
        self._dimension = self._asked_dimension or self._own_dimension
        self._batch_size: int | None = settings.get("batch_size")
        self._check_settings()

    @property
    def sync(self) -> "SyncEmbeddings":
        """The same methods without `await`, for programs without an event loop."""
        from bruno_llm_base.sync import SyncEmbeddings  # most programs are asynchronous

        return SyncEmbeddings(self)

    async def embed_text(self, text: str) -> list[float]:
        """Return the vector of *text*; the errors are those of `embed_texts`."""
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
        """Return the vector of what *message* says; the errors are those of `embed_texts`.

        A message that says nothing, or holds an image or a file, is an `InvalidRequestError` too.
        """
        return (await self._embed([words_of(message)]))[0]

    def calculate_similarity(
        self, embedding1: Sequence[float], embedding2: Sequence[float]
    ) -> float:
        """Return how alike two vectors are, 0 to 1: their cosine, and 0 where that is negative.

        Raises:
            InvalidRequestError: They are no vectors of one length.
        """
        return similarity(embedding1, embedding2)

    def get_dimension(self) -> int:
        """Return how many numbers a vector has; nothing is asked for it.

        Raises:
            ConfigurationError: It was not set, the model is not known, and nothing has been embedded.
        """
        if self._dimension is None:
            raise ConfigurationError(
                f"it is not known how many dimensions the vectors of {self.model} have: give"
                " dimensions, or embed a text first",
                model=self.model,
            )
        return self._dimension

    def get_model_name(self) -> str:
        """Return the model's name."""
        return self.model

    def supports_batch(self) -> bool:
        """Say whether several texts go into one request."""
        return self.get_max_batch_size() > 1

    def get_max_batch_size(self) -> int:
        """Return the most texts that one request has; `embed_texts` takes any number."""
        return self._batch_size or min(_USUAL_BATCH, self.adapter.max_batch or _USUAL_BATCH)

    def fingerprint(self, text: str) -> str:
        """Return what is the same for all who ask for the vector of *text*, in every process."""
        body = self.adapter.build([text], self._own_fields | {"model": self.model}, self._asked())
        place = [self.name, self.access.address, self.adapter.embeddings_path]
        return digest([*place, versions_of(self.access.client), body])

    def _asked(self) -> int | None:
        """Return how many dimensions are to be asked for; None where they are the model's own."""
        return None if self._asked_dimension == self._own_dimension else self._asked_dimension

    def _check_settings(self) -> None:
        asked, own = self._asked_dimension, self._own_dimension
        if asked is not None and own is not None and asked > own and self.access.base_url is None:
            raise ConfigurationError(
                f"dimensions is {asked}, and {self.model} has {own}: give that or fewer"
            )
        most = self.adapter.max_batch
        if most is not None and (self._batch_size or 0) > most:
            raise ConfigurationError(
                f"batch_size is {self._batch_size}, and {self.name} takes {most} texts at most:"
                " give that or fewer"
            )
        check_sendable(self._own_fields, self.adapter.reserved_fields, ConfigurationError)

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        spending = self._endpoint.spending
        labels = None if spending is None else spending.labels()

        async def send(batch: Sequence[str]) -> list[list[float]]:
            return (await result_of(self._endpoint, self._request(batch, labels))).vectors

        return await _in_order(_split(texts, self._limits()), send)

    def _limits(self) -> list[_Limit]:
        limits: list[_Limit] = [(lambda _: 1, self.get_max_batch_size())]
        if self.adapter.max_request_tokens is not None:
            limits.append((utf8_size, self.adapter.max_request_tokens))
        if per_minute := self._tokens_per_minute():
            limits.append((estimate_tokens, per_minute))
        return limits

    def _tokens_per_minute(self) -> int | None:
        rate_limit = self._endpoint.rate_limit
        return None if rate_limit is None else rate_limit.tokens_per_minute

    def _request(self, texts: Sequence[str], labels: Any) -> Request[EmbeddingResponse]:
        request = Request(
            operation="embeddings",
            is_billed=True,
            adapter=self.adapter,
            path=self.adapter.embeddings_path,
            body=self.adapter.build(texts, self._own_fields | {"model": self.model}, self._asked()),
            model=self.model,
            texts=texts,
            options={"dimensions": self._asked_dimension},
            labels=labels,
            parse=partial(self._parse, len(texts)),
            advise=self._advise_on_model,
        )
        if self._tokens_per_minute():
            request.tokens = request.estimated_input
        return request

    def _parse(self, count: int, data: Json) -> EmbeddingResponse:
        response = checked(self.adapter.parse(data))
        vectors = response.vectors = [checked_vector(said) for said in response.vectors]
        if len(vectors) != count:
            raise InvalidResponseError(f"the server sent {len(vectors)} vectors for {count} texts")
        expected = self._dimension or len(vectors[0])
        for vector in vectors:
            if len(vector) != expected:
                raise InvalidResponseError(
                    f"the vectors of {self.model} have {len(vector)} dimensions, and {expected}"
                    f" are expected: give dimensions={len(vector)} if that is right"
                )
        self._dimension = expected
        return response

    async def _advise(self, error: LLMError) -> list[str]:
        advice = await super()._advise(error)
        if isinstance(error, ContextLengthExceededError):
            return ["cut the text into shorter ones and embed each", *advice]
        return advice


def words_of(message: Message) -> str:
    """Return what *message* says in words; media, which have no vector, are an `InvalidRequestError`."""
    check_message("message", message)
    if media := next(iter(Conversation.of(message).media), None):
        raise InvalidRequestError(
            f"message holds {media.label}, and vectors are of texts: embed what it says in words"
        )
    return message.content


def _check_text(name: str, text: str) -> None:
    check_text(name, text)
    if not text.strip():
        raise InvalidRequestError(f"{name} is empty: leave it out, there is nothing to embed")


def _split(texts: Sequence[str], limits: Sequence[_Limit]) -> list[list[str]]:
    """Return *texts* in batches, in order, each as long as the *limits* let it be.

    A text that alone is more than they allow is a batch by itself: the server decides.
    """
    batches: list[list[str]] = []
    sums = [0] * len(limits)
    for text in texts:
        sizes = [measure(text) for measure, _ in limits]
        after = [total + more for total, more in zip(sums, sizes, strict=True)]
        fits = all(total <= most for total, (_, most) in zip(after, limits, strict=True))
        if batches and fits:
            batches[-1].append(text)
            sums = after
        else:
            batches.append([text])
            sums = sizes
    return batches


async def _in_order(batches: Sequence[_T], send: Callable[[_T], Awaitable[list[_R]]]) -> list[_R]:
    """Return what *send* makes of all *batches*, in their order; the first error stops the others."""
    line = asyncio.Semaphore(_AT_ONCE)

    async def sent(batch: _T) -> list[_R]:
        async with line:
            return await send(batch)

    sending = [asyncio.create_task(sent(batch)) for batch in batches]
    try:
        results = await asyncio.gather(*sending)
    finally:
        # a task holds its error, whose traceback holds this frame: no name may hold the task
        list(map(asyncio.Task.cancel, sending))
        await asyncio.gather(*sending, return_exceptions=True)
        sending.clear()
    return [result for batch in results for result in batch]
