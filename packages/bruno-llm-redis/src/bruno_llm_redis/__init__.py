"""Rate limits and caches that many processes share, in Redis or Valkey.

`RateLimit(store="redis://...", name=...)` and `CachedLLM(..., store="redis://...")` use it.
"""

from bruno_llm_redis.cache import cache_store
from bruno_llm_redis.store import limit_store

__all__ = ["cache_store", "limit_store"]
