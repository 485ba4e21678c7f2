"""The list of models as errors quote it: asked for rarely, and by one for all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bruno_llm_base.exceptions import LLMError

__all__ = ["ModelNames"]

_KEPT_SECONDS = 60.0


class ModelNames:
    """What a provider offers, asked for at most once a minute.

    It does not hold the provider: the caller brings the request. Callers that come while it is on
    its way wait for the same answer; it is given up when no caller waits any more.
    """

    __slots__ = ("_asked", "_asking", "_names", "_waiting")

    def __init__(self) -> None:
        self._names: Sequence[str] = ()
        self._asked: float | None = None
        self._asking: asyncio.Task[None] | None = None
        self._waiting = 0

    async def names(self, ask: Callable[[], Awaitable[Sequence[str]]]) -> Sequence[str]:
        """Return the names of the models; none where the server did not tell.

        Args:
            ask: Asks the server.
        """
        loop = asyncio.get_running_loop()
        if self._asked is None or loop.time() - self._asked >= _KEPT_SECONDS:
            self._asked, self._names = loop.time(), ()
            self._asking, self._waiting = loop.create_task(self._ask(ask)), 0
        asking = self._asking
        if asking is not None and asking.get_loop() is loop:  # another loop's is not waited for
            self._waiting += 1
            try:
                await asyncio.wait([asking])
            finally:
                self._waiting -= 1
                if not self._waiting:
                    asking.cancel()
            if not asking.cancelled():
                asking.result()  # raises what is not an error of the server's
        return self._names

    async def _ask(self, ask: Callable[[], Awaitable[Sequence[str]]]) -> None:
        try:
            self._names = await ask()
        except LLMError:
            self._names = ()  # the error that is to be explained is what matters
        except asyncio.CancelledError:
            self._asked = None
            raise
        finally:
            self._asking = None
