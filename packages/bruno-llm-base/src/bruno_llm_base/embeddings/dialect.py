"""The seam between the base and a provider: how one API of embeddings spells things."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from bruno_llm_base.types import Json, ModelResponse
from bruno_llm_base.vendor import Vendor

__all__ = ["EmbeddingDialect", "EmbeddingResponse"]


@dataclass(slots=True, kw_only=True)
class EmbeddingResponse(ModelResponse):
    """What a model answers to a request for embeddings: vectors, and no text.

    Attributes:
        vectors: One vector for each text, in the order of the texts.
    """

    vectors: list[list[float]] = field(default_factory=list, repr=False)


class EmbeddingDialect(Vendor):
    """What a provider of embeddings fills in: names, and pure functions over plain JSON.

    Attributes:
        embeddings_path: The endpoint of embeddings.
        dimensions: How many numbers the vectors of each model have, as far as that is known.
        max_batch: The most texts that the vendor takes in one request; None if any number.
        max_request_tokens: The most tokens that the vendor takes in one request, all texts
            together; None if any number.
        structure: Fields of the body that are no options.
    """

    embeddings_path: ClassVar[str]
    dimensions: ClassVar[Mapping[str, int]] = {}
    max_batch: ClassVar[int | None] = None
    max_request_tokens: ClassVar[int | None] = None
    structure: ClassVar[frozenset[str]] = frozenset({"input", "model"})
    capabilities: ClassVar[frozenset[str]] = frozenset({"embeddings"})

    @abstractmethod
    def build_embeddings(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        """Return the body that asks for the vectors of *texts*.

        Args:
            texts: What is to be embedded.
            options: The model and the user's own fields; they belong in the body.
            dimensions: How many numbers a vector shall have; None where the model is to decide.
        """

    @abstractmethod
    def parse_embeddings(self, data: Json) -> EmbeddingResponse:
        """Read the vectors, in the order of the texts, and what the server says of the tokens."""

    def own_dimension(self, model: str) -> int | None:
        """Return how many numbers the vectors of *model* have unless fewer are asked for."""
        return self.dimensions.get(model)
