"""The tape in QuestDB: written over its line protocol on HTTP, read over its PostgreSQL wire.

A write is in the server's log, on its disk, when it returns; a reader sees it a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pyarrow as pa
from questdb import QuestDBError, QuestDBErrorCode, Sender

from shared.contract.errors import Unavailable
from shared.contract.tables import TABLES, Table
from shared.kit.columns import Columns, Row, as_arrow, conditions

KINDS = {"symbol": "SYMBOL", "text": "VARCHAR", "float": "DOUBLE", "int": "LONG"}
TIMEOUT_S = 5.0
ADDRESS = "postgresql://admin:quest@{}/qdb"
"""Of a server that listens for PostgreSQL's words at host:port."""

_OUR_FAULT = {
    QuestDBErrorCode.InvalidApiCall,
    QuestDBErrorCode.InvalidName,
    QuestDBErrorCode.InvalidTimestamp,
    QuestDBErrorCode.InvalidUtf8,
}

_REJECTED = '"code":"invalid"'
"""In the server's words when it read the rows and will not have them."""


class QuestTape:
    """One sender on a thread of its own, and a small pool of connections for reading."""

    def __init__(self, http: str, pg: str) -> None:
        self._http = http
        self._pg = pg
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tape-writer")
        self._sender: Sender | None = None
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def append(self, table: Table, columns: Columns) -> None:
        await self._open()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._write, table, columns)
        except Unavailable:
            # The server that comes back may be a new one: the tables are made sure of before the next write, since the
            # line protocol would make up a missing table without its keys.
            self._drop_pool()
            raise

    async def read(
        self,
        table: Table,
        *,
        where: Mapping[str, str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        clause, values = _where(table, where)
        bounds = [
            f"timestamp {sign} cast({int(bound)} as timestamp_ns)"
            for bound, sign in ((start_ns, ">="), (end_ns, "<"))
            if bound is not None
        ]
        # `*`, because "count" by name would be taken for the aggregate; at_ns, because the wire rounds to microseconds.
        sql = (
            f"SELECT *, cast(timestamp as long) at_ns FROM {table.name} "
            f"WHERE {' AND '.join([clause, *bounds])} LIMIT {int(limit)}"
        )
        found = await self._ask(sql, values)
        return [{"timestamp": one["at_ns"], **{name: one[name] for name in table.columns}} for one in found]

    async def count(self, table: Table, *, where: Mapping[str, str] | None = None) -> int:
        clause, values = _where(table, where)
        found = await self._ask(f"SELECT count() FROM {table.name} WHERE {clause}", values)
        return found[0][0]

    async def ping(self) -> None:
        await self._ask("SELECT 1", [])

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._drop_sender)
        self._thread.shutdown()
        self._drop_pool()

    # Reading.

    async def _ask(self, sql: str, values: list[str]) -> list[asyncpg.Record]:
        pool = await self._open()
        with _unavailable("QuestDB does not answer"):
            async with asyncio.timeout(TIMEOUT_S):
                return await pool.fetch(sql, *values)

    async def _open(self) -> asyncpg.Pool:
        """Connect once, and make the tables that are missing, and in those there are, the columns."""
        async with self._opening:
            if self._pool is None:
                with _unavailable("QuestDB cannot be reached"):
                    # QuestDB keeps no prepared statements from one use of a connection to the next.
                    pool = await asyncpg.create_pool(
                        ADDRESS.format(self._pg),
                        min_size=1,
                        max_size=4,
                        statement_cache_size=0,
                        timeout=TIMEOUT_S,
                        reset=_keep,
                    )
                    for table in TABLES:
                        await _make(pool, table)
                    self._pool = pool
            return self._pool

    def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    # Writing, on its thread.

    def _write(self, table: Table, columns: Columns) -> None:
        try:
            if self._sender is None:
                self._sender = Sender.from_conf(
                    f"http::addr={self._http};auto_flush=off;request_timeout={int(TIMEOUT_S * 1000)};retry_timeout=0;"
                )
                self._sender.establish()
            self._sender.dataframe(_framed(table, columns), table_name=table.name, at="timestamp")
            self._sender.flush()
        except QuestDBError as error:
            # What the sender holds is unknown now; the rows come again as a whole.
            self._drop_sender()
            if error.code in _OUR_FAULT or _REJECTED in str(error):
                raise
            raise Unavailable(f"QuestDB did not take a write to {table.name}: {error}") from error
        except BaseException:
            self._drop_sender()
            raise

    def _drop_sender(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close(flush=False)


def _framed(table: Table, columns: Columns) -> Any:
    """The rows as the client takes columns. pandas is imported here, since only this tape has any use for it."""
    import pandas as pd

    times = as_arrow(columns["timestamp"], "int").to_numpy(zero_copy_only=False)
    frame: dict[str, Any] = {"timestamp": times.view("datetime64[ns]")}
    for name, kind in table.columns.items():
        if kind == "symbol":
            frame[name] = _words(columns[name])
        elif kind == "text":
            frame[name] = pd.Series(pd.arrays.ArrowExtensionArray(as_arrow(columns[name], kind)))
        else:
            column = as_arrow(columns[name], kind)
            holes = kind == "int" and column.null_count  # which numpy would fill with a float
            frame[name] = pd.array(column.to_pylist(), "Int64") if holes else column.to_numpy(zero_copy_only=False)
    return pd.DataFrame(frame)


def _words(column: Any) -> Any:
    """A column of few words, each of which is written out once."""
    import pandas as pd

    if not pa.types.is_dictionary(getattr(column, "type", pa.null())):
        column = as_arrow(column, "symbol").dictionary_encode()
    whole = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    codes = whole.unify_dictionaries().combine_chunks()
    return pd.Categorical.from_codes(codes.indices.fill_null(-1).to_numpy(), codes.dictionary.to_pylist())


@contextlib.contextmanager
def _unavailable(what: str):
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(f"{what}: {error!r}"[:300]) from error


async def _keep(_connection: Any) -> None:
    """Nothing to reset: QuestDB knows neither locks nor listeners."""


async def _make(pool: asyncpg.Pool, table: Table) -> None:
    await pool.execute(_definition(table), timeout=TIMEOUT_S)
    found = await pool.fetch(f"SELECT \"column\" FROM table_columns('{table.name}')", timeout=TIMEOUT_S)
    for name in table.columns.keys() - {one["column"] for one in found}:
        kind = KINDS[table.columns[name]]
        await pool.execute(f'ALTER TABLE {table.name} ADD COLUMN "{name}" {kind}', timeout=TIMEOUT_S)


def _definition(table: Table) -> str:
    columns = ", ".join(f'"{name}" {KINDS[kind]}' for name, kind in table.columns.items())
    key = ", ".join(("timestamp", *(f'"{name}"' for name in table.key)))
    return (
        f"CREATE TABLE IF NOT EXISTS {table.name} (timestamp TIMESTAMP_NS, {columns}) "
        f"TIMESTAMP(timestamp) PARTITION BY DAY WAL DEDUP UPSERT KEYS({key})"
    )


def _where(table: Table, where: Mapping[str, str] | None) -> tuple[str, list[str]]:
    names, values = conditions(table, where)
    return " AND ".join(["true", *(f'"{name}" = ${at}' for at, name in enumerate(names, 1))]), values
