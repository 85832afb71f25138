"""The tape in one SQLite file. Writer and reader have a thread each, so that a long look holds up no write.

A write is one transaction, on disk when it returns (WAL, synchronous=FULL).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.contract.tables import TABLES, Table
from shared.kit.columns import Columns, Row, conditions, plain
from shared.kit.sqlite_file import SqliteFile

KINDS = {"symbol": "TEXT", "text": "TEXT", "float": "REAL", "int": "INTEGER"}
WAL_PAGES = 16_384
"""64 MB: the pages of the newest rows are written into the file once, and not with each commit."""
CACHE_KIB = 65_536


class SqliteTape:
    """Tables keyed by timestamp and key, without rowids: a day's rows lie together and a repeat replaces itself."""

    def __init__(self, path: Path) -> None:
        self._writer, self._reader = (
            SqliteFile(path, _prepare, cache_kib=CACHE_KIB, wal_pages=WAL_PAGES) for _ in range(2)
        )

    async def append(self, table: Table, columns: Columns) -> None:
        names = ("timestamp", *table.columns)
        marks = ", ".join("?" * len(names))
        sql = f"INSERT OR REPLACE INTO {table.name} ({_listed(names)}) VALUES ({marks})"

        def write(connection: sqlite3.Connection) -> None:
            rows = zip(*(plain(columns[name]) for name in names), strict=True)
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


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables that are missing, and in those there are, the columns."""
    for table in TABLES:
        connection.execute(_definition(table))
        there = {name for _, name, *_ in connection.execute(f"PRAGMA table_info({table.name})")}
        for name in table.columns.keys() - there:
            connection.execute(f'ALTER TABLE {table.name} ADD COLUMN "{name}" {KINDS[table.columns[name]]}')


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
