"""A server of Redis' protocol: the scripts that it runs, over one connection of one event loop."""

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.asyncio import ConnectionPool, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import MovedError, NoScriptError

SECONDS = 0.5  # that the server has for an answer
_TO_CONNECT = 2.0  # seconds, with what TLS and the login take


class Script:
    """A script, and the keys that it is run with."""

    def __init__(self, name: str, keys: Sequence[str]) -> None:
        self.text = files(__package__).joinpath(f"{name}.lua").read_text()
        self.sha = sha1(self.text.encode()).hexdigest()  # noqa: S324 - its name at the server
        self.keys = keys


class Server:
    """Runs scripts, one after the other, over one connection.

    It drives redis-py's connection itself: the client and its pool take longer than the server.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        pool: Any = ConnectionPool.from_url(
            url,
            decode_responses=True,
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
        async with self._turn:
            was_connected = self.is_connected
            try:
                return await self._run(script, words())
            except ConnectionLost:  # perhaps the server had closed it long ago
                if not was_connected:
                    raise
            return await self._run(script, words())

    async def aclose(self) -> None:
        """Close the connection."""
        await (self._connection.disconnect() if self._cluster is None else self._cluster.aclose())

    async def _run(self, script: Script, words: str) -> str:
        rest = str(len(script.keys)), *script.keys, words
        try:
            return str(await self._ask("EVALSHA", script.sha, *rest))
        except NoScriptError:
            return str(await self._ask("EVAL", script.text, *rest))

    async def _ask(self, *command: str) -> Any:
        if self._cluster is not None:
            return await self._cluster.execute_command(*command)
        try:
            return await self._ask_once(command)
        except MovedError:  # it is a cluster
            await self._connection.disconnect()
            self._cluster = RedisCluster.from_url(
                self._url,
                decode_responses=True,
                retry=Retry(NoBackoff(), 1),
                socket_timeout=SECONDS,
                socket_connect_timeout=SECONDS,
            )
            return await self._cluster.execute_command(*command)

    async def _ask_once(self, command: Sequence[str]) -> Any:
        connection = self._connection
        try:
            async with asyncio.timeout(SECONDS if connection.is_connected else _TO_CONNECT):
                await connection.send_packed_command(_packed(command), check_health=False)
                return await connection.read_response()
        except (TimeoutError, asyncio.CancelledError):
            await connection.disconnect(nowait=True)  # half an answer may be on its way
            raise


def _packed(command: Sequence[str]) -> bytes:
    """Return *command* as servers read it, in a third of the time that redis-py takes for it."""
    words = [word.encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
