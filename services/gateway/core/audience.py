"""Those who read `/ws/ticks`: to each a snapshot of the markets it asked for, then everything that is heard of them.

    {"type": "snapshot", "markets": [{"venue", "symbol", "sequence", "feed", "ticker", "book" on demand}, …]}
    {"type": "ticks" | "quote" | "feed", "venue", "symbol", "sequence", "ticks" | "quote" | "feed": …}
    {"type": "book", "venue", "symbol", "sequence", "book"}                     whole, to who asked for a depth

Each market counts what it has told: the sequence of a message is one more than that of the last, or than the
snapshot's. A market that begins later begins with its first message. Nobody reads: nothing is counted. A book is not
counted, since not all are told of it; it has the sequence of the message before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.gateway.core.depth import Depth
from shared.contract.market import Feed, Quote, Tick
from shared.contract.ticks import TickColumns

TICKS_IN_MESSAGE = 1000
"""Readers bound what they take in one message, often 1 MiB."""
Sides = tuple[Any, Any]


class Reader(Protocol):
    """Somebody who reads. Whoever falls too far behind is cut by the door."""

    def put(self, message: Any) -> None: ...

    async def closed(self) -> None: ...


class Ticks:
    """Some rows of a frame, put into words when they are sent: for who is cut before, no work is done."""

    def __init__(self, columns: TickColumns, rows: NDArray[np.intp]) -> None:
        self._columns = columns
        self._rows = rows

    def shown(self) -> bytes:
        return b"[" + b",".join(self._tick(int(row)).encode() for row in self._rows) + b"]"

    def _tick(self, row: int) -> Tick:
        columns = self._columns
        return Tick.model_validate(
            {
                "venue": columns.venue,
                "symbol": columns.symbols[int(columns.codes[row])],
                "event_ns": int(columns.event_ns[row]),
                "receive_ns": int(columns.receive_ns[row]),
                "price": repr(float(columns.price[row])),
                "quantity": repr(float(columns.quantity[row])),
                "side": int(columns.side[row]),
                "trade_id": columns.trade_id[row],
                "sequence": int(columns.sequence[row]),
            }
        )


@dataclass(frozen=True, eq=False)
class _Seat:
    """What one reader asked for; without a venue, of all venues. `told` are the newest books it was told."""

    reader: Reader
    venue: str | None
    depth: int
    told: dict[tuple[str, str], Sides] = field(default_factory=dict[tuple[str, str], Sides])


class Audience:
    """Everybody who reads, by symbol."""

    def __init__(self) -> None:
        self._seats: dict[str, list[_Seat]] = {}
        self._sequences: dict[tuple[str, str], int] = {}

    @property
    def count(self) -> int:
        """How many read."""
        return len({seat for seats in self._seats.values() for seat in seats})

    async def read(
        self, reader: Reader, symbols: Collection[str], venue: str | None, depth: int, snapshot: Callable[[], Any]
    ) -> None:
        """Serve one reader until it leaves. `depth`: so many levels of each book are told when they change."""
        seat = _Seat(reader, venue, depth)
        for symbol in symbols:
            self._seats.setdefault(symbol, []).append(seat)
        try:
            # From here to the waiting nothing else happens, so that between snapshot and changes nothing is missed.
            standing = snapshot()
            seat.told.update(_books_in(standing))
            reader.put(standing)
            await reader.closed()
        finally:
            for symbol in symbols:
                self._leave(seat, symbol)

    def sequence(self, venue: str, symbol: str) -> int:
        """How much has been told of a market."""
        return self._sequences.get((venue, symbol), 0)

    def ticks(self, columns: TickColumns) -> None:
        """Trades have come in."""
        if not self._seats:
            return
        for code in np.unique(columns.codes):
            symbol = columns.symbols[int(code)]
            if symbol not in self._seats:
                continue
            rows = np.flatnonzero(columns.codes == code)
            for at in range(0, len(rows), TICKS_IN_MESSAGE):
                some = Ticks(columns, rows[at : at + TICKS_IN_MESSAGE])
                self._tell("ticks", columns.venue, symbol, some)

    def quote(self, quote: Quote) -> None:
        """A quote has come in."""
        self._tell("quote", quote.venue, quote.symbol, quote)

    def feed(self, feed: Feed) -> None:
        """A feed's status has changed."""
        self._tell("feed", feed.venue, feed.symbol, feed)

    def books_wanted(self) -> set[tuple[str, str | None, int]]:
        """Of which books somebody reads how much: symbol, venue, and depth."""
        return {
            (symbol, seat.venue, seat.depth) for symbol, seats in self._seats.items() for seat in seats if seat.depth
        }

    def book(self, book: Depth, venue: str | None, depth: int) -> None:
        """A book as it stands, for those who asked for just this; who knows it so already is not told."""
        market, sides = (book.venue, book.symbol), (book.bids, book.asks)
        for seat in self._seats.get(book.symbol, ()):
            if (seat.venue, seat.depth) == (venue, depth) and seat.told.get(market) != sides:
                seat.told[market] = sides
                words = {"venue": book.venue, "symbol": book.symbol, "sequence": self.sequence(*market)}
                seat.reader.put({"type": "book", **words, "book": book})

    def _tell(self, kind: str, venue: str, symbol: str, said: Ticks | Quote | Feed) -> None:
        seats = [seat for seat in self._seats.get(symbol, ()) if seat.venue in (None, venue)]
        if not seats:
            return
        sequence = self._sequences[venue, symbol] = self.sequence(venue, symbol) + 1
        message = {"type": kind, "venue": venue, "symbol": symbol, "sequence": sequence, kind: said}
        for seat in seats:
            seat.reader.put(message)

    def _leave(self, seat: _Seat, symbol: str) -> None:
        self._seats[symbol].remove(seat)
        if not self._seats[symbol]:
            del self._seats[symbol]
            self._sequences = {market: n for market, n in self._sequences.items() if market[1] != symbol}


def _books_in(snapshot: Any) -> dict[tuple[str, str], Sides]:
    books: list[Depth] = [market["book"] for market in snapshot.get("markets", ()) if "book" in market]
    return {(book.venue, book.symbol): (book.bids, book.asks) for book in books}
