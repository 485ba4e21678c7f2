"""Providers of the vendors that speak OpenAI's protocol; `vendors.py` says what is different there."""

from bruno_llm_openai import vendors
from bruno_llm_openai.provider import OpenAIProvider


class OpenRouterProvider(OpenAIProvider, row=vendors.OPENROUTER):
    """OpenRouter (https://openrouter.ai/docs), which passes requests on to some hundred vendors."""


class AzureProvider(OpenAIProvider, row=vendors.AZURE):
    """OpenAI's models on Azure (https://learn.microsoft.com/azure/foundry/openai); a model's name is its deployment's."""


class DeepSeekProvider(OpenAIProvider, row=vendors.DEEPSEEK):
    """DeepSeek (https://api-docs.deepseek.com)."""


class GroqProvider(OpenAIProvider, row=vendors.GROQ):
    """Groq (https://console.groq.com/docs)."""


class MistralProvider(OpenAIProvider, row=vendors.MISTRAL):
    """Mistral (https://docs.mistral.ai/api)."""


class XAIProvider(OpenAIProvider, row=vendors.XAI):
    """xAI (https://docs.x.ai)."""


class TogetherProvider(OpenAIProvider, row=vendors.TOGETHER):
    """Together AI (https://docs.together.ai)."""


class FireworksProvider(OpenAIProvider, row=vendors.FIREWORKS):
    """Fireworks AI (https://docs.fireworks.ai)."""


class CerebrasProvider(OpenAIProvider, row=vendors.CEREBRAS):
    """Cerebras (https://inference-docs.cerebras.ai)."""


class PerplexityProvider(OpenAIProvider, row=vendors.PERPLEXITY):
    """Perplexity's Agent API (https://docs.perplexity.ai/docs/agent-api)."""


class MoonshotProvider(OpenAIProvider, row=vendors.MOONSHOT):
    """Moonshot's Kimi (https://platform.kimi.ai/docs)."""


class QwenProvider(OpenAIProvider, row=vendors.QWEN):
    """Alibaba's Model Studio (https://help.aliyun.com/en/model-studio)."""


class ZAIProvider(OpenAIProvider, row=vendors.ZAI):
    """Z.AI (https://docs.z.ai)."""


class NebiusProvider(OpenAIProvider, row=vendors.NEBIUS):
    """Nebius Token Factory (https://docs.tokenfactory.nebius.com)."""


class SambaNovaProvider(OpenAIProvider, row=vendors.SAMBANOVA):
    """SambaNova (https://docs.sambanova.ai)."""


class HuggingFaceProvider(OpenAIProvider, row=vendors.HUGGINGFACE):
    """Hugging Face's Inference Providers (https://huggingface.co/docs/inference-providers)."""


class DatabricksProvider(OpenAIProvider, row=vendors.DATABRICKS):
    """Databricks' model serving (https://docs.databricks.com/aws/en/machine-learning/model-serving)."""


class SnowflakeProvider(OpenAIProvider, row=vendors.SNOWFLAKE):
    """Snowflake Cortex (https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api)."""


class CloudflareProvider(OpenAIProvider, row=vendors.CLOUDFLARE):
    """Cloudflare Workers AI (https://developers.cloudflare.com/workers-ai)."""


class VLLMProvider(OpenAIProvider, row=vendors.VLLM):
    """A vLLM of yours (https://docs.vllm.ai)."""


class LMStudioProvider(OpenAIProvider, row=vendors.LMSTUDIO):
    """LM Studio on your machine (https://lmstudio.ai/docs/developer)."""


class LlamaCppProvider(OpenAIProvider, row=vendors.LLAMACPP):
    """A llama.cpp of yours (https://github.com/ggml-org/llama.cpp/tree/master/tools/server)."""


class LlamafileProvider(OpenAIProvider, row=vendors.LLAMAFILE):
    """A llamafile of yours (https://github.com/mozilla-ai/llamafile)."""
