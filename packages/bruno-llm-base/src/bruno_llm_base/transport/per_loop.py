"""One transport per event loop, closed when its loop ends, or when nothing uses it any more."""

import asyncio
import importlib
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

from bruno_llm_base.exceptions import ConfigurationError, LLMError
from bruno_llm_base.forks import start_fresh_in_children
from bruno_llm_base.transport.errors import transport_error
from bruno_llm_base.transport.http import most_connections
from bruno_llm_base.transport.response import Transport

if TYPE_CHECKING:
    from types import AsyncGeneratorType

_MOST_PER_TURN = 50
"""Requests that begin in one turn of the event loop: those that connect meanwhile wait for all of
them, at half a millisecond each, and would time out behind thousands."""

_Loop = asyncio.AbstractEventLoop
_Keeper = AsyncGenerator[None, None]
_NO_LOOP = (
    "bruno-llm runs on asyncio, and no event loop of asyncio runs here: call it in a coroutine that"
    " asyncio.run() runs (with trio: in a thread of its own, or by trio-asyncio)"
)


class _Entry(NamedTuple):
    transport: Transport
    keeper: _Keeper
    finalizer: "weakref.finalize[..., PerLoop]"


class PerLoop:
    """Open a transport in each event loop that asks, and close it with the loop.

    Connections belong to the loop that opened them, so a provider that is used in a second
    `asyncio.run` needs new ones. `asyncio.run` ends by closing the asynchronous generators that are
    still open: a generator parked at its `yield` is therefore a public "the loop is ending" hook.
    A finalizer holds it too, from outside, and closes it when the provider is dropped: a transport
    in the same garbage as its provider would have its HTTP library complain first.
    """

    def __init__(self, *, needs: str) -> None:
        """Name the module that opening one *needs*; "" for none.

        It may be large, so both are done in a thread, and the loop goes on turning.
        """
        self._needs = needs
        self._by_loop: dict[_Loop, _Entry] = {}
        self._opening = weakref.WeakKeyDictionary[_Loop, asyncio.Lock]()
        self._lines = weakref.WeakKeyDictionary[_Loop, _Line]()

    async def get(self, open_transport: Callable[[], Transport]) -> Transport:
        """Return the running loop's transport, which *open_transport* builds once per loop.

        Raises:
            RuntimeError: No event loop of asyncio runs.
        """
        loop = _running_loop()
        entry = self._by_loop.get(loop)
        if entry is None:
            async with self._opening.setdefault(loop, asyncio.Lock()):
                entry = self._by_loop.get(loop) or await self._add(loop, open_transport)
        return entry.transport

    @property
    def connections(self) -> asyncio.Semaphore:
        """The line in which requests of the running loop wait while too many are under way."""
        loop = asyncio.get_running_loop()
        if (line := self._lines.get(loop)) is None:
            line = self._lines[loop] = _Line()
        return line

    async def aclose(self) -> None:
        """Close the running loop's transport; it is opened again when next needed."""
        entry = self._by_loop.get(_running_loop())
        if entry is not None:
            await entry.keeper.aclose()

    async def _add(self, loop: _Loop, open_transport: Callable[[], Transport]) -> _Entry:
        for old in list(self._by_loop):  # other threads may add theirs meanwhile
            if old.is_closed():
                self._forget(old)
        try:
            if self._needs:  # an SDK, its client and certificates take a second
                transport = await asyncio.to_thread(_open, self._needs, open_transport)
            else:
                transport = open_transport()
        except LLMError:
            raise
        except Exception as error:  # noqa: BLE001 - of any library
            ours = transport_error(error)
            raise ours from ours.cause
        closing = _Closing(transport)
        keeper = _close_with_loop(closing, weakref.ref(self), loop)
        finalizer = weakref.finalize(self, _close_soon, loop, closing, keeper)
        finalizer.atexit = False
        entry = self._by_loop[loop] = _Entry(transport, keeper, finalizer)
        await anext(keeper)  # does not suspend, so no second one is added meanwhile
        return entry

    def _forget(self, loop: _Loop) -> None:
        if entry := self._by_loop.pop(loop, None):
            entry.finalizer.detach()


def _running_loop() -> _Loop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(_NO_LOOP) from None


class _Line(asyncio.Semaphore):
    """Where requests wait while too many are under way, or begin at once."""

    def __init__(self) -> None:
        super().__init__(most_connections())
        self._beginning = asyncio.Semaphore(_MOST_PER_TURN)

    async def acquire(self) -> Literal[True]:
        await super().acquire()
        try:
            await self._beginning.acquire()
        except BaseException:
            self.release()
            raise
        asyncio.get_running_loop().call_soon(self._beginning.release)
        return True


class _OneAtATime:
    """Lets one thread load its SDK at a time, while none composes a request.

    openai's SDK uses httpx, while it loads and when it composes, as soon as another thread has begun
    to import it.
    """

    def __init__(self) -> None:
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        self.lock = threading.Lock()


_LOADING = _OneAtATime()
_LOADING_SECONDS = 0.005


@asynccontextmanager
async def nothing_loads() -> AsyncGenerator[None, None]:
    """Wait until no thread loads an SDK, and let none begin within the block."""
    lock = _LOADING.lock
    while not lock.acquire(blocking=False):  # noqa: ASYNC110 - a lock of threads tells no loop
        await asyncio.sleep(_LOADING_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _open(needs: str, open_transport: Callable[[], Transport]) -> Transport:
    with _LOADING.lock:
        try:
            importlib.import_module(needs)
            if find_spec("aiohttp"):  # it carries the requests, whichever client composes them
                importlib.import_module("aiohttp")
        except ImportError as error:
            raise ConfigurationError(f"{needs} cannot be imported: {error}", cause=error) from error
        return open_transport()


class _Closing:
    """Closes a transport once, when its provider is dropped or its loop ends, or both at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._task: asyncio.Task[None] | None = None

    async def wait(self) -> None:
        if self._task is None or self._task.cancelled():  # the end of a loop cancels its tasks
            self._task = asyncio.create_task(self._transport.aclose())
        await self._task
        _dropped.pop(self, None)


_dropped: dict[_Closing, _Keeper] = {}
"""Of providers that are gone, until they are closed: a loop that ends cancels the task that closes
them, and asks the keepers that there are instead."""


async def _close_with_loop(
    closing: _Closing, owner: "weakref.ref[PerLoop]", loop: _Loop
) -> _Keeper:
    try:
        yield
    finally:
        if (holder := owner()) is not None:
            holder._forget(loop)  # noqa: SLF001 - its other half
        await closing.wait()


def _close_soon(loop: _Loop, closing: _Closing, keeper: _Keeper) -> None:
    if not loop.is_closed():
        _dropped[closing] = keeper
        loop.call_soon_threadsafe(lambda: loop.create_task(_close(closing, keeper)))


async def _close(closing: _Closing, keeper: _Keeper) -> None:
    await closing.wait()
    if not cast("AsyncGeneratorType[None, None]", keeper).ag_running:  # the loop is at it
        await keeper.aclose()
