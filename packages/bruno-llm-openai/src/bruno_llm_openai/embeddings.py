"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

import sys
from array import array
from base64 import b64decode
from collections.abc import Sequence
from typing import Any, Self

from bruno_llm_base import Access, EmbeddingAdapter, EmbeddingResponse, Json, Usage
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.embeddings import BaseEmbeddings, EmbeddingKeywords
from bruno_llm_base.exceptions import ConfigurationError
from typing_extensions import Unpack

from bruno_llm_openai.row import EmbeddingRow, VendorRow
from bruno_llm_openai.vendor import OpenAIAdapter, OpenAIVendor, is_openais

_DIMENSIONS = {
    "text-embedding-3-large": 3072,
    "text-embedding-3-small": 1536,
    "text-embedding-ada-002": 1536,
}
_MOST_TEXTS, _MOST_TOKENS = 2048, 300_000


class OpenAIEmbeddingAdapter(OpenAIAdapter, EmbeddingAdapter):
    """How OpenAI's embeddings spell things."""

    __slots__ = ()

    embeddings_path = "/embeddings"

    @property
    def max_batch(self) -> int | None:  # type: ignore[override]
        return self.row.max_batch if isinstance(self.row, EmbeddingRow) else _MOST_TEXTS

    @property
    def max_request_tokens(self) -> int | None:  # type: ignore[override]
        return self.row.max_request_tokens if isinstance(self.row, EmbeddingRow) else _MOST_TOKENS

    @classmethod
    def at(cls, access: Access, row: VendorRow | None = None) -> Self:
        if row is None and access.base_url is not None and not is_openais(access.base_url):
            # OpenAI itself needs none of them
            from bruno_llm_openai.embedding_vendors import row_at

            row = row_at(access.address)
        return super().at(access, row)

    def own_dimension(self, model: str) -> int | None:
        own = self.row.dimensions if isinstance(self.row, EmbeddingRow) else _DIMENSIONS
        return own.get(model)

    def dimensions_field(self, model: str) -> str | None:
        """Return the field that asks *model* for fewer dimensions; None where none is known to do."""
        if isinstance(self.row, EmbeddingRow):
            return self.row.dimensions_field
        return "dimensions" if self.row is None or model in _DIMENSIONS else None

    def build_probe(self, model: str) -> tuple[str, Json] | None:
        return None if self.models_path else (self.embeddings_path, {"model": model, "input": []})

    def build(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        body = dict(options)
        if self.row is None:
            body.setdefault("encoding_format", "base64")  # a third of the bytes, and exact
        elif isinstance(self.row, EmbeddingRow):
            body = self.row.fields | body
        if dimensions is not None and (name := self.dimensions_field(options["model"])):
            body[name] = dimensions
        return body | {"input": list(texts)}

    def parse(self, data: Json) -> EmbeddingResponse:
        rows = _in_order(data["data"])
        counts = data.get("usage") or {}
        read = counts.get("prompt_tokens") or counts.get("total_tokens")
        return EmbeddingResponse(
            vectors=[_vector(row["embedding"]) for row in rows],
            usage=Usage(input_tokens=read, output_tokens=0),
            cost=reported_cost(counts),
            model=data.get("model") or None,
        )


class OpenAIEmbeddings(OpenAIVendor, BaseEmbeddings):
    """Embed with OpenAI, or with `base_url` on any server that speaks its protocol.

    A server of one's own is asked for `dimensions` only of OpenAI's own models: many refuse the
    field. Where yours takes it, send it by `options={"dimensions": n}` beside `dimensions=n`.
    """

    adapter_type = OpenAIEmbeddingAdapter
    adapter: OpenAIEmbeddingAdapter
    default_model = "text-embedding-3-small"

    def __init_subclass__(cls, *, row: VendorRow | None = None, **more: Any) -> None:
        super().__init_subclass__(row=row, **more)
        if isinstance(row, EmbeddingRow):  # another's model is one of chat
            cls.default_model = row.default_model

    def __init__(self, model: str | None = None, **keywords: Unpack[EmbeddingKeywords]) -> None:
        """Set up a provider; see `BaseEmbeddings`."""
        if model is None and not self.default_model:
            raise ConfigurationError(f"{self.name} has no model of its own choice: give model=")
        super().__init__(model, **keywords)

    def make_adapter(self) -> OpenAIEmbeddingAdapter:
        return self.adapter_type.at(self.access, self.row)

    def _check_settings(self) -> None:
        super()._check_settings()
        asked, own = self._asked_dimension, self._own_dimension
        if asked and own not in (None, asked) and not self.adapter.dimensions_field(self.model):
            raise ConfigurationError(
                f"dimensions is {asked}, and {self.model} of {self.name} always has {own}: leave it out"
            )


def _in_order(rows: list[Json]) -> list[Json]:
    """Return *rows* by their index; some servers of OpenAI's protocol give none, or always 0.

    Raises:
        ValueError: They are other texts' than those that were sent.
    """
    places = [row.get("index", 0) for row in rows]
    if not any(places):
        return rows
    if sorted(places) != list(range(len(rows))):
        raise ValueError("the indexes of vectors")
    return [row for _, row in sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])]


def _vector(said: str | list[float]) -> list[float]:
    """Return a vector, which may come as base64 of 32-bit numbers, the lowest byte first."""
    if not isinstance(said, str):
        return said
    numbers = array("f", b64decode(said))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
