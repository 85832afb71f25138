"""The lake's tables as DuckDB sees them: as they are at this moment, to be read and nothing else.

Delta's own list says which files make a table, so that a reader sees whole commits, whoever writes meanwhile. DuckDB is
given the tables and then locked in: it opens no file of its own, fetches no extension and sees nothing of this program.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from shared.cli.trouble import Trouble
from shared.contract.tables import LAKE_TABLES
from shared.kit.lake import where
from shared.kit.settings import SettingsError, Suite

ROWS = 65_536
"""At a time."""
TOLD_MAX = 400


@dataclass(frozen=True)
class Bounds:
    """What one reading may take."""

    memory: str = "1GB"
    timeout_s: float = 300.0


class Reading:
    """One connection to a copy of nothing: the tables are read where they are."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, tables: Sequence[str], bounds: Bounds) -> None:
        self.tables = tables
        self._connection = connection
        self._timeout_s = bounds.timeout_s

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The answer, a part of it at a time and at least one; `Trouble` says what is wrong with the question."""
        over = threading.Timer(self._timeout_s, self._connection.interrupt)
        over.start()
        try:
            reader = self._connection.execute(sql, list(values)).to_arrow_reader(ROWS)
            yield pa.RecordBatch.from_pylist([], reader.schema)
            yield from reader
        except duckdb.InterruptException:
            raise Trouble(
                f"no answer within {self._timeout_s:g} s; ask for less, or allow more with --timeout"
            ) from None
        except (duckdb.Error, pa.ArrowException, OSError, DeltaError) as error:
            raise Trouble(self._told(error)) from None
        finally:
            over.cancel()

    def _told(self, error: Exception) -> str:
        words = " ".join(str(error).split())[:TOLD_MAX]
        if isinstance(error, duckdb.OutOfMemoryException):
            return f"{words}; allow more with --memory"
        return f"{words}; the lake has {', '.join(self.tables) or 'no tables yet'}"


@contextmanager
def reading(suite: Suite, spill: Path, bounds: Bounds) -> Generator[Reading]:
    """The lake of a suite, for as long as it is read. What memory does not hold is spilled into a folder."""
    config = {
        "memory_limit": bounds.memory,
        "threads": "2",
        "temp_directory": str(spill),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    try:
        connection = duckdb.connect(":memory:", config=dict(config))
    except duckdb.Error as error:
        raise Trouble(f"--memory {bounds.memory}: {' '.join(str(error).split())[:TOLD_MAX]}") from None
    with connection:
        tables = _registered(connection, suite)
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        yield Reading(connection, tables, bounds)


def _registered(connection: duckdb.DuckDBPyConnection, suite: Suite) -> list[str]:
    found: list[str] = []
    try:
        there = where(suite)
        for table in LAKE_TABLES:
            try:
                delta = DeltaTable(there.uri(table), storage_options=dict(there.options))
            except TableNotFoundError:
                continue
            connection.register(table.name, delta.to_pyarrow_dataset())
            found.append(table.name)
    except SettingsError as error:
        raise Trouble(str(error)) from None
    except (DeltaError, OSError) as error:
        raise Trouble(
            f"the lake {suite.lake or suite.var / 'lake'}: {' '.join(str(error).split())[:TOLD_MAX]}"
        ) from None
    return found
