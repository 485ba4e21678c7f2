"""A server of Redis' protocol, asked over one connection of one event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from bruno_llm_base.exceptions import ConfigurationError
from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, NoScriptError

_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_SECONDS = 0.5  # that the server has for an answer
_TO_CONNECT = 2.0  # seconds, with what TLS and the login take


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is: what redis-py takes, and the same to be shown."""

    url: str
    place: str

    @classmethod
    def of(cls, url: str, field: str) -> "Address":
        """Return that of *url*, which was given as *field*.

        Raises:
            ConfigurationError: It is malformed.
        """
        scheme, _, rest = url.partition("://")
        scheme = _SCHEMES.get(scheme.lower(), scheme.lower())
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            place = f"{parts.hostname or 'localhost'}:{parts.port or 6379}{parts.path}"
            if parts.path.strip("/") and not parts.path.strip("/").isdigit():
                raise ValueError  # noqa: TRY301 - redis-py would take database 0 instead
            pool: Any = ConnectionPool.from_url(parts.geturl())
            pool.make_connection()  # reads the options
        except (TypeError, ValueError):  # its words may hold the password
            raise ConfigurationError(
                f"{field} is not the URL of a server: give one such as"
                " 'redis://user:password@host:6379/0', with options that redis-py knows"
            ) from None
        return cls(parts.geturl(), f"{scheme}://{place}")


class Script:
    """A script, and the keys that it is run with."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        self.text = files(__package__).joinpath(f"{name}.lua").read_text()
        self.sha = sha1(self.text.encode()).hexdigest()  # noqa: S324 - its name at the server
        self.keys = keys


class Server:
    """Asks one thing after the other, over one connection.

    It drives redis-py's connection itself: the client and its pool take longer than the server.
    """

    def __init__(self, url: str, seconds: float = _SECONDS) -> None:
        """Give each answer so many *seconds*."""
        self._url = url
        self._seconds = seconds
        pool: Any = ConnectionPool.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # `_ask_once` has the one timer
        )
        self._connection = pool.make_connection()
        self._cluster: RedisCluster | None = None
        self._turn = asyncio.Lock()

    @property
    def is_connected(self) -> bool:
        """Whether it was reached and has not gone away since."""
        return self._cluster is not None or self._connection.is_connected

    async def run(self, script: Script, words: Callable[[], str]) -> str:
        """Return what *script* says of *words*, which it takes apart."""
        keys = str(len(script.keys)), *script.keys

        async def ask() -> Any:
            said = words()
            try:
                return await self._ask("EVALSHA", script.sha, *keys, said)
            except NoScriptError:
                return await self._ask("EVAL", script.text, *keys, said)

        said: bytes = await self._tried(ask)
        return said.decode()

    async def ask(self, *command: str | bytes) -> Any:
        """Return the answer to *command*."""
        return await self._tried(lambda: self._ask(*command))

    async def _tried(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turn:
            was_connected = self.is_connected
            try:
                return await ask()
            except ConnectionLost:  # perhaps the server had closed it long ago
                if not was_connected:
                    raise
            return await ask()

    async def aclose(self) -> None:
        """Close the connection."""
        await (self._connection.disconnect() if self._cluster is None else self._cluster.aclose())

    async def _ask(self, *command: str | bytes) -> Any:
        if self._cluster is not None:
            return await self._cluster.execute_command(*command)
        try:
            return await self._ask_once(command)
        except MovedError:  # it is a cluster
            await self._connection.disconnect()
            self._cluster = RedisCluster.from_url(
                self._url,
                retry=Retry(NoBackoff(), 1),
                socket_timeout=self._seconds,
                socket_connect_timeout=self._seconds,
            )
            return await self._cluster.execute_command(*command)

    async def _ask_once(self, command: Sequence[str | bytes]) -> Any:
        connection = self._connection
        try:
            async with asyncio.timeout(self._seconds if connection.is_connected else _TO_CONNECT):
                await connection.send_packed_command(_packed(command), check_health=False)
                return await connection.read_response()
        except (TimeoutError, asyncio.CancelledError):
            await connection.disconnect(nowait=True)  # half an answer may be on its way
            raise


def _packed(command: Sequence[str | bytes]) -> bytes:
    """Return *command* as servers read it, in a third of the time that redis-py takes for it."""
    words = [word if isinstance(word, bytes) else word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
