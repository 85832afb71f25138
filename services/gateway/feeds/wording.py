"""Recorded rows as the messages in which they are said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.gateway.feeds.formats.rows import Floats, Market, Quotes, Trades, no_trades
from shared.contract.market import Quote
from shared.contract.ticks import TickColumns


class Framing:
    """Trades of numbered markets as frames, one for each venue among them.

    A large frame names all symbols, as the one before it did, so that its hearers know them already; a small one only
    those that are in it.
    """

    def __init__(self, known: Sequence[Market], replay: str) -> None:
        self._known = known
        self._replay = replay
        self._all: list[Named] = []
        self._count = 0

    def frames(self, trades: Trades, now_ns: int) -> Iterator[TickColumns]:
        """Every one of these trades, once."""
        parts = (
            self._every()
            if len(trades) >= len(self._known)
            else _named(self._known, np.unique(trades.code).astype(np.intp))
        )
        for part in parts:
            local = part.local[trades.code]
            rows = local >= 0
            if rows.any():
                yield _columns(part.venue, part.symbols, local[rows], trades.where(rows), now_ns, self._replay)

    def _every(self) -> list[Named]:
        if self._count != len(self._known):
            self._count = len(self._known)
            self._all = _named(self._known, np.arange(self._count))
        return self._all


class Named(NamedTuple):
    """Symbols of one venue, and the place of each market among them, -1 for the others."""

    venue: str
    symbols: tuple[str, ...]
    local: NDArray[np.int32]


def _named(known: Sequence[Market], codes: NDArray[np.intp]) -> list[Named]:
    by_venue: dict[str, list[int]] = {}
    for code in codes.tolist():
        by_venue.setdefault(known[code][0], []).append(code)
    found: list[Named] = []
    for venue, mine in by_venue.items():
        local = np.full(len(known), -1, np.int32)
        local[mine] = np.arange(len(mine))
        found.append(Named(venue, tuple(known[code][1] for code in mine), local))
    return found


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
