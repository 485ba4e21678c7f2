"""What every bruno-llm provider is made of.

Users need `LLMFactory`, the policies, the types and the errors; authors of providers need
`BaseProvider` and what its hooks take and give.
"""

from typing import TYPE_CHECKING

from bruno_llm_base import exceptions
from bruno_llm_base.access import Access, Vendor
from bruno_llm_base.adapter import ChatAdapter, EmbeddingAdapter, EmbeddingResponse
from bruno_llm_base.context import ContextPolicy, Window
from bruno_llm_base.error_mapping import ErrorFacts
from bruno_llm_base.events import Diagnosis
from bruno_llm_base.exceptions import *  # noqa: F403 - all of them
from bruno_llm_base.language_model import LanguageModel
from bruno_llm_base.lazy import late_names
from bruno_llm_base.limits import LimitState, RateLimit
from bruno_llm_base.media_rules import MediaRules
from bruno_llm_base.messages import (
    Conversation,
    MessageDict,
    Messages,
    Turn,
    assistant,
    system,
    user,
)
from bruno_llm_base.parts import (
    Json,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
    VendorBlock,
)
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider import BaseProvider, ProviderKeywords
from bruno_llm_base.response import NOTHING, Cost, FinishReason, ModelResponse, TokenCount, Usage
from bruno_llm_base.stream import TextStream

if TYPE_CHECKING:
    from bruno_llm_base.batch.map import MapItem
    from bruno_llm_base.batch.sync import SyncBatch
    from bruno_llm_base.batch.vendor import Batch, BatchState
    from bruno_llm_base.batch.vendor_results import BatchItem
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.price import Price, PriceSource
    from bruno_llm_base.cost.prices import GenaiPrices
    from bruno_llm_base.cost.tracker import CostTracker
    from bruno_llm_base.discovery import ProviderInfo
    from bruno_llm_base.embeddings import BaseEmbeddings
    from bruno_llm_base.factory import EmbeddingFactory, LLMFactory
    from bruno_llm_base.loop_thread import run_sync
    from bruno_llm_base.mcp import mcp_tools
    from bruno_llm_base.media import MediaPolicy
    from bruno_llm_base.output import Output
    from bruno_llm_base.sync import SyncEmbeddings, SyncLLM, SyncStream
    from bruno_llm_base.tool_loop import ToolResponse, ToolStream, run_tools, stream_tools
    from bruno_llm_base.tools import Tool
    from bruno_llm_base.wrappers import Breaker, FallbackLLM
    from bruno_llm_base.wrappers.cached import CachedLLM
    from bruno_llm_base.wrappers.cached_embeddings import CachedEmbeddings

__all__ = [
    "NOTHING",
    "Access",
    "BaseEmbeddings",
    "BaseProvider",
    "Batch",
    "BatchItem",
    "BatchState",
    "Breaker",
    "Budget",
    "CachedEmbeddings",
    "CachedLLM",
    "ChatAdapter",
    "ContextPolicy",
    "Conversation",
    "Cost",
    "CostTracker",
    "Diagnosis",
    "EmbeddingAdapter",
    "EmbeddingFactory",
    "EmbeddingResponse",
    "ErrorFacts",
    "FallbackLLM",
    "FinishReason",
    "GenaiPrices",
    "Json",
    "LLMFactory",
    "LanguageModel",
    "LimitState",
    "MapItem",
    "Media",
    "MediaPolicy",
    "MediaRules",
    "MessageDict",
    "Messages",
    "ModelResponse",
    "Output",
    "Part",
    "Price",
    "PriceSource",
    "ProviderInfo",
    "ProviderKeywords",
    "RateLimit",
    "Reasoning",
    "Retry",
    "SyncBatch",
    "SyncEmbeddings",
    "SyncLLM",
    "SyncStream",
    "Text",
    "TextStream",
    "Timeouts",
    "TokenCount",
    "Tool",
    "ToolCall",
    "ToolResponse",
    "ToolResult",
    "ToolStream",
    "Turn",
    "Usage",
    "Vendor",
    "VendorBlock",
    "Window",
    "assistant",
    "mcp_tools",
    "run_sync",
    "run_tools",
    "stream_tools",
    "system",
    "user",
]
__all__ += exceptions.__all__

# Loaded when first used: a provider by itself needs none of them.
__getattr__, __dir__ = late_names(
    __name__,
    {
        "batch.map": ["MapItem"],
        "batch.sync": ["SyncBatch"],
        "batch.vendor": ["Batch", "BatchState"],
        "batch.vendor_results": ["BatchItem"],
        "cost.budget": ["Budget"],
        "cost.price": ["Price", "PriceSource"],
        "cost.prices": ["GenaiPrices"],
        "cost.tracker": ["CostTracker"],
        "discovery": ["ProviderInfo"],
        "embeddings": ["BaseEmbeddings"],
        "output": ["Output"],
        "factory": ["EmbeddingFactory", "LLMFactory"],
        "mcp": ["mcp_tools"],
        "media": ["MediaPolicy"],
        "tool_loop": ["ToolResponse", "ToolStream", "run_tools", "stream_tools"],
        "tools": ["Tool"],
        "loop_thread": ["run_sync"],
        "sync": ["SyncEmbeddings", "SyncLLM", "SyncStream"],
        "wrappers": ["Breaker", "FallbackLLM"],
        "wrappers.cached": ["CachedLLM"],
        "wrappers.cached_embeddings": ["CachedEmbeddings"],
    },
)
