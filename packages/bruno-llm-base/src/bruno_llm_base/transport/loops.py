"""One transport per event loop, closed when its loop ends."""

import asyncio
import importlib
import weakref
from collections.abc import AsyncGenerator, Callable

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.transport.http import has_aiohttp
from bruno_llm_base.transport.reply import Transport

__all__ = ["PerLoop"]

_Loop = asyncio.AbstractEventLoop


class PerLoop:
    """Open a transport in each event loop that asks, and close it with the loop.

    Connections belong to the loop that opened them, so a provider that is used in a second
    `asyncio.run` needs new ones. `asyncio.run` ends by closing the asynchronous generators that are
    still open: a generator parked at its `yield` is therefore a public "the loop is ending" hook.
    Its frame holds us weakly, so that a dropped provider leaves nothing behind.
    """

    def __init__(self, *, needs: str) -> None:
        """Start without any.

        Args:
            needs: The module that opening one imports. It may be large, so it is imported in a
                thread beforehand, and the loop goes on turning. "" if it imports none.
        """
        self._needs = needs
        self._imported = not needs
        self._by_loop: dict[_Loop, tuple[Transport, AsyncGenerator[None, None]]] = {}

    async def get(self, open_transport: Callable[[], Transport]) -> Transport:
        """Return the running loop's transport.

        Args:
            open_transport: Builds it, once per loop. It is not kept: a provider's own method would
                make a cycle, and a dropped provider would keep its connections.
        """
        loop = asyncio.get_running_loop()
        entry = self._by_loop.get(loop)
        if entry is None:
            if not self._imported:  # `sys.modules` holds modules that are still being imported
                await asyncio.to_thread(_import, self._needs)
                self._imported = True
            entry = self._by_loop.get(loop) or await self._add(loop, open_transport)
        return entry[0]

    async def aclose(self) -> None:
        """Close the running loop's transport; it is opened again when next needed."""
        entry = self._by_loop.get(asyncio.get_running_loop())
        if entry is not None:
            await entry[1].aclose()

    async def _add(
        self, loop: _Loop, open_transport: Callable[[], Transport]
    ) -> tuple[Transport, AsyncGenerator[None, None]]:
        for old in list(self._by_loop):  # other threads may add theirs meanwhile
            if old.is_closed():
                self._by_loop.pop(old, None)
        transport = open_transport()
        keeper = _close_with_loop(transport, weakref.ref(self), loop)
        entry = self._by_loop[loop] = (transport, keeper)
        await anext(keeper)  # does not suspend, so nobody adds a second one meanwhile
        return entry


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
        if has_aiohttp():  # it carries the requests, whoever composes them
            importlib.import_module("aiohttp")
    except ImportError as error:
        raise ConfigurationError(f"{name} cannot be imported: {error}", cause=error) from error


async def _close_with_loop(
    transport: Transport, owner: "weakref.ref[PerLoop]", loop: _Loop
) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        holder = owner()
        if holder is not None:
            holder._by_loop.pop(loop, None)  # noqa: SLF001 - its other half
        await transport.aclose()
