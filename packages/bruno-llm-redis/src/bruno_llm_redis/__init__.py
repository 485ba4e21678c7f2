"""Rate limits that many processes share, in Redis or Valkey: `RateLimit(store="redis://...")`."""

from bruno_llm_redis.store import limit_store

__all__ = ["limit_store"]
