"""0.2.0's `bruno_llm.base`, deprecated: see `bruno_llm_base`.

What its classes were for is on the path of every request now; their names say where.
"""

from bruno_llm._old import alias, old_names

_MOVED = {
    "BaseEmbeddingProvider": "bruno_llm_base.BaseEmbeddings",
    "BaseProvider": "bruno_llm_base.BaseProvider",
}

_COUNTING = "use a provider's count_tokens() and count_text()"
_CONTEXT = "use bruno_llm_base.ContextPolicy, as a provider's context="
_COST = "use bruno_llm_base.CostTracker, as a provider's cost="
_PRICES = "use bruno_llm_base.Price, in CostTracker(prices=...); current prices are built in"
_CACHE = "it has no successor: keep the answers of generate() in a store of your own"
_STREAM = "use bruno_llm_base.TextStream, which stream() returns: .words(), .sentences(), .response"
_MIDDLEWARE = "use a provider's observers="
_RETRY = "use bruno_llm_base.Retry, as a provider's retry="

_GONE = {
    "TokenCounter": _COUNTING,
    "SimpleTokenCounter": _COUNTING,
    "TikTokenCounter": _COUNTING,
    "create_token_counter": _COUNTING,
    "RateLimiter": "use bruno_llm_base.RateLimit, as a provider's rate_limit=",
    "RetryConfig": _RETRY,
    "RetryDecorator": _RETRY,
    "retry_async": _RETRY,
    "CostTracker": _COST,
    "UsageRecord": _COST,
    "PRICING_OPENAI": _PRICES,
    "PRICING_CLAUDE": _PRICES,
    "PRICING_OLLAMA": _PRICES,
    "ResponseCache": _CACHE,
    "CacheEntry": _CACHE,
    "ContextWindowManager": _CONTEXT,
    "ContextLimits": _CONTEXT,
    "TruncationStrategy": _CONTEXT,
    "MODEL_LIMITS": "use a provider's context_window()",
    "StreamBuffer": _STREAM,
    "StreamStats": _STREAM,
    "StreamAggregator": _STREAM,
    "StreamProcessor": _STREAM,
    "stream_with_timeout": "use bruno_llm_base.Timeouts, as a provider's timeouts=",
    "Middleware": _MIDDLEWARE,
    "MiddlewareChain": _MIDDLEWARE,
    "LoggingMiddleware": "use logging: every request is logged on the logger 'bruno_llm'",
    "CachingMiddleware": _CACHE,
    "ValidationMiddleware": "use bruno_llm_base.InvalidRequestError: every provider checks",
    "RetryMiddleware": _RETRY,
}

__all__ = list(_MOVED)
__getattr__ = old_names(__name__, _MOVED, gone=_GONE)
alias(
    __name__,
    "base_provider",
    "cache",
    "context",
    "cost_tracker",
    "embedding_interface",
    "middleware",
    "rate_limiter",
    "retry",
    "streaming",
    "token_counter",
)
