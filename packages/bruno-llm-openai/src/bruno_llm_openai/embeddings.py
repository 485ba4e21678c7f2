"""OpenAI's embeddings (https://platform.openai.com/docs/api-reference/embeddings)."""

import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bruno_llm_base import EmbeddingAdapter, EmbeddingResponse, Json, Usage
from bruno_llm_base.cost.prices import reported_cost
from bruno_llm_base.embeddings import BaseEmbeddings

from bruno_llm_openai.vendor import OpenAIAdapter, OpenAIVendor


class OpenAIEmbeddingAdapter(OpenAIAdapter, EmbeddingAdapter):
    """How OpenAI's embeddings spell things."""

    __slots__ = ()

    embeddings_path = "/embeddings"
    dimensions: ClassVar[Mapping[str, int]] = {
        "text-embedding-3-large": 3072,
        "text-embedding-3-small": 1536,
        "text-embedding-ada-002": 1536,
    }
    max_batch = 2048
    max_request_tokens = 300_000

    def build(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        body = dict(options)
        if self.row is None:
            body.setdefault("encoding_format", "base64")  # a third of the bytes, and exact
        if dimensions is not None and not (
            self.row is not None and self.own_dimension(options["model"]) is None
        ):
            body["dimensions"] = dimensions
        return body | {"input": list(texts)}

    def parse(self, data: Json) -> EmbeddingResponse:
        rows = _in_order(data["data"])
        counts = data.get("usage") or {}
        return EmbeddingResponse(
            vectors=[_vector(row["embedding"]) for row in rows],
            usage=Usage(input_tokens=counts.get("prompt_tokens"), output_tokens=0),
            cost=reported_cost(counts),
            model=data.get("model") or None,
        )


class OpenAIEmbeddings(OpenAIVendor, BaseEmbeddings):
    """Embed with OpenAI, or with `base_url` on any server that speaks its protocol.

    A server of one's own is asked for `dimensions` only of OpenAI's own models: many refuse the
    field. Where yours takes it, send it by `options={"dimensions": n}` beside `dimensions=n`.
    """

    adapter_type = OpenAIEmbeddingAdapter
    default_model = "text-embedding-3-small"

    def make_adapter(self) -> OpenAIEmbeddingAdapter:
        return self.adapter_type.at(self.access, self.row)


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
