"""The vendors of rerankers, one row each; what they have of chat is in `vendors.py`."""

from collections.abc import Mapping

from bruno_llm_openai import embedding_vendors, vendors
from bruno_llm_openai.row import RerankRow

COHERE = RerankRow(
    name="cohere",
    base_url="https://api.cohere.com/v2",
    api_key_env=("CO_API_KEY", "COHERE_API_KEY"),
    default_model="rerank-v4.0-pro",
    max_documents=10_000,
    models_path=None,
    price_name="cohere",
    source="https://docs.cohere.com/v2/docs/reranking-best-practices, cohere 7.3.1, 2026-11-28",
)
VOYAGE = RerankRow(
    **embedding_vendors.VOYAGE.place(),
    default_model="rerank-2.5",
    top_field="top_k",
    max_documents=1000,
    source="https://docs.voyageai.com/docs/reranker, voyageai 0.5.0, 2026-11-28",
)
JINA = RerankRow(
    **embedding_vendors.JINA.place(),
    default_model="jina-reranker-v3",
    fields={"return_documents": False},
    source="https://docs.newapi.pro/api/jinaai-rerank, litellm 1.110.2, 2026-11-28",
)
TOGETHER = RerankRow(
    **vendors.TOGETHER.place(),
    source="https://pypi.org/project/together, together 3.1.1, 2026-11-28",
)
FIREWORKS = RerankRow(
    **vendors.FIREWORKS.place(),
    default_model="fireworks/qwen3-reranker-8b",
    source="https://reference.langchain.com/python/langchain-fireworks/rerank/FireworksRerank, 2026-11-28",
)
LLAMACPP = RerankRow(
    **vendors.LLAMACPP.place(),
    default_model="default",  # it answers by the one that it has loaded
    source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, xllamacpp 2026.10, 2026-11-28",
)
VLLM = RerankRow(
    **vendors.VLLM.place(),
    source="https://docs.vllm.ai/en/v0.11.2/examples/online_serving/pooling, 2026-11-28",
)
ROWS: Mapping[str, RerankRow] = {
    row.name: row for row in (COHERE, VOYAGE, JINA, TOGETHER, FIREWORKS, LLAMACPP, VLLM)
}
"""Each of them, by its name."""
