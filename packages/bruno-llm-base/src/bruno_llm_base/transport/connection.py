"""What is known of the connection that a request takes: whether the server can have seen it."""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

__all__ = ["Connection", "watch"]

_current: ContextVar["Connection | None"] = ContextVar("bruno_llm_connection", default=None)


@dataclass(slots=True, eq=False)
class Connection:
    """What a client of our own tells of the connection that it takes, within a `with` block.

    Attributes:
        is_open: Whether there is one; None where nothing is told.
        is_reused: Whether it has carried another request before; None where nothing is told.
    """

    is_open: bool | None = None
    is_reused: bool | None = None
    _token: "Token[Connection | None]" = field(init=False)

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not GeneratorExit:  # a task that was thrown away ends in another context
            _current.reset(self._token)


def watch(client: Any) -> None:
    """Have *client*, one of httpx's over aiohttp, tell of its connections: only aiohttp's sessions do."""
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - no public door
        transport.client = partial(_open_session, transport)


def _open_session(transport: Any) -> Any:
    import aiohttp

    config = aiohttp.TraceConfig()
    config.on_connection_queued_start.append(_told(is_open=False))
    config.on_connection_create_start.append(_told(is_open=False))
    config.on_connection_create_end.append(_told(is_open=True, is_reused=False))
    config.on_connection_reuseconn.append(_told(is_open=True, is_reused=True))
    config.freeze()
    transport.client = None  # else it would ask us again
    session = transport.get_client()
    session.trace_configs.append(config)
    return session


def _told(*, is_open: bool, is_reused: bool | None = None) -> Callable[..., Awaitable[None]]:
    async def tell(*_: object) -> None:
        if (connection := _current.get()) is not None:
            connection.is_open, connection.is_reused = is_open, is_reused

    return tell
