"""One embedding model behind bruno-core's `EmbeddingInterface`: what all providers share."""

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

from bruno_core.interfaces import EmbeddingInterface
from bruno_core.models import Message

from bruno_llm_base.adapter import EmbeddingResponse
from bruno_llm_base.attempt import Request
from bruno_llm_base.call import result_of
from bruno_llm_base.conversation import check_message, check_text
from bruno_llm_base.embeddings.batches import Limit, in_order, split
from bruno_llm_base.embeddings.setup import Setup
from bruno_llm_base.embeddings.similarity import similarity
from bruno_llm_base.embeddings.vectors import checked_vector
from bruno_llm_base.exceptions import (
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
)
from bruno_llm_base.tokens import estimate_tokens, utf8_size
from bruno_llm_base.types import Json, checked

if TYPE_CHECKING:
    from bruno_llm_base.cost.tracker import Labels

__all__ = ["BaseEmbeddings"]

_AT_ONCE = 8  # requests: vendors answer the next ones while they compute


class BaseEmbeddings(Setup, EmbeddingInterface):
    """Everything that providers of embeddings share; one says only how its API spells things.

    Requests take the path of all others: they are tried again, wait for a place in `rate_limit`,
    are booked in `cost`, kept within `budget`, and told to observers.
    """

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

    def calculate_similarity(
        self, embedding1: Sequence[float], embedding2: Sequence[float]
    ) -> float:
        """Return how alike two vectors are, 0 to 1: their cosine, and 0 where that is negative.

        Raises:
            InvalidRequestError: They are no vectors of one length.
        """
        return similarity(embedding1, embedding2)

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        labels = None if self._spending is None else self._spending.tracker.labels()

        async def send(batch: Sequence[str]) -> list[list[float]]:
            request = self._request(batch, labels)
            return (await result_of(self._endpoint, request)).vectors

        return await in_order(split(texts, self._limits()), send, at_once=_AT_ONCE)

    def _limits(self) -> list[Limit]:
        limits: list[Limit] = [(lambda _: 1, self.get_max_batch_size())]
        if self._adapter.max_request_tokens is not None:
            limits.append((utf8_size, self._adapter.max_request_tokens))
        if self._rate_limit is not None and self._rate_limit.tokens_per_minute is not None:
            limits.append((estimate_tokens, self._rate_limit.tokens_per_minute))
        return limits

    def _request(self, texts: Sequence[str], labels: "Labels | None") -> Request[EmbeddingResponse]:
        asked, own = self._asked_dimension, self._adapter.own_dimension(self._model)
        options = deepcopy(self._options) | {"model": self._model}
        request = Request(
            operation="embeddings",
            path=self._adapter.embeddings_path,
            parse=partial(self._parse, len(texts)),
            advise=self._advise_on_model,
            body=self._adapter.build(texts, options, None if asked == own else asked),
            model=self._model,
            texts=texts,
            labels=labels,
        )
        if self._rate_limit is not None and self._rate_limit.tokens_per_minute:
            request.tokens = request.estimated_input
        return request

    def _parse(self, count: int, data: Json) -> EmbeddingResponse:
        response = checked(self._adapter.parse(data))
        vectors = response.vectors = [checked_vector(said) for said in response.vectors]
        if len(vectors) != count:
            raise InvalidResponseError(f"the server sent {len(vectors)} vectors for {count} texts")
        expected = self._dimension() or len(vectors[0])
        for vector in vectors:
            if len(vector) != expected:
                raise InvalidResponseError(
                    f"the vectors of {self._model} have {len(vector)} dimensions, and {expected}"
                    f" are expected: give dimensions={len(vector)} if that is right"
                )
        self._seen_dimension = expected
        return response

    async def _advise(self, error: LLMError) -> list[str]:
        advice = await super()._advise(error)
        if isinstance(error, ContextLengthExceededError):
            return ["cut the text into shorter ones and embed each", *advice]
        return advice


def _check_text(name: str, text: str) -> None:
    check_text(name, text)
    if not text.strip():
        raise InvalidRequestError(f"{name} is empty: leave it out, there is nothing to embed")
