"""Where answers are kept: in memory, or wherever an object with the methods of `CacheStore` keeps them."""

from collections import OrderedDict
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import Protocol, cast, runtime_checkable

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.forks import start_fresh_in_children
from bruno_llm_base.values import is_url, shown

_MOST_BYTES = 64 * 2**20


@runtime_checkable
class CacheStore(Protocol):
    """Keeps values under keys, for one process or many. Whatever it raises, the answer is not lost.

    One that several processes share also says which of them asks for a value that is not there.
    """

    async def get(self, key: str) -> bytes | None:
        """Return the value of *key* as it was put; None if there is none."""

    async def put(self, key: str, value: bytes) -> None:
        """Keep *value* in place of any other. A lead of *key* ends."""

    async def lead(self, key: str) -> bool:
        """Say whether this store may ask for *key*; if not, another process is asking.

        A lead ends with `put` or `release`, or by itself after a minute, as its process may have died.
        The store that has it is given it again.
        """

    async def release(self, key: str) -> None:
        """Let another process ask: this one has no value."""

    async def aclose(self) -> None:
        """Close what is open; it is opened again when needed."""


class MemoryStore:
    """Keeps what was used last, up to a size, for this process. Threads may share it."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Keep at most *most_bytes* of values."""
        self._most_bytes = most_bytes
        self.start_fresh()
        start_fresh_in_children(self)

    def start_fresh(self) -> None:
        """Keep nothing."""
        self._lock = Lock()
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    async def get(self, key: str) -> bytes | None:
        """See `CacheStore`."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    async def put(self, key: str, value: bytes) -> None:
        """See `CacheStore`."""
        with self._lock:
            self._size += len(value) - len(self._values.pop(key, b""))
            self._values[key] = value
            while self._size > self._most_bytes:
                self._size -= len(self._values.popitem(last=False)[1])

    async def lead(self, key: str) -> bool:
        """Let this process ask: no other sees what is kept here."""
        del key
        return True

    async def release(self, key: str) -> None:
        """Do nothing: there are no leads."""

    async def aclose(self) -> None:
        """Do nothing: it is there as long as the process."""


def open_store(given: object) -> CacheStore:
    """Return where answers are kept, as `CachedLLM` is told it.

    Raises:
        ConfigurationError: It is something else, or cannot be opened.
    """
    if given is None:
        return MemoryStore()
    if is_url(given):
        from bruno_llm_base.discovery import store_of

        return cast(CacheStore, store_of(given, "cache_store")(given))
    if isinstance(given, str | PathLike) and given not in ("", ":memory:"):
        from bruno_llm_base.wrappers.sqlite_store import SqliteStore  # many do without

        return SqliteStore(Path(given).resolve())
    if isinstance(given, CacheStore):
        return given
    raise ConfigurationError(
        f"store is {shown(given)}: give the path of a file, a URL such as 'redis://localhost/0', or"
        " None for memory"
    )
