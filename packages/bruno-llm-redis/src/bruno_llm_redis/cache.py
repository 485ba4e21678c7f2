"""Keeps answers in a server of Redis' protocol, and which process is asking for one."""

import asyncio
import time
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

from bruno_llm_base.forks import start_fresh_in_children
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from bruno_llm_redis.server import Address, Server

_SECONDS = 2.0  # that the server has for an answer, which may be long
_KEPT = 90 * 86_400_000  # milliseconds; a server that is full may forget earlier
_LEAD = 60.0  # seconds
_CIRCUIT = 5.0  # seconds in which a server that did not answer is left alone

_PUT = """
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
"""
_TAKE_LEAD = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


def cache_store(url: str, *, lead: float = _LEAD) -> "AnswerStore":
    """Return what keeps answers at *url*; the first question connects.

    Tests may shorten a *lead*, in seconds.

    Raises:
        ConfigurationError: The URL is malformed.
    """
    return AnswerStore(Address.of(url, "store"), lead)


class AnswerStore:
    """A `CacheStore`. What is wrong with the server is raised, and costs no answer."""

    def __init__(self, address: Address, lead: float) -> None:
        self._address = address
        self._lead = str(int(lead * 1000))
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Be another process, with no connection."""
        self._me = uuid4().hex
        self._away_until = 0.0
        self._servers: WeakKeyDictionary[asyncio.AbstractEventLoop, Server] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.place})"

    async def get(self, key: str) -> bytes | None:
        """See `CacheStore`."""
        value: bytes | None = await self._ask("GET", _place(key))
        return value

    async def put(self, key: str, value: bytes) -> None:
        """See `CacheStore`."""
        places = _place(key), f"{_place(key)}:lead"
        await self._ask("EVAL", _PUT, "2", *places, self._me, value, str(_KEPT))

    async def lead(self, key: str) -> bool:
        """See `CacheStore`."""
        place = f"{_place(key)}:lead"
        said = await self._ask("EVAL", _TAKE_LEAD, "1", place, self._me, self._lead)
        return bool(said)

    async def release(self, key: str) -> None:
        """See `CacheStore`."""
        await self._ask("EVAL", _RELEASE, "1", f"{_place(key)}:lead", self._me)

    async def aclose(self) -> None:
        """Close the connection of this event loop."""
        if (server := self._servers.get(asyncio.get_running_loop())) is not None:
            await server.aclose()

    async def _ask(self, *command: str | bytes) -> Any:
        loop = asyncio.get_running_loop()
        if (server := self._servers.get(loop)) is None:
            server = self._servers[loop] = Server(self._address.url, _SECONDS)
        if time.monotonic() < self._away_until:
            raise ConnectionError(f"{self._address.place} did not answer lately")
        try:
            return await server.ask(*command)
        except (AuthenticationError, AuthorizationError, NoPermissionError) as error:
            raise ConnectionError(
                f"{self._address.place} refuses us ({type(error).__name__}): give a login that may run"
                " scripts, and read and write keys that begin with 'bruno-llm:'"
            ) from error
        except (OSError, TimeoutError, RedisConnectionError) as error:
            self._away_until = time.monotonic() + _CIRCUIT
            raise ConnectionError(f"{self._address.place} does not answer") from error


def _place(key: str) -> str:
    return f"bruno-llm:cache:{{{key}}}"  # a cluster keeps what is in braces in one slot
