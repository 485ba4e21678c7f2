"""One call on its way through a cache: is the answer there, is it being asked for, is it to be kept."""

import asyncio
import copy
import json
import threading
import time
import zlib
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import partial
from math import isfinite
from typing import Any, TypeVar, get_args

from bruno_llm_base.events import CacheHit, CacheUnusable
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    LLMError,
    OutputInvalidError,
    PermissionDeniedError,
)
from bruno_llm_base.forks import start_fresh_in_children
from bruno_llm_base.log import Observers
from bruno_llm_base.parts import part_from_json, part_to_json
from bruno_llm_base.policies import check_seconds
from bruno_llm_base.response import Cost, FinishReason, ModelResponse, Usage, checked
from bruno_llm_base.values import shown
from bruno_llm_base.wrappers.cache_store import CacheStore, open_store

_T = TypeVar("_T")
_SCHEMA = 1  # of what is kept: change it with what `encoded` writes
_LARGE = 1024  # bytes: what is longer is compressed
_PATIENCE = 60.0  # seconds for which a call waits for one that asks the same; then it asks itself
_SHORTEST, _LONGEST = 0.05, 1.0  # seconds between two looks at what another process asks for
_FREE = Cost(total=Decimal(0), parts={}, source="the cache")
_COMPLETE = ("stop", "tool_call", None)  # a bare interface does not say
_OF_THE_QUESTION = (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    PermissionDeniedError,
)
"""Errors that all who ask the same would get."""
_TEXTS = ("finish_reason", "finish_detail", "model", "id", "request_id", "provider")


def is_kept(response: ModelResponse[Any]) -> bool:
    """Whether *response* is a whole answer that says something."""
    says_something = response.text.strip() or response.tool_calls or response.media
    return response.finish_reason in _COMPLETE and bool(says_something)


def encoded(response: ModelResponse[Any], now: float) -> bytes:
    """Return *response*, which came *now*, as it is kept."""
    said = {name: getattr(response, name) for name in _TEXTS}
    said |= {
        "schema": _SCHEMA,
        "time": now,
        "parts": list(map(part_to_json, response.parts)),
        "usage": asdict(response.usage),
        "usage_estimated": response.usage_estimated,
    }
    data = json.dumps(said).encode()
    return zlib.compress(data) if len(data) > _LARGE else data


def decoded(value: bytes | None, now: float) -> tuple[float, ModelResponse[Any]] | None:
    """Return the age of a kept answer in seconds, and the answer; None if it is none that we can read."""
    if value is None:
        return None
    try:
        said = json.loads(value if value[:1] == b"{" else zlib.decompress(value))
        if said["schema"] != _SCHEMA or not isfinite(said["time"]):
            return None
        texts = {name: said[name] for name in _TEXTS}
        if not all(isinstance(text, str | None) for text in texts.values()):
            return None
        if texts["finish_reason"] not in (None, *get_args(FinishReason)):
            return None
        response: ModelResponse[Any] = checked(
            ModelResponse(
                **texts,
                parts=tuple(map(part_from_json, said["parts"])),
                usage=Usage(**said["usage"]),
                usage_estimated=bool(said["usage_estimated"]),
                cost=_FREE,
                cached=True,
            )
        )
    except (KeyError, TypeError, ValueError, RecursionError, zlib.error):
        return None
    return abs(now - said["time"]), response  # a clock may have been set back


