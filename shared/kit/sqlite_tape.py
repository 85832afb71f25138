"""The tape in one SQLite file. Writer and reader have a thread each, so that a long look holds up no write.

A write is one transaction, on disk when it returns (WAL, synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from shared.contract.errors import Unavailable
from shared.contract.tables import TABLES, Table
from shared.kit.columns import Columns, Row, conditions, plain

T = TypeVar("T")

KINDS = {"symbol": "TEXT", "text": "TEXT", "float": "REAL", "int": "INTEGER"}
BUSY_S = 5.0


class SqliteTape:
    """Tables keyed by timestamp and key, without rowids: a day's rows lie together and a repeat replaces itself."""

    def __init__(self, path: Path) -> None:
        self._writer = _Thread(path, "tape-writer")
        self._reader = _Thread(path, "tape-reader")

    async def append(self, table: Table, columns: Columns) -> None:
        names = ("timestamp", *table.columns)
        marks = ", ".join("?" * len(names))
        sql = f"INSERT OR REPLACE INTO {table.name} ({_listed(names)}) VALUES ({marks})"
        rows = zip(*(plain(columns[name]) for name in names), strict=True)

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(sql, rows)

        await self._writer.run(write)

    async def read(
        self,
        table: Table,
        *,
        where: Mapping[str, str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        names = ("timestamp", *table.columns)
        clause, values = _where(table, where)
        sql = f"SELECT {_listed(names)} FROM {table.name} WHERE {clause}"
        for bound, sign in ((start_ns, ">="), (end_ns, "<")):
            if bound is not None:
                sql += f" AND timestamp {sign} {int(bound)}"
        sql += f" ORDER BY timestamp LIMIT {int(limit)}"
        found = await self._reader.run(lambda connection: connection.execute(sql, values).fetchall())
        return [dict(zip(names, row, strict=True)) for row in found]

    async def count(self, table: Table, *, where: Mapping[str, str] | None = None) -> int:
        clause, values = _where(table, where)
        sql = f"SELECT count(*) FROM {table.name} WHERE {clause}"
        return await self._reader.run(lambda connection: connection.execute(sql, values).fetchone()[0])

    async def ping(self) -> None:
        await self._writer.run(lambda connection: connection.execute("SELECT 1").fetchone())

    async def close(self) -> None:
        await self._writer.close()
        await self._reader.close()


class _Thread:
    """One connection and the thread it lives on. A connection that failed is opened anew for the next piece of work."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._pool, self._drop)
        self._pool.shutdown()

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = _open(self._path)
            return work(self._connection)
        except (sqlite3.OperationalError, OSError) as error:
            self._drop()
            raise Unavailable(f"the tape {self._path} cannot be used: {error}") from error

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    for table in TABLES:
        connection.execute(_definition(table))
    connection.commit()
    return connection


def _definition(table: Table) -> str:
    columns = [f'"{name}" {KINDS[kind]}' + " NOT NULL" * (name in table.key) for name, kind in table.columns.items()]
    key = _listed(("timestamp", *table.key))
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} "
        f"(timestamp INTEGER NOT NULL, {', '.join(columns)}, PRIMARY KEY ({key})) WITHOUT ROWID"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _where(table: Table, where: Mapping[str, str] | None) -> tuple[str, list[str]]:
    names, values = conditions(table, where)
    return " AND ".join(["TRUE", *(f'"{name}" = ?' for name in names)]), values
