"""Embeddings of the vendors that speak OpenAI's protocol; `embedding_vendors.py` says what is different there."""

from bruno_llm_openai import embedding_vendors as vendors
from bruno_llm_openai.embeddings import OpenAIEmbeddings


class OpenRouterEmbeddings(OpenAIEmbeddings, row=vendors.OPENROUTER):
    """Embed with OpenRouter."""


class MistralEmbeddings(OpenAIEmbeddings, row=vendors.MISTRAL):
    """Embed with Mistral."""


class CohereEmbeddings(OpenAIEmbeddings, row=vendors.COHERE):
    """Embed with Cohere, by its Compatibility API."""


class VoyageEmbeddings(OpenAIEmbeddings, row=vendors.VOYAGE):
    """Embed with Voyage AI."""


class JinaEmbeddings(OpenAIEmbeddings, row=vendors.JINA):
    """Embed with Jina AI."""


class TogetherEmbeddings(OpenAIEmbeddings, row=vendors.TOGETHER):
    """Embed with Together AI."""


class FireworksEmbeddings(OpenAIEmbeddings, row=vendors.FIREWORKS):
    """Embed with Fireworks AI."""


class NebiusEmbeddings(OpenAIEmbeddings, row=vendors.NEBIUS):
    """Embed with Nebius Token Factory."""


class SambaNovaEmbeddings(OpenAIEmbeddings, row=vendors.SAMBANOVA):
    """Embed with SambaNova."""


class QwenEmbeddings(OpenAIEmbeddings, row=vendors.QWEN):
    """Embed with Alibaba Cloud's Model Studio."""


class DatabricksEmbeddings(OpenAIEmbeddings, row=vendors.DATABRICKS):
    """Embed with Databricks."""


class CloudflareEmbeddings(OpenAIEmbeddings, row=vendors.CLOUDFLARE):
    """Embed with Cloudflare's Workers AI."""


class AzureEmbeddings(OpenAIEmbeddings, row=vendors.AZURE):
    """Embed with Azure's OpenAI, by the name of a deployment."""


class VLLMEmbeddings(OpenAIEmbeddings, row=vendors.VLLM):
    """Embed with vLLM, on a server of one's own."""


class LMStudioEmbeddings(OpenAIEmbeddings, row=vendors.LMSTUDIO):
    """Embed with LM Studio, on this machine."""


class LlamaCppEmbeddings(OpenAIEmbeddings, row=vendors.LLAMACPP):
    """Embed with llama.cpp's server, with `--embeddings`."""
