"""How what was heard becomes rows of the tape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np

from shared.contract.base import Message, Word, rfc3339
from shared.contract.errors import NotFound, Refused
from shared.contract.market import Bar, Quote, Tick
from shared.contract.orders import Fill, OrderEvent
from shared.contract.tables import BARS, FILLS, ORDERS, QUOTES, TABLES, TICKS, Table
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns

Columns = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Rows:
    """So many rows of one table, as columns."""

    table: Table
    columns: Columns
    count: int


def rows_of_frame(ticks: TickColumns, sequence: int) -> Rows:
    """A frame's ticks. Those without an id get the frame's place in the stream and their own within it."""
    names = np.array(ticks.symbols, object)
    ids = Texts.of(ticks.trade_id).strings()
    if "" in ids:
        ids = [given or f"{sequence}.{at}" for at, given in enumerate(ids)]
    columns: dict[str, Any] = {
        "timestamp": ticks.event_ns.tolist(),
        "symbol": names[ticks.codes].tolist() if len(ticks) else [],
        "venue": [ticks.venue] * len(ticks),
        "trade_id": ids,
    }
    for name in ("price", "quantity", "side", "receive_ns", "sequence"):
        columns[name] = getattr(ticks, name).tolist()
    return Rows(TICKS, columns, len(ticks))


def rows_of(message: Message, sequence: int) -> list[Rows]:
    """One message as a row, or as several of different tables."""
    found = [_ROWS[type(message)](message, sequence)]
    if isinstance(message, OrderEvent) and message.fill is not None:
        found.append(_fill(message.fill))
    return [Rows(table, {name: [value] for name, value in row.items()}, 1) for table, row in found]


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows of one table together, in this order."""
    if len(parts) == 1:
        return parts[0]
    names = ("timestamp", *parts[0].table.columns)
    columns = {name: [value for part in parts for value in part.columns[name]] for name in names}
    return Rows(parts[0].table, columns, sum(part.count for part in parts))


def _tick(tick: Tick, sequence: int) -> tuple[Table, dict[str, Any]]:
    return TICKS, {
        "timestamp": tick.event_ns,
        "symbol": tick.symbol,
        "venue": tick.venue,
        "trade_id": tick.trade_id or str(sequence),
        "price": float(tick.price),
        "quantity": float(tick.quantity),
        "side": int(tick.side),
        "receive_ns": tick.receive_ns,
        "sequence": tick.sequence,
    }


def _quote(quote: Quote, _sequence: int) -> tuple[Table, dict[str, Any]]:
    sides = ("bid", "bid_quantity", "ask", "ask_quantity")
    return QUOTES, {
        "timestamp": quote.event_ns,
        "symbol": quote.symbol,
        "venue": quote.venue,
        **{side: _float(getattr(quote, side)) for side in sides},
        "receive_ns": quote.receive_ns,
        "sequence": quote.sequence,
    }


def _bar(bar: Bar, _sequence: int) -> tuple[Table, dict[str, Any]]:
    table = BARS[bar.interval]
    return table, {"timestamp": bar.start_ns, **{name: getattr(bar, name) for name in table.columns}}


def _order(event: OrderEvent, _sequence: int) -> tuple[Table, dict[str, Any]]:
    order = event.order
    return ORDERS, {"timestamp": order.updated_ns, **{name: _exact(getattr(order, name)) for name in ORDERS.columns}}


def _fill(fill: Fill) -> tuple[Table, dict[str, Any]]:
    return FILLS, {"timestamp": fill.event_ns, **{name: _exact(getattr(fill, name)) for name in FILLS.columns}}


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.value if isinstance(value, Word) else value


_ROWS: dict[type[Message], Callable[[Any, int], tuple[Table, dict[str, Any]]]] = {
    Tick: _tick,
    Quote: _quote,
    Bar: _bar,
    OrderEvent: _order,
}


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def refusal(rows: Rows) -> str | None:
    """Why no tape can hold these rows, or None."""
    return "time_out_of_range" if rows.count and max(rows.columns["timestamp"]) > TIME_NS_MAX else None


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
