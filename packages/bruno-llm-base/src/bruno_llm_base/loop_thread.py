"""A thread with an event loop, in which programs without one let coroutines run."""

import asyncio
import atexit
import inspect
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from bruno_llm_base.forks import start_fresh_in_children

_T = TypeVar("_T")
_MOST_AHEAD = 64  # pieces that a stream may be ahead of its reader
_LAST_WORDS = 5.0  # seconds that requests have to end when the process does
_BLOCKS = (
    "this blocks the event loop of its thread until it is done: in asynchronous code, await the method"
    " of the same name on the model itself"
)


class LoopThread:
    """One for the process: it starts with the first call, and ends with the process."""

    def __init__(self) -> None:
        self.start_fresh()
        start_fresh_in_children(self)
        atexit.register(self.stop)

    def start_fresh(self) -> None:
        """Be without a thread."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="bruno-llm-sync", daemon=True
                )
                self._thread.start()
            return self._loop

    def submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Let *coroutine* run in the loop, in the context of the caller.

        Raises:
            RuntimeError: The caller runs in the loop, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("called from within itself: in asynchronous code, use await")
        with suppress(RuntimeError):
            asyncio.get_running_loop()
            if "ipykernel" not in sys.modules:  # a notebook's cells cannot choose
                warnings.warn(_BLOCKS, RuntimeWarning, stacklevel=_callers_level())
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def stop(self) -> None:
        """Cancel what runs, let it end, and close what is open."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        ending = asyncio.run_coroutine_threadsafe(_end(), loop)
        with suppress(TimeoutError):
            ending.result(_LAST_WORDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_LAST_WORDS)
        if not thread.is_alive():
            loop.close()
        self.start_fresh()


def _callers_level() -> int:
    """Return at which level of `submit`'s stack is the first frame that is not ours."""
    frame, level = inspect.currentframe(), 0  # this function counts for that frame
    while frame is not None and frame.f_globals.get("__name__", "").startswith("bruno_llm_base."):
        frame, level = frame.f_back, level + 1
    return level


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


_thread = LoopThread()


def run_sync(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return what *coroutine* returns, such as `run_tools(...)`, in a program without an event loop.

    It runs in a thread with an event loop of its own, which all calls share, so connections stay
    open from one to the next. It also works where a loop is running, as in a notebook. Ctrl-C, and
    whatever else ends the wait, cancels it.

    Raises:
        RuntimeError: It is called from within what it runs.
    """
    future = _thread.submit(coroutine)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
    finally:
        del future  # its error's traceback holds this frame


class Pump(Iterator[_T], Generic[_T]):
    """What an asynchronous iterable yields, for a reader in another thread.

    It is read ahead by at most 64 pieces, and closed as soon as the reader leaves.
    """

    _task: Future[None] | None = None

    def __init__(self, source: AsyncIterable[_T]) -> None:
        iterator = aiter(source)  # here: the one who asks is told why it cannot be read
        self._pieces: SimpleQueue[tuple[_T] | BaseException | None] = SimpleQueue()
        self._room = asyncio.Event()
        self._is_over = False
        self._process = os.getpid()
        self._loop = _thread.loop
        self._task = _thread.submit(_pump(iterator, self._pieces, self._room))

    def __next__(self) -> _T:
        if self._is_over:
            raise StopIteration
        if os.getpid() != self._process:  # here nothing reads it
            self._is_over = True
            raise RuntimeError(
                "this was opened before the process was forked, and only its parent can read it: ask again"
            )
        try:
            item = self._pieces.get()
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if isinstance(item, tuple):
            if self._pieces.qsize() == _MOST_AHEAD // 2:
                self._loop.call_soon_threadsafe(self._room.set)
            return item[0]
        self._is_over = True
        if item is None:
            raise StopIteration
        try:
            raise item
        finally:
            del item  # its traceback holds this frame

    def close(self) -> None:
        """Read no more; what it is read from is closed."""
        self._is_over = True
        if self._task is not None and os.getpid() == self._process:
            self._pieces.put(None)  # for a thread that waits for a piece
            self._task.cancel()

    __del__ = close


async def _pump(
    iterator: AsyncIterator[_T],
    pieces: "SimpleQueue[tuple[_T] | BaseException | None]",
    room: asyncio.Event,
) -> None:
    try:
        async for piece in iterator:
            pieces.put((piece,))
            if pieces.qsize() > _MOST_AHEAD:
                room.clear()
                if (
                    pieces.qsize() > _MOST_AHEAD // 2
                ):  # else the reader has passed the mark meanwhile
                    await room.wait()
    except BaseException as error:
        pieces.put(error)
        if not isinstance(error, Exception):
            raise
    else:
        pieces.put(None)
    finally:
        if (aclose := getattr(iterator, "aclose", None)) is not None:
            await aclose()
