"""Answers in a file, which processes share."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from bruno_llm_base.forks import rest_during_forks
from bruno_llm_base.sqlite_file import PlainSqliteFile

_T = TypeVar("_T")
_LEASE = 60.0  # seconds for which a process may ask, unless it ends sooner


class _File(PlainSqliteFile):
    kind = "cache"
    holds = "a cache of answers"
    application = 0x42724C61  # "BrLa"
    schema = (
        "CREATE TABLE answers (key TEXT PRIMARY KEY, value BLOB, time REAL)",
        "CREATE TABLE leads (key TEXT PRIMARY KEY, owner TEXT, expires REAL) WITHOUT ROWID",
    )


class SqliteStore:
    """A `CacheStore` in a file. A thread of its own reads and writes it, so event loops never wait for it.

    Raises:
        ConfigurationError: The file cannot be used, or is something else; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _File(path)
        self.start_fresh()
        rest_during_forks(self)

    def start_fresh(self) -> None:
        """Begin without a connection and a lead."""
        self._file.close()
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bruno-llm-cache")
        self._me = os.urandom(8).hex()

    def rest(self) -> None:
        """Come to rest, the file closed, and stay so."""
        self._lock.acquire()
        self._file.close()

    def go_on(self) -> None:
        """Go on after a rest."""
        self._lock.release()

    async def get(self, key: str) -> bytes | None:
        """See `CacheStore`."""
        found = "SELECT value FROM answers WHERE key = ?"

        def read() -> bytes | None:
            with suppress(
                sqlite3.Error, OSError
            ):  # one that cannot be written is read all the same
                self._file.connection()
            row = self._file.read(lambda file: file.execute(found, (key,)).fetchone())
            return row[0] if row and isinstance(row[0], bytes) else None

        return await self._do(read)

    async def put(self, key: str, value: bytes) -> None:
        """See `CacheStore`."""

        def put(file: sqlite3.Connection) -> None:
            file.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, value, time.time())
            )
            file.execute("DELETE FROM leads WHERE key = ?", (key,))

        await self._do(lambda: self._file.write(put))

    async def lead(self, key: str) -> bool:
        """See `CacheStore`."""
        # one that ends later than a new one would was written before the clock was set back
        take = (
            "INSERT INTO leads VALUES (:key, :me, :now + :lease) ON CONFLICT (key) DO UPDATE"
            " SET owner = excluded.owner, expires = excluded.expires"
            " WHERE owner = excluded.owner OR expires NOT BETWEEN :now AND excluded.expires"
        )

        def lead(file: sqlite3.Connection) -> bool:
            values = {"key": key, "me": self._me, "now": time.time(), "lease": _LEASE}
            return file.execute(take, values).rowcount > 0

        return await self._do(lambda: self._file.write(lead))

    async def release(self, key: str) -> None:
        """See `CacheStore`."""
        ours = "DELETE FROM leads WHERE key = ? AND owner = ?"
        await self._do(lambda: self._file.write(lambda file: file.execute(ours, (key, self._me))))

    async def aclose(self) -> None:
        """See `CacheStore`."""
        await self._do(self._file.close)

    async def _do(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._done, work)

    def _done(self, work: Callable[[], _T]) -> _T:
        with self._lock:
            if not self._path.exists():  # it was emptied by deleting it
                self._file = _File(self._path)
            return work()
