"""What a feed has said as the messages in which it is said on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import numpy as np

from shared.contract.feeds import Top, Trade
from shared.contract.market import Quote
from shared.contract.ticks import TickColumns


def as_columns(venue: str, trades: Sequence[Trade]) -> TickColumns:
    """These trades of one venue as columns, naming only the symbols that are among them."""
    codes: dict[str, int] = {}
    for trade in trades:
        codes.setdefault(trade.symbol, len(codes))
    return TickColumns(
        venue=venue,
        symbols=tuple(codes),
        codes=np.array([codes[trade.symbol] for trade in trades], np.int32),
        event_ns=np.array([trade.event_ns for trade in trades], np.int64),
        receive_ns=np.array([trade.receive_ns for trade in trades], np.int64),
        price=np.array([trade.price for trade in trades], np.float64),
        quantity=np.array([trade.quantity for trade in trades], np.float64),
        side=np.array([trade.side for trade in trades], np.int8),
        trade_id=[trade.trade_id for trade in trades],
        sequence=np.array([trade.number for trade in trades], np.int64),
    )


def as_quote(venue: str, top: Top) -> Quote:
    """A best bid and ask; ValueError when it cannot be one."""
    return Quote(
        venue=venue,
        symbol=top.symbol,
        event_ns=top.event_ns,
        receive_ns=top.receive_ns,
        bid=_amount(top.bid),
        bid_quantity=_amount(top.bid_quantity),
        ask=_amount(top.ask),
        ask_quantity=_amount(top.ask_quantity),
        sequence=top.sequence,
    )


def _amount(text: str) -> Decimal | None:
    """A number as it was written; None where a venue writes nothing, or nought for a side without orders."""
    try:
        return (Decimal(text) if text else None) or None
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is no number") from None
