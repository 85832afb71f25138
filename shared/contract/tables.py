"""Every table of the tape: its columns, their kinds, and what makes two rows the same; and those of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from shared.contract.market import Interval

Kind = Literal["symbol", "text", "float", "int"]
"""symbol: a short repeated word; text: any string; float: 64-bit; int: 64-bit signed."""


@dataclass(frozen=True)
class Table:
    """`timestamp` (int64 ns) is the designated timestamp of every table and always part of its key.

    A row with the same timestamp and the same `key` replaces the one before it.
    """

    name: str
    columns: dict[str, Kind]
    key: tuple[str, ...]


TICKS = Table(
    "ticks",
    {
        "symbol": "symbol",
        "venue": "symbol",
        "trade_id": "text",
        "price": "float",
        "quantity": "float",
        "side": "int",
        "receive_ns": "int",
        "sequence": "int",
    },
    ("symbol", "venue", "trade_id"),
)

QUOTES = Table(
    "quotes",
    {
        "symbol": "symbol",
        "venue": "symbol",
        "bid": "float",
        "bid_quantity": "float",
        "ask": "float",
        "ask_quantity": "float",
        "receive_ns": "int",
        "sequence": "int",
    },
    ("symbol", "venue", "sequence"),
)

_BAR: dict[str, Kind] = {
    "venue": "symbol",
    "symbol": "symbol",
    "open": "float",
    "high": "float",
    "low": "float",
    "close": "float",
    "volume": "float",
    "vwap": "float",
    "count": "int",
    "revision": "int",
    "taker_buy_volume": "float",
}

BARS = {interval: Table(f"ohlcv_{interval.value}", _BAR, ("venue", "symbol")) for interval in Interval}

MEASURED_BARS = Table(
    "ohlcv_other",
    {**_BAR, "interval": "symbol", "number": "int", "end_ns": "int"},
    ("venue", "symbol", "interval", "number"),
)
"""Bars that end by what was traded, of all measures (`tick-1000`). Several may begin in the same nanosecond."""

ORDERS = Table(
    "orders",
    {
        "account": "symbol",
        "order_id": "text",
        "version": "int",
        "symbol": "symbol",
        "side": "symbol",
        "order_type": "symbol",
        "status": "symbol",
        "quantity": "text",
        "price": "text",
        "filled_quantity": "text",
        "reason": "text",
    },
    ("order_id", "version"),
)

FILLS = Table(
    "fills",
    {
        "account": "symbol",
        "fill_id": "text",
        "order_id": "text",
        "symbol": "symbol",
        "side": "symbol",
        "price": "text",
        "quantity": "text",
        "fee": "text",
        "venue": "symbol",
    },
    ("fill_id",),
)

TABLES: tuple[Table, ...] = (TICKS, QUOTES, *BARS.values(), MEASURED_BARS, ORDERS, FILLS)
"""Money on the tape is text: a Decimal written as a float would be another number."""


LakeKind = Literal["symbol", "text", "texts", "float", "int", "timestamp"]
"""As above, and texts: a list of strings; timestamp: given as int64 ns, kept to the microsecond."""


@dataclass(frozen=True)
class LakeTable:
    """Rows are added, never replaced. `timestamp` (int64 ns) comes with each row beside its columns.

    Its files lie in a folder for each value of the column `partition`, and in that one for each `date` (of the
    timestamp, UTC). The lake keeps the timestamp to the microsecond, and every digit of it as `timestamp_ns`.
    """

    name: str
    columns: Mapping[str, LakeKind]
    partition: str


LAKE_TICKS = LakeTable("ticks", TICKS.columns, "venue")
LAKE_QUOTES = LakeTable("quotes", QUOTES.columns, "venue")
LAKE_BARS = LakeTable("bars", MEASURED_BARS.columns, "interval")

LAKE_DOCUMENTS = LakeTable(
    "alt_docs",
    {
        "id": "text",
        "category": "symbol",
        "source": "symbol",
        "title": "text",
        "body": "text",
        "url": "text",
        "symbols": "texts",
        "sentiment": "float",
        "language": "text",
        "tags": "texts",
        "receive_ns": "int",
    },
    "category",
)

LAKE_TABLES: tuple[LakeTable, ...] = (LAKE_TICKS, LAKE_QUOTES, LAKE_BARS, LAKE_DOCUMENTS)
"""A tick that is said twice is here twice, and a bar in all its revisions: the lake is what was said."""
