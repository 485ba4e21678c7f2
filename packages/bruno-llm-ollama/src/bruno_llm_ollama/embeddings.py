"""Ollama's embeddings (https://docs.ollama.com/api/embed)."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from bruno_llm_base import EmbeddingAdapter, EmbeddingResponse, Json, Usage
from bruno_llm_base.embeddings import BaseEmbeddings

from bruno_llm_ollama.vendor import OllamaAdapter, OllamaVendor

_ANY_SIZE = ("", "latest")


class OllamaEmbeddingAdapter(OllamaAdapter, EmbeddingAdapter):
    """How Ollama's embeddings spell things."""

    __slots__ = ()

    embeddings_path = "/api/embed"
    # as https://ollama.com/library shows them; a size that is not named is that of ":latest"
    dimensions: ClassVar[Mapping[str, int]] = {
        "all-minilm": 384,
        "bge-large": 1024,
        "bge-m3": 1024,
        "embeddinggemma": 768,
        "granite-embedding": 384,
        "granite-embedding:278m": 768,
        "mxbai-embed-large": 1024,
        "nomic-embed-text": 768,
        "nomic-embed-text-v2-moe": 768,
        "paraphrase-multilingual": 768,
        "qwen3-embedding": 4096,
        "qwen3-embedding:0.6b": 1024,
        "qwen3-embedding:4b": 2560,
        "qwen3-embedding:8b": 4096,
        "snowflake-arctic-embed": 1024,
        "snowflake-arctic-embed:22m": 384,
        "snowflake-arctic-embed:33m": 384,
        "snowflake-arctic-embed:110m": 768,
        "snowflake-arctic-embed:137m": 768,
        "snowflake-arctic-embed:335m": 1024,
        "snowflake-arctic-embed2": 1024,
    }

    def build(self, texts: Sequence[str], options: Json, dimensions: int | None) -> Json:
        asked = {} if dimensions is None else {"dimensions": dimensions}
        return {"truncate": False, **options, **asked, "input": list(texts)}

    def parse(self, data: Json) -> EmbeddingResponse:
        return EmbeddingResponse(
            vectors=data["embeddings"],
            usage=Usage(input_tokens=data.get("prompt_eval_count"), output_tokens=0),
            model=data.get("model"),
        )

    def own_dimension(self, model: str) -> int | None:
        name, _, tag = model.casefold().partition(":")
        if tag in _ANY_SIZE:
            return self.dimensions.get(name)
        return self.dimensions.get(f"{name}:{tag}")


class OllamaEmbeddings(OllamaVendor, BaseEmbeddings):
    """Embed with Ollama.

    A text that does not fit the model is refused, where Ollama by itself drops its end without a
    word; `options={"truncate": True}` brings that back.
    """

    adapter_type = OllamaEmbeddingAdapter
    default_model = "nomic-embed-text"
