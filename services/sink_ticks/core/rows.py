"""How what was heard becomes rows, of the tape and of the lake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any

from services.sink_ticks.core.sheets import Row, Sheets
from shared.contract.base import TIME_NS_MAX, Message
from shared.contract.errors import Refused
from shared.contract.market import Amendment, Bar, Interval, Quote, Tick
from shared.contract.records import OrderRecord
from shared.contract.tables import (
    BARS,
    FILLS,
    LAKE_BARS,
    LAKE_QUOTES,
    LAKE_TICKS,
    MEASURED_BARS,
    ORDERS,
    QUOTES,
    TICKS,
    LakeTable,
    Table,
)

Rows = list[tuple[Table | LakeTable, Row]]
Make = Callable[[Message, int], Rows]
"""How a message with its number in the stream becomes rows, perhaps of different tables."""


def on_the_tape(message: Message, number: int) -> Rows:
    return _ON_THE_TAPE[type(message)](message, number)


def in_the_lake(message: Message, number: int) -> Rows:
    """As on the tape, save that the lake has one table of bars for every interval."""
    return _IN_THE_LAKE[type(message)](message, number)


def put(sheets: Sheets, message: Message, number: int, make: Make) -> Refused | None:
    """Put a message's rows on their sheets; why some of them cannot be kept, if so."""
    refused: Refused | None = None
    for table, row in make(message, number):
        if row[0] > TIME_NS_MAX:
            refused = Refused("TIME_OUT_OF_RANGE", f"its time, {row[0]} ns, is after the year 2260", field="event_ns")
        else:
            sheets.of(table).add(row, number)
    return refused


def _tick(tick: Tick, number: int) -> Row:
    trade_id = tick.trade_id or str(number)
    amounts = (float(tick.price), float(tick.quantity), int(tick.side))
    return (tick.event_ns, tick.symbol, tick.venue, trade_id, *amounts, tick.receive_ns, tick.sequence)


def _amendment(amendment: Amendment, _number: int) -> Row:
    """In the place of the trade's own row; a cancelled trade has neither price nor quantity."""
    amounts = (float(amendment.price or 0), float(amendment.quantity or 0), int(amendment.side))
    where = (amendment.event_ns, amendment.symbol, amendment.venue, amendment.trade_id)
    return (*where, *amounts, amendment.receive_ns, amendment.sequence)


def _quote(quote: Quote, _number: int) -> Row:
    sides = map(_float, (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity))
    return (quote.event_ns, quote.symbol, quote.venue, *sides, quote.receive_ns, quote.sequence)


def _bar(bar: Bar) -> Rows:
    if isinstance(bar.interval, Interval):
        return [(BARS[bar.interval], (bar.start_ns, *_BAR(bar)))]
    return [(MEASURED_BARS, (bar.start_ns, *_MEASURED_BAR(bar)))]


def _order(record: OrderRecord) -> Rows:
    found: Rows = [(ORDERS, (record.order.updated_ns, *_ORDER(record.order)))]
    if (fill := record.fill) is not None:
        found.append((FILLS, (fill.event_ns, *_FILL(fill))))
    return found


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


_BAR = attrgetter(*BARS[Interval.m1].columns)
_MEASURED_BAR = attrgetter(*MEASURED_BARS.columns)
_ORDER = attrgetter(*ORDERS.columns)
_FILL = attrgetter(*FILLS.columns)

_ON_THE_TAPE: Mapping[type[Message], Callable[[Any, int], Rows]] = {
    Tick: lambda tick, number: [(TICKS, _tick(tick, number))],
    Amendment: lambda amendment, number: [(TICKS, _amendment(amendment, number))],
    Quote: lambda quote, number: [(QUOTES, _quote(quote, number))],
    Bar: lambda bar, _: _bar(bar),
    OrderRecord: lambda record, _: _order(record),
}

_IN_THE_LAKE: Mapping[type[Message], Callable[[Any, int], Rows]] = {
    Tick: lambda tick, number: [(LAKE_TICKS, _tick(tick, number))],
    Amendment: lambda amendment, number: [(LAKE_TICKS, _amendment(amendment, number))],
    Quote: lambda quote, number: [(LAKE_QUOTES, _quote(quote, number))],
    Bar: lambda bar, _: [(LAKE_BARS, (bar.start_ns, *_MEASURED_BAR(bar)))],
}
