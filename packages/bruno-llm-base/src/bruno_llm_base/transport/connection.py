"""What is known of the connection that a request takes: whether the server can have seen it."""

from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

__all__ = ["Connection", "watched"]

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


def watched(kind: Any) -> Any:
    """Return *kind*, a class of httpx clients over aiohttp, that tells of its connections.

    Only aiohttp's sessions tell of them, and only httpx's own two hooks are given the transports
    that open such sessions; httpx-aiohttp is made of the same two.
    """

    class WatchedClient(kind):  # type: ignore[misc]
        def _init_transport(self, *arguments: Any, **options: Any) -> Any:
            return _watched_transport(super()._init_transport(*arguments, **options))

        def _init_proxy_transport(self, *arguments: Any, **options: Any) -> Any:
            return _watched_transport(super()._init_proxy_transport(*arguments, **options))

    return WatchedClient


def _watched_transport(transport: Any) -> Any:
    def open_session() -> Any:
        transport.client = None  # else it would ask us again
        session = transport.get_client()
        session.trace_configs.append(_trace_config())
        return session

    transport.client = open_session
    return transport


def _trace_config() -> Any:
    import aiohttp

    config = aiohttp.TraceConfig()
    config.on_connection_queued_start.append(_on_opening)
    config.on_connection_create_start.append(_on_opening)
    config.on_connection_create_end.append(_on_opened)
    config.on_connection_reuseconn.append(_on_reused)
    config.freeze()
    return config


async def _on_opening(*_: Any) -> None:
    if (connection := _current.get()) is not None:
        connection.is_open = False


async def _on_opened(*_: Any) -> None:
    if (connection := _current.get()) is not None:
        connection.is_open, connection.is_reused = True, False


async def _on_reused(*_: Any) -> None:
    if (connection := _current.get()) is not None:
        connection.is_open, connection.is_reused = True, True
