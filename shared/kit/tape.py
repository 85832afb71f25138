"""The tape: what happened, in columns, kept for good. One interface; SQLite on one machine, QuestDB when configured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from shared.contract.tables import Table
from shared.kit.columns import Columns, Row
from shared.kit.settings import Suite


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


def open_tape(suite: Suite) -> Tape:
    """The tape this suite is configured for."""
    if suite.questdb_http:
        from shared.kit.questdb_tape import QuestTape

        return QuestTape(suite.questdb_http, suite.questdb_pg)
    from shared.kit.sqlite_tape import SqliteTape

    return SqliteTape(suite.var / "tape" / "tape.db")
