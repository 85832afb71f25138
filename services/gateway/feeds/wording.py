"""Recorded rows as the messages in which they are said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from services.gateway.feeds.formats.rows import Floats, Market, Quotes, Trades, no_trades
from shared.contract.market import Quote
from shared.contract.ticks import TickColumns


def as_frames(known: Sequence[Market], trades: Trades, now_ns: int, replay: str) -> Iterator[TickColumns]:
    """These trades as one frame for each venue among them, naming only the symbols that are in it."""
    codes, places = np.unique(trades.code, return_inverse=True)
    markets = [known[int(code)] for code in codes]
    for venue in dict.fromkeys(venue for venue, _ in markets):
        mine = np.array([other == venue for other, _ in markets])
        rows = mine[places]
        chosen = trades if rows.all() else trades.where(rows)
        symbols = [symbol for other, symbol in markets if other == venue]
        local = (np.cumsum(mine) - 1)[places[rows]].astype(np.int32)
        yield _columns(venue, symbols, local, chosen, now_ns, replay)


def the_end(venue: str, symbols: Sequence[str], replay: str) -> TickColumns:
    """An empty frame: this replay sends nothing more for these symbols."""
    return _columns(venue, symbols, np.array([], np.int32), no_trades(), 0, replay, ended=True)


def as_quote(known: Sequence[Market], quotes: Quotes, row: int, now_ns: int) -> Quote:
    """One recorded quote."""
    venue, symbol = known[int(quotes.code[row])]
    return Quote(
        venue=venue,
        symbol=symbol,
        event_ns=int(quotes.event_ns[row]),
        receive_ns=now_ns,
        bid=_exact(quotes.bid, row),
        bid_quantity=_exact(quotes.bid_quantity, row),
        ask=_exact(quotes.ask, row),
        ask_quantity=_exact(quotes.ask_quantity, row),
        sequence=int(quotes.line[row]),
    )


def _exact(column: Floats, row: int) -> Decimal | None:
    """The shortest decimal that is this float, which is what stood in the file."""
    value = float(column[row])
    return None if np.isnan(value) else Decimal(repr(value))


def _columns(
    venue: str,
    symbols: Sequence[str],
    codes: NDArray[np.int32],
    trades: Trades,
    now_ns: int,
    replay: str,
    *,
    ended: bool = False,
) -> TickColumns:
    return TickColumns(
        venue=venue,
        symbols=symbols,
        codes=codes,
        event_ns=trades.event_ns,
        receive_ns=np.full(len(trades), now_ns, np.int64),
        price=trades.price,
        quantity=trades.quantity,
        side=trades.side,
        trade_id=trades.trade_id,
        sequence=trades.line,
        replay=replay,
        ended=ended,
    )
