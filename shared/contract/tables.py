"""Every table of the tape: its columns, their kinds, and what makes two rows the same."""

from __future__ import annotations

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

BARS = {
    interval: Table(
        f"ohlcv_{interval.value}",
        {
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
        },
        ("venue", "symbol"),
    )
    for interval in Interval
}

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

TABLES: tuple[Table, ...] = (TICKS, QUOTES, *BARS.values(), ORDERS, FILLS)
"""Money on the tape is text: a Decimal written as a float would be another number."""
