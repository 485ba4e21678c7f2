"""The vendors that speak OpenAI's protocol of embeddings, one row each; what they have of chat is in `vendors.py`."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from bruno_llm_openai import vendors
from bruno_llm_openai.row import EmbeddingRow, VendorRow

OPENROUTER = EmbeddingRow(
    **vendors.OPENROUTER.place(),
    default_model="openai/text-embedding-3-small",
    dimensions={"openai/text-embedding-3-small": 1536, "openai/text-embedding-3-large": 3072},
    dimensions_field="dimensions",
    source="https://pypi.org/project/openrouter, openrouter 1.3.84, 2026-11-28",
)
MISTRAL = EmbeddingRow(
    **vendors.MISTRAL.place(),
    default_model="mistral-embed",
    dimensions={"mistral-embed": 1024, "mistral-embed-2312": 1024, "codestral-embed": 1536},
    dimensions_field="output_dimension",
    max_batch=256,
    max_request_tokens=16_384,
    source="https://docs.rs/crate/rig-core/0.42.0, mistralai 3.7.0, 2026-11-28",
)
COHERE = EmbeddingRow(
    name="cohere",
    base_url="https://api.cohere.ai/compatibility/v1",
    api_key_env=("CO_API_KEY", "COHERE_API_KEY"),
    default_model="embed-v4.0",
    dimensions={"embed-v4.0": 1536, "embed-multilingual-v3.0": 1024, "embed-english-v3.0": 1024},
    max_batch=96,
    models_path=None,
    source="https://docs.cohere.com/docs/compatibility-api, 2026-11-28",
)
VOYAGE = EmbeddingRow(
    name="voyage",
    base_url="https://api.voyageai.com/v1",
    default_model="voyage-4",
    dimensions=dict.fromkeys(("voyage-4", "voyage-4-large", "voyage-4-lite"), 1024),
    dimensions_field="output_dimension",
    max_request_tokens=120_000,
    fields={"encoding_format": "base64", "truncation": False},
    models_path=None,
    price_name="voyageai",
    source="https://www.mongodb.com/docs/api/doc/atlas-embedding-and-reranking-api, 2026-11-28",
)
JINA = EmbeddingRow(
    name="jina",
    base_url="https://api.jina.ai/v1",
    api_key_env=("JINA_API_KEY", "JINA_AI_API_KEY"),
    default_model="jina-embeddings-v4",
    dimensions={"jina-embeddings-v4": 2048, "jina-embeddings-v3": 1024},
    dimensions_field="dimensions",
    models_path=None,
    source="https://qdrant.tech/documentation/embeddings/jina-embeddings, 2026-11-28",
)
TOGETHER = EmbeddingRow(
    **vendors.TOGETHER.place(),
    default_model="BAAI/bge-base-en-v1.5",
    dimensions={"BAAI/bge-base-en-v1.5": 768, "BAAI/bge-large-en-v1.5": 1024},
    source="https://pypi.org/project/together, together 3.1.1, 2026-11-28",
)
FIREWORKS = EmbeddingRow(
    **vendors.FIREWORKS.place(),
    default_model="nomic-ai/nomic-embed-text-v1.5",
    dimensions={"nomic-ai/nomic-embed-text-v1.5": 768, "thenlper/gte-large": 1024},
    dimensions_field="dimensions",
    source="https://developers.llamaindex.ai/python/framework-api-reference/embeddings/fireworks, 2026-11-28",
)
NEBIUS = EmbeddingRow(
    **vendors.NEBIUS.place(),
    default_model="Qwen/Qwen3-Embedding-8B",
    dimensions={"Qwen/Qwen3-Embedding-8B": 4096},
    dimensions_field="dimensions",
    source="https://docs.pixeltable.com/howto/providers/working-with-nebius, 2026-11-28",
)
SAMBANOVA = EmbeddingRow(
    **vendors.SAMBANOVA.place(),
    default_model="E5-Mistral-7B-Instruct",
    dimensions={"E5-Mistral-7B-Instruct": 4096},
    source="https://pypi.org/project/sambanova, sambanova 1.13.0, 2026-11-28",
)
QWEN = EmbeddingRow(
    **vendors.QWEN.place(),
    default_model="text-embedding-v4",
    dimensions={"text-embedding-v4": 1024, "text-embedding-v3": 1024},
    dimensions_field="dimensions",
    max_batch=10,
    source="https://www.alibabacloud.com/help/en/model-studio/text-embedding-synchronous-api, 2026-11-28",
)
DATABRICKS = EmbeddingRow(
    **vendors.DATABRICKS.place(),
    default_model="databricks-gte-large-en",
    dimensions={"databricks-gte-large-en": 1024, "databricks-bge-large-en": 1024},
    source="https://docs.databricks.com/aws/machine-learning/model-serving/query-embedding-models, 2026-11-28",
)
CLOUDFLARE = EmbeddingRow(
    **vendors.CLOUDFLARE.place(),
    default_model="@cf/baai/bge-large-en-v1.5",
    dimensions={"@cf/baai/bge-large-en-v1.5": 1024, "@cf/baai/bge-small-en-v1.5": 384},
    max_batch=100,
    source="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility, 2026-11-28",
)
AZURE = EmbeddingRow(
    **vendors.AZURE.place(),
    default_model="text-embedding-3-small",
    dimensions={"text-embedding-3-small": 1536, "text-embedding-3-large": 3072},
    dimensions_field="dimensions",
    max_batch=2048,
    fields={"encoding_format": "base64"},
    source=vendors.AZURE.source,
)
VLLM = EmbeddingRow(
    **vendors.VLLM.place(),
    dimensions_field="dimensions",
    source="https://docs.vllm.ai/en/v0.9.0.1/examples/online_serving/openai_embedding_matryoshka_fy.html, 2026-11-28",
)
LMSTUDIO = EmbeddingRow(
    **vendors.LMSTUDIO.place(), source="https://lmstudio.ai/docs/text-embeddings, 2026-11-28"
)
LLAMACPP = EmbeddingRow(
    **vendors.LLAMACPP.place(),
    default_model="default",  # it answers by the one that it has loaded
    source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, 2026-11-28",
)
ROWS: Mapping[str, EmbeddingRow] = {
    row.name: row for row in list(globals().values()) if isinstance(row, EmbeddingRow)
}
"""Each of them, by its name."""


def row_at(url: str) -> VendorRow:
    """Return the row of the vendor at *url*, or one that says nothing but where that is."""
    host = urlsplit(url).hostname or ""
    found = (row for row in ROWS.values() if row.is_at(host))
    return next(found, VendorRow(name=host, base_url=url))
