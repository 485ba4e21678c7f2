"""The limits of `redis://...` at `witnessed://...`: their minute is a second, and each place is written down.

What is written is the server's own time, in 1/1024 of a minute, so that no busy machine falsifies it.
"""

import os
from pathlib import Path

import bruno_llm_redis

MINUTE = 1.0


class Witnessed:
    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def take(self, tokens, limits):
        permits, wait = await self._store.take(tokens, limits)
        if permits:
            self._write_down(permits)
        return permits, wait

    def _write_down(self, permits):
        with Path(os.environ["PLACES"], str(os.getpid())).open("a") as file:
            file.writelines(f"{permit._buckets['rpm']}\n" for permit in permits)


def limit_store(url, *settings):
    return Witnessed(bruno_llm_redis.limit_store(_real(url), *settings, minute=MINUTE))


def cache_store(url):
    return bruno_llm_redis.cache_store(_real(url))


def _real(url):
    return url.replace("witnessed", "redis", 1)
