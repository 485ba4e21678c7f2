"""The names of OpenTelemetry's GenAI conventions, version 0.1.0, and our own beside them.

https://github.com/open-telemetry/semantic-conventions-genai: all of it is in development, and a later
version may rename anything. No other module spells a name.
"""

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai/0.1.0"

# -- attributes of spans and metrics --------------------------------------------------------------

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"
MODALITY = "gen_ai.token.modality"

# -- attributes of spans --------------------------------------------------------------------------

STREAM = "gen_ai.request.stream"
OUTPUT_TYPE = "gen_ai.output.type"
FINISH_REASONS = "gen_ai.response.finish_reasons"
RESPONSE_ID = "gen_ai.response.id"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
COMPACTED = "gen_ai.conversation.compacted"
PROMPT = {"name": "gen_ai.prompt.name", "version": "gen_ai.prompt.version"}
STATUS_CODE = "http.response.status_code"

OPTIONS = {
    "temperature": ("gen_ai.request.temperature", float),
    "max_tokens": ("gen_ai.request.max_tokens", int),
    "top_p": ("gen_ai.request.top_p", float),
    "top_k": ("gen_ai.request.top_k", int),
    "seed": ("gen_ai.request.seed", int),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", float),
    "presence_penalty": ("gen_ai.request.presence_penalty", float),
    "dimensions": ("gen_ai.embeddings.dimension.count", int),
    "reasoning": ("gen_ai.request.reasoning.level", str),
}
"""Our options, with the attribute and the type of each."""

STOP_SEQUENCES = "gen_ai.request.stop_sequences"

USAGE = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "input_audio_tokens": "gen_ai.usage.audio.input_tokens",
    "input_image_tokens": "gen_ai.usage.image.input_tokens",
    "output_audio_tokens": "gen_ai.usage.audio.output_tokens",
}
"""The counts of our `Usage`, with the attribute of each."""

# what is said, where it is wanted
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"

TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_ARGUMENTS = "gen_ai.tool.call.arguments"
TOOL_RESULT = "gen_ai.tool.call.result"

# -- values ---------------------------------------------------------------------------------------

GENERATE_CONTENT = "generate_content"
"""What the conventions call a chat of Google's APIs."""
FUNCTION = "function"
"""The type of a tool that the application runs."""

# -- metrics --------------------------------------------------------------------------------------

DURATION = {
    "chat": "gen_ai.client.inference.duration",
    "embeddings": "gen_ai.client.embeddings.duration",
    "execute_tool": "gen_ai.execute_tool.duration",
    "rerank": "gen_ai.client.operation.duration",
}
"""The histogram of seconds, by our name of the operation."""

TIME_TO_FIRST_CHUNK_METRIC = "gen_ai.client.inference.time_to_first_chunk"
SECONDS = tuple(0.01 * 2**power for power in range(14))

SPENT = {
    "input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "cache_read_tokens": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.client.inference.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.client.inference.usage.reasoning.output_tokens",
}
"""The counters of tokens, for sums; the last three count what is part of the first two."""

PER_OPERATION = {
    "input_tokens": "gen_ai.client.inference.operation.input_tokens",
    "output_tokens": "gen_ai.client.inference.operation.output_tokens",
}
EMBEDDED = "gen_ai.client.embeddings.operation.input_tokens"
"""Histograms of tokens, for percentiles."""
TOKENS = tuple(4**power for power in range(14))

# -- our own: the conventions know no money and no attempts ---------------------------------------

COST = "bruno_llm.cost.usd"
COST_METRIC = "bruno_llm.cost"
TAG = "bruno_llm.tag"
ATTEMPTS = "bruno_llm.attempts"
ESTIMATED = "bruno_llm.usage_estimated"
ABANDONED = "bruno_llm.abandoned"
FALLBACK = "fallback"
"""The span of a `FallbackLLM`, which the conventions do not know."""
CACHE = "cache"
"""The span of an answer that a `CachedLLM` had kept."""
EVENTS = "bruno_llm."
"""What the names of our events on spans begin with, and of their attributes."""
