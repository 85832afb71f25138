"""What people see of the markets: tickers, feeds and books, and the markets that a socket follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from services.gateway.core.audience import Audience, Reader
from services.gateway.core.board import Board, Market, Ticker, as_ticker
from services.gateway.core.depth import LEVELS_MAX, Depth, best_of, check_levels
from shared.contract.base import normal_symbol
from shared.contract.errors import NotFound, Refused
from shared.contract.market import Feed

SYMBOLS_MAX = 200

Shelf = Callable[[Feed, int], Depth | None]
"""So many levels of a market's book; None where it is not kept there."""


class Views:
    """The doors to look through; nothing here changes anything."""

    def __init__(self, board: Board, audience: Audience, shelves: Sequence[Shelf]) -> None:
        self._board = board
        self._audience = audience
        self._shelves = shelves

    async def tickers(self) -> list[Ticker]:
        return self._board.tickers()

    async def ticker(self, symbol: str, venue: str = "") -> Ticker:
        return self._board.ticker(normal_symbol(symbol), _place(venue))

    async def symbols(self) -> list[str]:
        return self._board.symbols()

    async def feeds(self) -> list[Feed]:
        return self._board.feeds()

    async def book(self, symbol: str, depth: int = 10, venue: str = "") -> Depth:
        """A symbol's book, the best levels first; without a venue that of the market that is best known."""
        check_levels(depth)
        return self._book(self._board.market(normal_symbol(symbol), _place(venue)), depth)

    async def read(self, stream: Reader, symbols: str = "", venue: str = "", depth: int = 0) -> None:
        """Serve one socket until its reader leaves. `depth`: it is told this many levels of each book."""
        asked = list(dict.fromkeys(normal_symbol(symbol) for symbol in symbols.split(",") if symbol.strip()))
        if not 1 <= len(asked) <= SYMBOLS_MAX:
            detail = f"symbols: name 1 to {SYMBOLS_MAX}, as in ?symbols=BTCUSDT,ETHUSDT; GET /symbols lists them"
            raise Refused("INVALID", detail, field="symbols")
        if not 0 <= depth <= LEVELS_MAX:
            raise Refused("INVALID", f"depth: must be between 0 and {LEVELS_MAX}, not {depth}", field="depth")
        place = _place(venue)
        for symbol in asked:
            self._board.markets(symbol, place)
        await self._audience.read(stream, asked, place, depth, lambda: self._snapshot(asked, place, depth))

    async def tell_books(self) -> None:
        """To who asked for books, those that have changed."""
        for symbol, venue, depth in self._audience.books_wanted():
            with suppress(NotFound):  # a market that ended long ago
                for market in self._board.markets(symbol, venue):
                    self._audience.book(self._book(market, depth), venue, depth)

    def _snapshot(self, symbols: Sequence[str], venue: str | None, depth: int) -> dict[str, Any]:
        markets = [market for symbol in symbols for market in self._board.markets(symbol, venue)]
        return {"type": "snapshot", "markets": [self._standing(market, depth) for market in markets]}

    def _standing(self, market: Market, depth: int) -> dict[str, Any]:
        feed = market.feed
        standing = {
            "venue": feed.venue,
            "symbol": feed.symbol,
            "sequence": self._audience.sequence(feed.venue, feed.symbol),
            "feed": feed,
            "ticker": as_ticker(market),
        }
        return {**standing, "book": self._book(market, depth)} if depth else standing

    def _book(self, market: Market, depth: int) -> Depth:
        books = (shelf(market.feed, depth) for shelf in self._shelves)
        return next((book for book in books if book is not None), None) or best_of(market.feed, market.quote)


def _place(venue: str) -> str | None:
    return venue.strip().lower() or None
