"""A SQLite file, and the one thread that its connection lives on."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shared.contract.errors import Unavailable

T = TypeVar("T")

BUSY_S = 5.0


class SqliteFile:
    """What is committed is on disk (WAL, synchronous=FULL). `prepare` makes its tables whenever the file is opened.

    A connection that failed is opened anew for the next piece of work.
    """

    def __init__(
        self,
        path: Path,
        prepare: Callable[[sqlite3.Connection], object],
        *,
        cache_kib: int = 2048,
        wal_pages: int = 1000,
    ) -> None:
        self._path = path
        self._prepare = prepare
        self._pragmas = (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"wal_autocheckpoint={wal_pages}",
            f"cache_size=-{cache_kib}",
            "temp_store=MEMORY",
        )
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=path.stem)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What the work returns, as one transaction; Unavailable when the file cannot be used."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._drop)
        self._pool.shutdown()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._open()
            with self._connection:
                return work(self._connection)
        except (sqlite3.DatabaseError, OSError) as error:
            if not isinstance(error, OSError | sqlite3.OperationalError) and type(error) is not sqlite3.DatabaseError:
                raise  # a mistake of ours; that type itself says that the file is none of SQLite's
            self._drop()
            raise Unavailable(f"{self._path} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False)
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        with connection:
            self._prepare(connection)
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
