"""A ledger's file."""

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from bruno_llm_base.cost.shared_ledger import Tables
from bruno_llm_base.cost.sqlite_tables import OLDEST, VERSION, SqliteTables, updates
from bruno_llm_base.sqlite_file import SqliteFile


class LedgerFile(SqliteFile[Tables]):
    """A `LedgerStore`; *clock* tells the time."""

    kind = "ledger"
    holds = "a ledger of costs"
    application = 0x42724C6C  # "BrLl"
    oldest = OLDEST
    version = VERSION

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        super().__init__(path)

    @staticmethod
    def updates(version: int) -> Iterable[str]:
        """See `SqliteFile`."""
        return updates(version)

    def tables(self, connection: sqlite3.Connection) -> SqliteTables:
        """See `SqliteFile`."""
        return SqliteTables(connection, self._clock().timestamp())
