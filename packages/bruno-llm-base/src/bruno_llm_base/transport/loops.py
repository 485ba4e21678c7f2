"""One transport per event loop, closed when its loop ends."""

import asyncio
import importlib
import weakref
from collections.abc import AsyncGenerator, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.transport.reply import Transport

__all__ = ["PerLoop"]

if TYPE_CHECKING:
    from types import AsyncGeneratorType

_Loop = asyncio.AbstractEventLoop
_Keeper = AsyncGenerator[None, None]

_open: dict[int, _Keeper] = {}
"""What keeps each open transport, by the transport's id."""


class PerLoop:
    """Open a transport in each event loop that asks, and close it with the loop.

    Connections belong to the loop that opened them, so a provider that is used in a second
    `asyncio.run` needs new ones. `asyncio.run` ends by closing the asynchronous generators that are
    still open: a generator parked at its `yield` is therefore a public "the loop is ending" hook.
    Its frame holds us weakly, so that a dropped provider leaves nothing behind. Until it has closed
    its transport, it is held from outside: an error's traceback makes a cycle with its provider,
    and were the transport part of that garbage, the HTTP library would complain of it.
    """

    def __init__(self, *, needs: str) -> None:
        """Start without any.

        Args:
            needs: The module that opening one imports. It may be large, so it is imported in a
                thread beforehand, and the loop goes on turning. "" if it imports none.
        """
        self._needs = needs
        self._imported = not needs
        self._by_loop: dict[_Loop, tuple[Transport, _Keeper]] = {}

    def __del__(self) -> None:
        for loop, (transport, keeper) in self._by_loop.items():
            try:
                loop.call_soon_threadsafe(_close_in, loop, keeper)
            except RuntimeError:  # the loop died without closing anything
                _open.pop(id(transport), None)

    async def get(self, open_transport: Callable[[], Transport]) -> Transport:
        """Return the running loop's transport.

        Args:
            open_transport: Builds it, once per loop. It is not kept: a provider's own method would
                make a cycle, and a dropped provider would keep its connections.

        Raises:
            RuntimeError: No event loop of asyncio runs.
        """
        loop = _running_loop()
        entry = self._by_loop.get(loop)
        if entry is None:
            if not self._imported:  # `sys.modules` holds modules that are still being imported
                await asyncio.to_thread(_import, self._needs)
                self._imported = True
            entry = self._by_loop.get(loop) or await self._add(loop, open_transport)
        return entry[0]

    async def aclose(self) -> None:
        """Close the running loop's transport; it is opened again when next needed."""
        entry = self._by_loop.get(_running_loop())
        if entry is not None:
            await entry[1].aclose()

    async def _add(
        self, loop: _Loop, open_transport: Callable[[], Transport]
    ) -> tuple[Transport, _Keeper]:
        for old in list(self._by_loop):  # other threads may add theirs meanwhile
            if old.is_closed() and (entry := self._by_loop.pop(old, None)):
                _open.pop(id(entry[0]), None)
        transport = open_transport()
        keeper = _close_with_loop(transport, weakref.ref(self), loop)
        entry = self._by_loop[loop] = (transport, keeper)
        _open[id(transport)] = keeper
        await anext(keeper)  # does not suspend, so nobody adds a second one meanwhile
        return entry


def _running_loop() -> _Loop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "bruno-llm runs on asyncio, and no event loop of asyncio runs here: call it in a"
            " coroutine that asyncio.run() runs (with trio: in a thread of its own, or by trio-asyncio)"
        ) from None


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
        if find_spec("aiohttp"):  # it carries the requests, whoever composes them
            importlib.import_module("aiohttp")
    except ImportError as error:
        raise ConfigurationError(f"{name} cannot be imported: {error}", cause=error) from error


async def _close_with_loop(
    transport: Transport, owner: "weakref.ref[PerLoop]", loop: _Loop
) -> _Keeper:
    try:
        yield
    finally:
        holder = owner()
        if holder is not None:
            holder._by_loop.pop(loop, None)  # noqa: SLF001 - its other half
        try:
            await transport.aclose()
        finally:
            _open.pop(id(transport), None)


def _close_in(loop: _Loop, keeper: _Keeper) -> None:
    # if the loop ends before the task begins, it closes the keeper itself
    loop.create_task(_close(keeper))


async def _close(keeper: _Keeper) -> None:
    if not cast("AsyncGeneratorType[None, None]", keeper).ag_running:  # the loop is at it
        await keeper.aclose()
