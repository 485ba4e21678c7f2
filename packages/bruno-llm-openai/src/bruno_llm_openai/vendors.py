"""The vendors that speak OpenAI's Chat Completions, one row each.

A row says what is different there, and where that was read; see `VendorRow`. A row of yours needs no
place here: see `OpenAIProvider.at_vendor`, and `[vendors.NAME]` in a file of configuration.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from bruno_llm_openai.row import ReasoningFields, VendorRow

_ON, _OFF = {"thinking": {"type": "enabled"}}, {"thinking": {"type": "disabled"}}
_GRADED = ReasoningFields(levels=("low", "medium", "high"))
_GRADED_OR_NOT = ReasoningFields(levels=("none", "low", "medium", "high"))
_LOW_HIGH_MAX = ReasoningFields(levels=("low", "high", "max"))
_SWITCH = ReasoningFields(levels=("none", "high"), effort="", on=_ON, off=_OFF)
_NESTED = ReasoningFields(effort="reasoning.effort", budget="reasoning.max_tokens")
_CLAUDES = ReasoningFields(effort="", budget="thinking.budget_tokens", on=_ON, off=_OFF)
_KEPT = {"thinking": {"type": "enabled", "clear_thinking": False}}  # thoughts that go back count
_GLM = {
    r"glm-5\.3": replace(_LOW_HIGH_MAX, on=_KEPT),
    r"glm-5\.2": replace(_GRADED_OR_NOT, on=_KEPT, off=_OFF),
    r"glm-(4\.[5-9]|5)": replace(_SWITCH, on=_KEPT),
    "": None,
}
_QWENS = ReasoningFields(
    effort="",
    budget="thinking_budget",
    on={"enable_thinking": True},
    off={"enable_thinking": False},
)
_ENABLED = ReasoningFields(  # Together's
    levels=("none", "high"),
    effort="",
    on={"reasoning": {"enabled": True}},
    off={"reasoning": {"enabled": False}},
)
_TEMPLATE = ReasoningFields(
    levels=("none", "low", "medium", "high"),
    effort="chat_template_kwargs.reasoning_effort",
    on={"chat_template_kwargs": {"enable_thinking": True}},
    off={"chat_template_kwargs": {"enable_thinking": False}},
)
_SAMPLING = frozenset({"temperature", "top_p"})
_OWN = "it runs on your own machines"

OPENROUTER = VendorRow(
    name="openrouter",
    base_url="https://openrouter.ai/api/v1",
    default_model="openrouter/auto",
    reasoning=_NESTED,
    reasoning_field="reasoning_details",
    source="https://openrouter.ai/docs/api/reference/overview, openrouter 1.3.84, 2026-11-28",
)
AZURE = VendorRow(
    name="azure",
    base_url="https://{AZURE_OPENAI_ENDPOINT}/openai/v1",
    hosts=("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
    api_key_env=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
    output_limit="max_completion_tokens",
    telemetry_name="azure.ai.openai",
    media_types=("image/*", "audio/*"),
    source="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle, 2026-11-28",
)
DEEPSEEK = VendorRow(
    name="deepseek",
    base_url="https://api.deepseek.com",
    default_model="deepseek-v4-pro",
    refused_options=frozenset({"seed"}),
    reasoning=ReasoningFields(levels=("none", "low", "high", "max"), on=_ON, off=_OFF),
    needs_thoughts=True,
    schemas="json_object",
    media_types={"deepseek-flash": ("image/*",), "": ()},
    source="https://api-docs.deepseek.com/api/create-chat-completion, 2026-11-28",
)
GROQ = VendorRow(
    name="groq",
    base_url="https://api.groq.com/openai/v1",
    default_model="openai/gpt-oss-120b",
    output_limit="max_completion_tokens",
    reasoning={"openai/gpt-oss": _GRADED, r"qwen/qwen3\.8": _GRADED_OR_NOT, "": None},
    reasoning_field="reasoning",
    think_tags=True,
    schemas={"openai/gpt-oss": "strict", "": "loose"},
    media_types={"openai/gpt-oss": (), "": ("image/*",)},
    source="https://console.groq.com/docs/api-reference, groq 1.7.0, 2026-11-28",
)
# Its error 3230 is "Unexpected role 'user' after role 'tool'".
_TOOLS_OF_MISTRAL: Any = {"call_ids": re.compile("[a-zA-Z0-9]{9}"), "needs_answers": True}
MISTRAL = VendorRow(
    name="mistral",
    base_url="https://api.mistral.ai/v1",
    default_model="mistral-medium-latest",
    option_names={"seed": "random_seed", "stream_options": ""},
    reasoning=ReasoningFields(levels=("none", "high")),
    reasoning_field="content",
    **_TOOLS_OF_MISTRAL,
    telemetry_name="mistral_ai",
    limit_headers="x-ratelimit-{what}-{unit}-minute",
    source="https://docs.mistral.ai/api, mistralai 3.7.0, 2026-11-28",
)
XAI = VendorRow(
    name="xai",
    base_url="https://api.x.ai/v1",
    default_model="grok-4.7",
    output_limit="max_completion_tokens",
    refused_options={r"grok-(3-mini|4|code|build)": frozenset({"stop"})},
    reasoning={r"grok-(3-mini|4\.3)": _GRADED_OR_NOT, r"grok-4\.\d": _GRADED, "": None},
    price_name="x-ai",
    telemetry_name="x_ai",
    media_types=("image/*",),
    source="https://docs.x.ai/developers/model-capabilities/text/reasoning, 2026-11-28",
)
TOGETHER = VendorRow(
    name="together",
    base_url="https://api.together.xyz/v1",
    default_model="openai/gpt-oss-120b",
    reasoning={"openai/gpt-oss": _GRADED, "": _ENABLED},
    reasoning_field="reasoning",
    media_types=("image/*", "video/*", "audio/*"),
    source="https://docs.together.ai/reference/chat-completions, together 3.1.1, 2026-11-28",
)
FIREWORKS = VendorRow(
    name="fireworks",
    base_url="https://api.fireworks.ai/inference/v1",
    default_model="accounts/fireworks/models/gpt-oss-120b",
    reasoning={".*(gpt-oss|minimax-m2)": _GRADED, "": _GRADED_OR_NOT},
    media_types=("image/*", "video/*"),
    source="https://docs.fireworks.ai/api-reference/post-chatcompletions, fireworks-ai 1.2.30, 2026-11-28",
)
CEREBRAS = VendorRow(
    name="cerebras",
    base_url="https://api.cerebras.ai/v1",
    default_model="gpt-oss-120b",
    output_limit="max_completion_tokens",
    reasoning={"gpt-oss": _GRADED, r"(zai-glm-5\.3|kimi-k3)": _LOW_HIGH_MAX, "": _GRADED_OR_NOT},
    reasoning_field="reasoning",
    limit_headers="x-ratelimit-{what}-{unit}-minute",
    media_types={"gpt-oss": (), "": ("image/*",)},
    source="https://inference-docs.cerebras.ai/capabilities/reasoning, 2026-11-28",
)
PERPLEXITY = VendorRow(
    name="perplexity",
    base_url="https://api.perplexity.ai/v1",
    api_key_env=("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
    default_model="perplexity/sonar",
    option_names={"response_format": "response_format"},
    api="responses",  # the other one ended on 2026-09-27
    reasoning=ReasoningFields(levels=("minimal", "low", "medium", "high", "xhigh")),
    sends_back=False,
    schemas="loose",
    source="https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar, 2026-11-28",
)
MOONSHOT = VendorRow(
    name="moonshot",
    base_url="https://api.moonshot.ai/v1",
    default_model="kimi-k3",
    refused_options={r"kimi-k(2\.[5-9]|3)": _SAMPLING},
    reasoning={r"kimi-k2\.[56]": _SWITCH, "kimi-k3": _LOW_HIGH_MAX, "": None},
    needs_thoughts=True,
    schemas="json_object",
    price_name="moonshotai",
    telemetry_name="moonshot_ai",
    source="https://platform.kimi.ai/docs/guide/use-reasoning-effort, 2026-11-28",
)
QWEN = VendorRow(
    name="qwen",
    base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    hosts=("dashscope-intl.aliyuncs.com", "dashscope.aliyuncs.com"),
    api_key_env=("DASHSCOPE_API_KEY", "QWEN_API_KEY", "ALIBABA_API_KEY"),
    default_model="qwen3.7-plus",
    reasoning=_QWENS,
    schemas="loose",
    media_types=("image/*", "video/*", "audio/*"),
    error_kinds={"insufficient_quota": "RateLimitError"},  # of a minute
    source="https://help.aliyun.com/en/model-studio/error-code, 2026-11-28",
)
ZAI = VendorRow(
    name="zai",
    base_url="https://api.z.ai/api/paas/v4",
    default_model="glm-5.3",
    reasoning=_GLM,
    schemas="json_object",
    media_types=("image/*", "video/*"),
    source="https://docs.z.ai/guides/capabilities/thinking-mode, zai-sdk 0.2.3, 2026-11-28",
)
NEBIUS = VendorRow(
    name="nebius",
    base_url="https://api.tokenfactory.nebius.com/v1",
    hosts=("api.tokenfactory.nebius.com", "api.studio.nebius.com", "api.studio.nebius.ai"),
    default_model="openai/gpt-oss-120b",
    reasoning={"openai/gpt-oss": _GRADED, "": None},
    media_types=("image/*",),
    source="https://docs.tokenfactory.nebius.com/api-reference/introduction, 2026-11-28",
)
SAMBANOVA = VendorRow(
    name="sambanova",
    base_url="https://api.sambanova.ai/v1",
    default_model="gpt-oss-120b",
    reasoning={"gpt-oss": _GRADED, "": None},
    reasoning_field="reasoning",
    think_tags=True,
    schemas="loose",
    media_types=("image/*",),
    source="https://docs.sambanova.ai/docs/en/api-reference/overview, sambanova 1.13.0, 2026-11-28",
)
HUGGINGFACE = VendorRow(
    name="huggingface",
    base_url="https://router.huggingface.co/v1",
    api_key_env=("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_API_KEY"),
    default_model="openai/gpt-oss-120b",
    reasoning={"openai/gpt-oss": _GRADED, "": None},
    schemas="loose",
    media_types=("image/*",),
    source="https://huggingface.co/docs/inference-providers/tasks/chat-completion, 2026-11-28",
)
DATABRICKS = VendorRow(
    name="databricks",
    base_url="https://{DATABRICKS_HOST}/serving-endpoints",
    hosts=("cloud.databricks.com", "azuredatabricks.net", "gcp.databricks.com"),
    api_key_env=("DATABRICKS_TOKEN", "DATABRICKS_API_KEY"),
    default_model="databricks-gpt-oss-120b",
    reasoning={"databricks-gpt": _GRADED, "databricks-claude": _CLAUDES, "": None},
    reasoning_field="content",
    models_path=None,
    media_types=("image/*",),
    source="https://docs.databricks.com/aws/en/machine-learning/model-serving/query-reason-models, 2026-11-28",
)
SNOWFLAKE = VendorRow(
    name="snowflake",
    base_url="https://{SNOWFLAKE_ACCOUNT}.snowflakecomputing.com/api/v2/cortex/v1",
    hosts=("snowflakecomputing.com",),
    api_key_env=("SNOWFLAKE_TOKEN", "SNOWFLAKE_PAT", "SNOWFLAKE_JWT"),
    default_model="claude-sonnet-5-5",
    output_limit="max_completion_tokens",
    reasoning={"claude": _NESTED, "openai": ReasoningFields(), "": None},
    schemas={"claude|openai": "loose", "": "json_object"},
    models_path=None,
    source="https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-rest-api, 2026-11-28",
)
CLOUDFLARE = VendorRow(
    name="cloudflare",
    base_url="https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
    api_key_env=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"),
    default_model="@cf/openai/gpt-oss-120b",
    reasoning={"@cf/openai/gpt-oss": _GRADED, "": None},
    schemas="loose",
    models_path=None,
    media_types=("image/*",),
    source="https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility, 2026-11-28",
)

VLLM = VendorRow(
    name="vllm",
    base_url="http://localhost:8000/v1",
    needs_key=False,
    reasoning=_GRADED_OR_NOT,
    reasoning_field="reasoning",
    schemas="loose",
    free=_OWN,
    media_types=("image/*", "video/*", "audio/*"),
    source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html, 2026-11-28",
)
LMSTUDIO = VendorRow(
    name="lmstudio",
    base_url="http://localhost:1234/v1",
    api_key_env=("LM_API_TOKEN", "LM_STUDIO_API_KEY"),
    needs_key=False,
    reasoning=ReasoningFields(levels=("none", "low", "medium", "high", "xhigh")),
    schemas="loose",
    free=_OWN,
    media_types=("image/*",),
    source="https://lmstudio.ai/docs/developer/openai-compat, 2026-11-28",
)
LLAMACPP = VendorRow(
    name="llamacpp",
    base_url="http://localhost:8080/v1",
    api_key_env=("LLAMACPP_API_KEY", "LLAMA_API_KEY"),
    needs_key=False,
    default_model="default",
    reasoning=_TEMPLATE,
    schemas="loose",
    free=_OWN,
    media_types=("image/*", "audio/*"),
    source="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md, 2026-11-28",
)
LLAMAFILE = VendorRow(
    name="llamafile",
    base_url="http://localhost:8080/v1",
    needs_key=False,
    default_model="LLaMA_CPP",
    reasoning=_TEMPLATE,
    schemas="loose",
    free=_OWN,
    media_types=("image/*",),
    source="https://github.com/mozilla-ai/llamafile, 2026-11-28",
)

ROWS: Mapping[str, VendorRow] = {
    row.name: row for row in list(globals().values()) if isinstance(row, VendorRow)
}
"""Each of them, by its name."""


def row_at(url: str) -> VendorRow:
    """Return the row of the vendor at *url*, or one that says nothing but where that is."""
    host = urlsplit(url).hostname or ""
    found = (row for row in ROWS.values() if row.is_at(host))
    return next(found, VendorRow(name=host, base_url=url))
