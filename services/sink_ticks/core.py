"""How what was heard becomes rows of the tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any

import numpy as np

from shared.contract.base import Message, rfc3339
from shared.contract.errors import NotFound, Refused
from shared.contract.market import Bar, Interval, Quote, Tick
from shared.contract.records import OrderRecord
from shared.contract.tables import BARS, FILLS, ORDERS, QUOTES, TABLES, TICKS, Table
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns

Row = tuple[Any, ...]
"""One row of a table: its timestamp in ns, then the table's columns in their order."""


class Sheet:
    """What waits to be written into one table, as columns."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: dict[str, list[Any]] = {name: [] for name in ("timestamp", *table.columns)}

    @property
    def count(self) -> int:
        return len(self.columns["timestamp"])

    def add(self, row: Row) -> None:
        for column, value in zip(self.columns.values(), row, strict=True):
            column.append(value)

    def add_frame(self, ticks: TickColumns, sequence: int) -> None:
        """A frame's ticks. Those without an id get the frame's place in the stream and their own within it."""
        for name, values in columns_of(ticks, sequence).items():
            self.columns[name].extend(values)


def columns_of(ticks: TickColumns, sequence: int) -> dict[str, list[Any]]:
    names = np.array(ticks.symbols, object)
    ids = Texts.of(ticks.trade_id).strings()
    if "" in ids:
        ids = [given or f"{sequence}.{at}" for at, given in enumerate(ids)]
    columns: dict[str, list[Any]] = {
        "timestamp": ticks.event_ns.tolist(),
        "symbol": names[ticks.codes].tolist() if len(ticks) else [],
        "venue": [ticks.venue] * len(ticks),
        "trade_id": ids,
    }
    for name in ("price", "quantity", "side", "receive_ns", "sequence"):
        columns[name] = getattr(ticks, name).tolist()
    return columns


def rows_of(message: Message, sequence: int) -> list[tuple[Table, Row]]:
    """One message as a row, or as several of different tables."""
    found = [_ROWS[type(message)](message, sequence)]
    if isinstance(message, OrderRecord) and (fill := message.fill) is not None:
        found.append((FILLS, (fill.event_ns, *_FILL(fill))))
    return found


def _tick(tick: Tick, sequence: int) -> tuple[Table, Row]:
    trade_id = tick.trade_id or str(sequence)
    amounts = (float(tick.price), float(tick.quantity), int(tick.side))
    return TICKS, (tick.event_ns, tick.symbol, tick.venue, trade_id, *amounts, tick.receive_ns, tick.sequence)


def _quote(quote: Quote, _sequence: int) -> tuple[Table, Row]:
    sides = map(_float, (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity))
    return QUOTES, (quote.event_ns, quote.symbol, quote.venue, *sides, quote.receive_ns, quote.sequence)


def _bar(bar: Bar, _sequence: int) -> tuple[Table, Row]:
    return BARS[bar.interval], (bar.start_ns, *_BAR(bar))


def _order(record: OrderRecord, _sequence: int) -> tuple[Table, Row]:
    return ORDERS, (record.order.updated_ns, *_ORDER(record.order))


_BAR = attrgetter(*BARS[Interval.m1].columns)
_ORDER = attrgetter(*ORDERS.columns)
_FILL = attrgetter(*FILLS.columns)


_ROWS: dict[type[Message], Callable[[Any, int], tuple[Table, Row]]] = {
    Tick: _tick,
    Quote: _quote,
    Bar: _bar,
    OrderRecord: _order,
}


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def refusal(latest_ns: int) -> str | None:
    """Why no tape can hold rows up to this time, or None."""
    return "time_out_of_range" if latest_ns > TIME_NS_MAX else None


TIME_NS_MAX = 9_200_000_000_000_000_000
"""In the year 2261, where the timestamps of QuestDB end. One row beyond it would have a whole write refused."""


# For looking.


def condition(table: Table, **wanted: str | None) -> dict[str, str]:
    """The columns to be equal to what is wanted; Refused when the table has no such column."""
    given = {column: value for column, value in wanted.items() if value is not None}
    for column in given:
        if column not in table.columns:
            raise Refused("INVALID", f"{column}: table {table.name} has no such column", field=column)
    return given


def table_named(name: str) -> Table:
    """A table of the tape; NotFound names those there are."""
    tables = {table.name: table for table in TABLES}
    if name not in tables:
        raise NotFound(f"there is no table {name}; there are {', '.join(tables)}", field="table")
    return tables[name]


def time_of(text: str | None, field: str) -> int | None:
    """A time of the query: RFC 3339, or nanoseconds since 1970."""
    if text is None:
        return None
    if text.isascii() and text.isdigit() and int(text) <= TIME_NS_MAX:
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        given = f"{field} must be RFC 3339 with a time zone (2026-01-31T09:30:00Z) or nanoseconds since 1970"
        raise Refused("INVALID", f"{given}, not {text!r}", field=field)
    # A float of seconds cannot hold the microseconds.
    return int(at.replace(microsecond=0).timestamp()) * 1_000_000_000 + at.microsecond * 1000


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of ticks for people and for JavaScript: times as words, and as nanoseconds in strings."""
    at_ns = row["timestamp"]
    return {**row, "timestamp": rfc3339(at_ns), "event_ns": str(at_ns), "receive_ns": str(row["receive_ns"])}