class Cache:
    """A store, which may fail, and who asks for what in this process, in all threads and loops."""

    def __init__(
        self,
        store: CacheStore,
        max_age: float | None,
        observers: Observers,
        provider: str,
        operation: str,
    ) -> None:
        self.store = store
        self._max_age = max_age
        self._observers = observers
        self._known = {"provider": provider, "model": None, "operation": operation}
        self._failing: set[str] = set()  # what the store could not do last
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Know of no call."""
        self._lock = threading.RLock()  # a stream that is collected meanwhile reports its end
        self._flights: dict[str, Future[bytes | None]] = {}

    def join(self, key: str) -> "Future[bytes | None] | None":
        """Return what the call will end with that asks for *key*; None makes this call that one."""
        with self._lock:
            if (flight := self._flights.get(key)) is None:
                flight = self._flights[key] = Future()
                flight.set_running_or_notify_cancel()  # those who wait cannot cancel it
                return None
            return flight

    def land(self, key: str, value: bytes | None, error: BaseException | None = None) -> None:
        """End the call that asks for *key*: with its value, without one, or with an error."""
        with self._lock:
            flight = self._flights.pop(key, None)
        if flight is not None and error is not None:
            flight.set_exception(error)
        elif flight is not None:
            flight.set_result(value)

    def read(self, value: bytes | None) -> tuple[float, ModelResponse[Any]] | None:
        """Return the age of the answer in *value* and the answer, unless it is too old."""
        found = decoded(value, time.time())
        is_old = found is not None and self._max_age is not None and found[0] > self._max_age
        return None if is_old else found

    async def tried(self, asked: Coroutine[Any, Any, _T], otherwise: _T) -> _T:
        """Return what the store says, or *otherwise* if it cannot be used."""
        name = getattr(asked, "__name__", "")
        try:
            said = await asked
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the answer counts
            if not self._failing:
                self.tell(CacheUnusable, reason=str(error))
            self._failing.add(name)
            return otherwise
        self._failing.discard(name)
        return said

    def tell(self, kind: type[CacheHit | CacheUnusable], **facts: Any) -> None:
        """Tell observers of something that happened here."""
        self._observers.tell(kind, **self._known | facts)


def open_cache(
    *,
    store: object,
    max_age: float | None,
    namespace: str | None,
    observers: Observers,
    provider: str,
    operation: str,
) -> Cache:
    """Return the cache with the settings of a user.

    Raises:
        ConfigurationError: A value is wrong, or the store cannot be opened.
    """
    if max_age is not None:
        check_seconds("max_age", max_age)
    if namespace is not None and (not isinstance(namespace, str) or not namespace):
        raise ConfigurationError(f"namespace is {shown(namespace)}: give a text")
    return Cache(open_store(store), max_age, observers, provider, operation)


def _fitting(response: ModelResponse[Any], output: Any) -> ModelResponse[Any] | None:
    """Return *response* with its output, if one is asked for; None where the type has changed."""
    if output is None:
        return response
    from bruno_llm_base.output import Output, read_output

    try:
        return read_output(response, Output.of(output))
    except OutputInvalidError:
        return None


class _Left(Exception):  # noqa: N818 - no error: the call has ended, and another is to ask
    pass


@dataclass(slots=True, eq=False)
class Lookup:
    """One call: `find` the answer, else ask, and then `keep` the answer, or `fail`.

    Attributes:
        key: Of the answer; None where there can be none.
        model: The model that is asked.
        refresh: Whether what is kept is not to be used, but replaced.
        context: Where the call was made, if the answer is streamed.
    """

    cache: Cache
    key: str | None
    model: str | None
    refresh: bool = False
    context: Context | None = None
    _leads: bool = False
    _leads_all: bool = False

    async def find(self, output: Any) -> ModelResponse[Any] | None:
        """Return the answer, waited for if another call asks for it; None: ask, and say what came of it.

        It has the *output* that is asked for, if any.
        """
        if self.key is None or self.refresh:
            return None
        began = time.monotonic()
        found = None
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                found = await self._find(self.key)
        if found is None or (response := _fitting(found[1], output)) is None:
            return None
        duration = time.monotonic() - began
        facts = {"model": self.model, "streamed": self.context is not None}
        run = copy_context().run if self.context is None else self.context.run
        run(partial(self.cache.tell, CacheHit, age=found[0], duration=duration, **facts))
        return response

    async def _find(self, key: str) -> tuple[float, ModelResponse[Any]] | None:
        while (flight := self.cache.join(key)) is not None:
            try:
                # a call that ended without an answer to keep leaves all to ask by themselves
                return self.cache.read(await asyncio.wrap_future(flight))
            except _Left:
                continue
            except LLMError as error:
                raise copy.copy(error) from None  # each call adds its own facts to it
        self._leads = True
        try:
            return await self._look(key)
        except BaseException:
            self.leave()
            raise

    async def _look(self, key: str) -> tuple[float, ModelResponse[Any]] | None:
        """Look into the store, until the answer is there or no other process asks for it."""
        cache, wait = self.cache, _SHORTEST
        while True:
            value = await cache.tried(cache.store.get(key), None)
            if (found := cache.read(value)) is not None:
                self._leads = False
                if self._leads_all:
                    await cache.tried(cache.store.release(key), None)
                cache.land(key, value)
                return found
            if self._leads_all:
                return None
            self._leads_all = await cache.tried(cache.store.lead(key), otherwise=True)
            if not self._leads_all:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST)

    async def keep(self, response: ModelResponse[Any]) -> None:
        """Keep *response*, the answer to the call, if it is whole."""
        value = None
        try:
            if self.key is not None and is_kept(response) and not response.cached:
                value = encoded(response, time.time())
                await self.cache.tried(self.cache.store.put(self.key, value), None)
            else:
                await self._release()
        finally:
            self._end(value)

    async def fail(self, error: BaseException) -> None:
        """Say that the call has ended without an answer."""
        if isinstance(error, LLMError):
            is_of_all = isinstance(error, _OF_THE_QUESTION) and not error.retryable
            self._end(None, error if is_of_all else None)
        else:
            self.leave()  # it was cancelled
        await self._release()

    def leave(self) -> None:
        """Let another call of this process ask in place of this one."""
        self._end(None, _Left())

    async def _release(self) -> None:
        if self.key is not None and self._leads_all:
            self._leads_all = False
            await self.cache.tried(self.cache.store.release(self.key), None)

    def _end(self, value: bytes | None, error: BaseException | None = None) -> None:
        if self.key is not None and self._leads:
            self._leads = False
            self.cache.land(self.key, value, error)
