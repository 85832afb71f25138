"""Looks: what is asked of the tape and of the lake, checked, and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import Field

from shared.contract.base import INT64_MAX, Symbol, Venue, bound, rfc3339
from shared.contract.errors import NotFound, Refused
from shared.contract.tables import LAKE_TABLES, TABLES, TICKS, LakeTable, Table
from shared.kit import Lake, Tape

NANOS_DIGITS = len(str(INT64_MAX))

T = TypeVar("T", Table, LakeTable)


class Looks:
    def __init__(self, tape: Tape, lake: Lake) -> None:
        self._tape = tape
        self._lake = lake

    async def ticks(
        self,
        symbol: Symbol,
        venue: Venue | None = None,
        start: str | None = None,
        end: str | None = None,
        limit: Annotated[int, Field(ge=1, le=10_000)] = 1000,
    ) -> dict[str, Any]:
        where = condition(TICKS, symbol=symbol, venue=venue)
        start_ns, end_ns = time_of(start, "start"), time_of(end, "end")
        rows = await self._tape.read(TICKS, where=where, start_ns=start_ns, end_ns=end_ns, limit=limit)
        return {"symbol": symbol, "count": len(rows), "ticks": [shown(row) for row in rows]}

    async def count(self, table: str, symbol: Symbol | None = None, venue: Venue | None = None) -> dict[str, Any]:
        """How many rows a table holds, of one symbol or venue where it has these columns."""
        asked = table_named(table, TABLES)
        where = condition(asked, symbol=symbol, venue=venue)
        return {"table": table, "count": await self._tape.count(asked, where=where)}

    async def count_in_lake(self, table: str) -> dict[str, Any]:
        """How many rows a table of the lake holds."""
        return {"table": table, "count": await self._lake.count(table_named(table, LAKE_TABLES))}


def condition(table: Table, **wanted: str | None) -> dict[str, str]:
    """The columns to be equal to what is wanted; Refused when the table has no such column."""
    given = {column: value for column, value in wanted.items() if value is not None}
    for column in given:
        if column not in table.columns:
            raise Refused("INVALID", f"{column}: table {table.name} has no such column", field=column)
    return given


def table_named(name: str, tables: Sequence[T]) -> T:
    """The table of this name; NotFound names those there are."""
    known = {table.name: table for table in tables}
    if name not in known:
        raise NotFound(f"there is no table {name}; there are {', '.join(known)}", field="table")
    return known[name]


def time_of(text: str | None, field: str) -> int | None:
    """A time of the query: RFC 3339, or nanoseconds since 1970."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= NANOS_DIGITS and int(text) <= INT64_MAX:
        return int(text)
    try:
        return bound(text)
    except ValueError as error:
        raise Refused("INVALID", f"{field}: {error}; or give nanoseconds since 1970", field=field) from None


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ticks for people and for JavaScript: times as words, and as nanoseconds in strings."""
    at_ns = row["timestamp"]
    return {**row, "timestamp": rfc3339(at_ns), "event_ns": str(at_ns), "receive_ns": str(row["receive_ns"])}
