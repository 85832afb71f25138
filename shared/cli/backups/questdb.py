"""The tape in QuestDB, copied out of it at one moment, and put back.

A row that QuestDB took is in its log, and is seen once it is in its table. What a query has begun to read stays as it
was, however long that takes and whatever is written meanwhile. So a look waits for the logs, begins a query on each
table in the moment, and reads on afterwards.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg

from shared.cli.trouble import Trouble
from shared.contract.errors import Unavailable
from shared.contract.tables import TABLES, Table
from shared.kit.columns import Columns
from shared.kit.questdb_tape import ADDRESS, QuestTape
from shared.kit.sqlite_tape import SqliteTape

ANSWERS_WITHIN_S = 10
READS_WITHIN_S = 300.0
SEEN_WITHIN_S = 60.0
ROWS_AT_ONCE = 20_000
ROW_BYTES = 160
"""About so much of a file does a row take."""

LOGS = "SELECT name, suspended, writerTxn AS seen, sequencerTxn AS taken FROM wal_tables()"


class QuestLook:
    """The project's tables as they are when they are pinned."""

    def __init__(self, pg: str) -> None:
        self._pg = pg
        self._line: Any = None
        self._reading: Any = None
        self._there: list[Table] = []
        self._begun: dict[str, tuple[Any, list[Any]]] = {}

    async def settle(self) -> int:
        self._line = await _connected(self._pg)
        taken = await _logs(self._line)
        self._there = [table for table in TABLES if table.name in taken]
        await _until_seen(self._line, taken)
        rows = [await self._line.fetchval(f"SELECT count() FROM {table.name}") for table in self._there]
        return sum(rows) * ROW_BYTES

    async def pin(self) -> None:
        if self._reading is not None:
            await self._reading.rollback()
        self._reading = self._line.transaction()
        await self._reading.start()
        for table in self._there:
            names = ", ".join(f'"{name}"' for name in table.columns)
            query = await self._line.cursor(f"SELECT cast(timestamp as long) at_ns, {names} FROM {table.name}")
            # A query begins when its first rows are asked for.
            self._begun[table.name] = (query, await query.fetch(1, timeout=ANSWERS_WITHIN_S))

    async def copy(self, path: Path) -> None:
        tape = SqliteTape(path)
        try:
            for table in self._there:
                query, rows = self._begun[table.name]
                while rows:
                    await tape.append(table, _columns(table, rows))
                    rows = await query.fetch(ROWS_AT_ONCE, timeout=READS_WITHIN_S)
        finally:
            await tape.close()

    async def aclose(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.close(timeout=ANSWERS_WITHIN_S)


async def check_empty(pg: str, *, replace: bool) -> None:
    """`Trouble` when a tape is there already that is not to be replaced."""
    line = await _connected(pg)
    try:
        held = await _held(line)
    finally:
        await line.close(timeout=ANSWERS_WITHIN_S)
    if held and not replace:
        raise Trouble(
            f"the tape in QuestDB at {pg} is not empty ({', '.join(held)}); --replace moves it aside, or "
            "TRADE2026_QUESTDB_HTTP and TRADE2026_QUESTDB_PG name another one"
        )


async def put_back(saved: Path, http: str, pg: str, stamp: str) -> list[str]:
    """Write a saved tape into QuestDB, until every row of it is seen; where that lies now which was there before."""
    line = await _connected(pg)
    try:
        aside = [f"{name}_before_{stamp}" for name in await _held(line)]
        for name in aside:
            await line.execute(f"RENAME TABLE '{name.removesuffix(f'_before_{stamp}')}' TO '{name}'")
        await _fill(saved, QuestTape(http, pg))
        await _until_seen(line, await _logs(line))
        await _check_whole(saved, line)
        return aside
    finally:
        await line.close(timeout=ANSWERS_WITHIN_S)


async def _fill(saved: Path, tape: QuestTape) -> None:
    try:
        await tape.ping()  # makes the tables
        with closing(sqlite3.connect(saved)) as file:
            for table in TABLES:
                names = ", ".join(f'"{name}"' for name in ("timestamp", *table.columns))
                rows = file.execute(f"SELECT {names} FROM {table.name} ORDER BY timestamp")
                while some := rows.fetchmany(ROWS_AT_ONCE):
                    await tape.append(table, _columns(table, some))
    except Unavailable as error:
        raise Trouble(f"{error.detail}; a part of the tape is in QuestDB now: try again with --replace") from None
    finally:
        await tape.close()


async def _check_whole(saved: Path, line: Any) -> None:
    with closing(sqlite3.connect(saved)) as file:
        for table in TABLES:
            [wanted] = file.execute(f"SELECT count(*) FROM {table.name}").fetchone()
            found = await line.fetchval(f"SELECT count() FROM {table.name}")
            if found != wanted:
                raise Trouble(f"QuestDB has {found} rows of {table.name}, and {wanted} were saved; see its log")


def _columns(table: Table, rows: list[Any]) -> Columns:
    """Rows, each in the table's order after its time."""
    return dict(zip(("timestamp", *table.columns), zip(*rows, strict=True), strict=True))


async def _connected(pg: str) -> Any:
    try:
        # QuestDB keeps no prepared statements from one use of a connection to the next.
        return await asyncpg.connect(ADDRESS.format(pg), statement_cache_size=0, timeout=ANSWERS_WITHIN_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Trouble(f"QuestDB does not answer at {pg}: {error or type(error).__name__}") from None


async def _held(line: Any) -> list[str]:
    """The project's tables that have rows."""
    there = await _logs(line)
    counted = [(t.name, await line.fetchval(f"SELECT count() FROM {t.name}")) for t in TABLES if t.name in there]
    return [name for name, rows in counted if rows]


async def _logs(line: Any) -> dict[str, int]:
    """The last write that each of the project's tables has taken."""
    ours = {table.name for table in TABLES}
    return {one["name"]: one["taken"] for one in await line.fetch(LOGS) if one["name"] in ours}


async def _until_seen(line: Any, taken: dict[str, int]) -> None:
    """Return once those writes are seen."""
    try:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while late := [one for one in await line.fetch(LOGS) if one["seen"] < taken.get(one["name"], 0)]:
                if stuck := [one["name"] for one in late if one["suspended"]]:
                    raise Trouble(
                        f"QuestDB has suspended {', '.join(stuck)}, and shows nothing of what it took since; "
                        "ALTER TABLE … RESUME WAL, once what its log says is mended"
                    )
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Trouble(f"QuestDB is {SEEN_WITHIN_S:.0f} s behind with its own log; try again later") from None
