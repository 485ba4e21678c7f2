"""Gemini's embeddings (https://ai.google.dev/api/embeddings)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from bruno_llm_base import EmbeddingAdapter, EmbeddingResponse, Json, Usage
from bruno_llm_base.embeddings import BaseEmbeddings

from bruno_llm_gemini.transport import EMBED
from bruno_llm_gemini.vendor import GeminiAdapter, GeminiVendor


class GeminiEmbeddingAdapter(GeminiAdapter, EmbeddingAdapter):
    """How Gemini's embeddings spell things."""

    __slots__ = ()

    embeddings_path = EMBED
    dimensions: ClassVar[Mapping[str, int]] = {
        "gemini-embedding-001": 3072,
        "gemini-embedding-2": 3072,
    }
    # "at most 100 requests can be in one batch", says the API, and no page
    # (https://github.com/langchain-ai/langchainjs/issues/4491)
    max_batch = 100
    reserved_fields = frozenset({"content", "model", "outputDimensionality", "requests"})
    method = "embedContent"

    def build(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        model = options.pop("model")
        name = model if model.startswith("models/") else f"models/{model}"
        asked = {} if dimensions is None else {"outputDimensionality": dimensions}
        each = {"model": name, **options, **asked}
        return {
            "model": model,
            "requests": [each | {"content": {"parts": [{"text": text}]}} for text in texts],
        }

    def parse(self, data: Json) -> EmbeddingResponse:
        counts = data.get("usageMetadata") or {}
        return EmbeddingResponse(
            vectors=[row["values"] for row in data["embeddings"]],
            usage=Usage(input_tokens=counts.get("promptTokenCount"), output_tokens=0),
        )

    def own_dimension(self, model: str) -> int | None:
        return self.dimensions.get(model.rpartition("/")[2])


class GeminiEmbeddings(GeminiVendor, BaseEmbeddings):
    """Embed with Gemini, or with `client` with the embedding models of Vertex AI.

    `options` are fields of each text's request, such as `{"taskType": "RETRIEVAL_DOCUMENT"}` for
    gemini-embedding-001; its successor takes the task in the text's own words. The Gemini API drops
    the end of a text that is too long (8,192 tokens, and 2,048 for gemini-embedding-001) without a
    word, and has no field to forbid it; Vertex AI is told to refuse it. Vectors of fewer dimensions
    than the model's own may have any length.
    """

    adapter_type = GeminiEmbeddingAdapter
    default_model = "gemini-embedding-2"
