"""The tape: what happened, in columns, kept for good. One interface; SQLite on one machine, QuestDB when configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from shared.contract.tables import Table
from shared.kit.settings import Suite

Columns = Mapping[str, Sequence[Any]]
"""Equally long columns by name (lists, numpy arrays): "timestamp" in ns, and every column of the table."""

Row = dict[str, Any]
"""One row as read back: "timestamp" in ns, and every column of the table."""


class Tape(Protocol):
    """Rows are added and replaced, never removed. Every method raises Unavailable while the tape is away.

    A row replaces the one before it with the same timestamp and key, so writing again what may have been written is
    always right.
    """

    async def append(self, table: Table, columns: Columns) -> None:
        """Write rows; they are committed when this returns. Of rows with one key the last one stays."""
        ...

    async def read(
        self,
        table: Table,
        *,
        where: Mapping[str, str] | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        limit: int = 1000,
    ) -> list[Row]:
        """Rows with start_ns ≤ timestamp < end_ns whose columns equal `where`, oldest first."""
        ...

    async def count(self, table: Table, *, where: Mapping[str, str] | None = None) -> int:
        """How many rows there are."""
        ...

    async def ping(self) -> None:
        """Return when the tape can be used."""
        ...

    async def close(self) -> None: ...


def conditions(table: Table, where: Mapping[str, str] | None) -> tuple[list[str], list[str]]:
    """Column names and the values they must equal; only columns of this table, since names go into the query's text."""
    names = list(where or {})
    unknown = [name for name in names if name not in table.columns]
    if unknown:
        raise ValueError(f"{table.name} has no column {unknown[0]}")
    return names, list((where or {}).values())


def open_tape(suite: Suite) -> Tape:
    """The tape this suite is configured for."""
    if suite.questdb_http:
        from shared.kit.questdb_tape import QuestTape

        return QuestTape(suite.questdb_http, suite.questdb_pg)
    from shared.kit.sqlite_tape import SqliteTape

    return SqliteTape(suite.var / "tape" / "tape.db")
