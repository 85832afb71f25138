"""The board: what is known of every market just now, and how far it can be trusted.

A market is a symbol at a venue. It is LIVE while its source runs and it has said something lately, CROSSED while its
last quote crosses, STALE when it has been silent for too long, and DOWN when its source does not run. Besides, a source
can say what it doubts: GAP when something is missing, RESYNC until that is made good, DOWN while it is cut off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from services.gateway.core.day import Day, traded
from shared.contract.base import Message, rfc3339
from shared.contract.errors import Conflict, NotFound
from shared.contract.market import Feed, FeedStatus, Quote
from shared.contract.ticks import TickColumns

Key = tuple[str, str]
AGES_MAX = 100


class Ticker(Message):
    """One market for people; null where nothing is known yet. `change_24h` is in percent."""

    symbol: str
    venue: str
    last_price: str | None
    bid: str | None
    ask: str | None
    volume_24h: str | None
    change_24h: str | None
    timestamp: str | None


@dataclass
class Market:
    """One row of the board."""

    feed: Feed
    up: bool = False
    heard_ns: int | None = None
    quote: Quote | None = None
    doubt: tuple[FeedStatus, str] | None = None
    day: Day = field(default_factory=Day)


class Board:
    """Every market that has a source or had one lately; at most `markets_max` of them."""

    def __init__(self, *, stale_after_ns: int, markets_max: int) -> None:
        self._stale_after_ns = stale_after_ns
        self._markets_max = markets_max
        self._markets: dict[Key, Market] = {}
        self._changed: list[Feed] = []

    # Sources come and go.

    def open(self, venue: str, symbol: str, now_ns: int, *, again: bool = False, cut_off: str = "") -> None:
        """A source of this market begins to run; it is STALE until it says something.

        `again`: after a pause. `cut_off`: why nothing can come yet; it is DOWN until it is opened again.
        """
        if (venue, symbol) not in self._markets:
            self._make_room()
            feed = Feed(venue=venue, symbol=symbol, status=FeedStatus.DOWN, since_ns=now_ns)
            self._markets[venue, symbol] = Market(feed)
        market = self._markets[venue, symbol]
        market.up, market.heard_ns, market.quote = True, None, None
        market.doubt = (FeedStatus.DOWN, cut_off) if cut_off else None
        if not again:
            market.day = Day()
        self._judge(market, now_ns)

    def close(self, venue: str, symbol: str, why: str, now_ns: int) -> None:
        """Its source no longer runs."""
        market = self._markets[venue, symbol]
        market.up = False
        self._settle(market, FeedStatus.DOWN, why, now_ns)

    def _make_room(self) -> None:
        if len(self._markets) < self._markets_max:
            return
        ended = [key for key, market in self._markets.items() if not market.up]
        if not ended:
            detail = f"{self._markets_max} markets run already; end a replay, or raise markets_max"
            raise Conflict("TOO_MANY_MARKETS", detail)
        for key in sorted(ended, key=lambda key: self._markets[key].feed.since_ns)[: max(1, len(ended) // 10)]:
            del self._markets[key]

    # Data.

    def note_ticks(self, columns: TickColumns, now_ns: int) -> None:
        """Trades have come in."""
        for one in traded(columns):
            market = self._markets.get((columns.venue, columns.symbols[one.code]))
            if market is not None:
                market.day.add(one)
                market.heard_ns = now_ns
                self._judge(market, now_ns)

    def note_quote(self, quote: Quote, now_ns: int) -> None:
        """A quote has come in."""
        market = self._markets.get((quote.venue, quote.symbol))
        if market is not None:
            market.quote, market.heard_ns = quote, now_ns
            self._judge(market, now_ns)

    def forget_quote(self, venue: str, symbol: str) -> None:
        """No more quotes of this market come."""
        if market := self._markets.get((venue, symbol)):
            market.quote = None

    def note_heard(self, venue: str, symbols: Iterable[str], now_ns: int) -> None:
        """Something else of these markets has come in."""
        for symbol in symbols:
            if market := self._markets.get((venue, symbol)):
                market.heard_ns = now_ns
                self._judge(market, now_ns)

    # Trust.

    def doubt(
        self, venue: str, symbol: str, status: FeedStatus | None, why: str, now_ns: int, *, once: bool = False
    ) -> None:
        """What its source doubts from now on, None: nothing. `once`: told, and over already."""
        market = self._markets.get((venue, symbol))
        if market is None or not market.up:
            return
        if once and status is not None:
            self._settle(market, status, why, now_ns)
        else:
            market.doubt = None if status is None else (status, why)
        self._judge(market, now_ns)

    def changed(self) -> Sequence[Feed]:
        """The feeds whose status has changed since this was last asked."""
        changed, self._changed = self._changed, []
        return changed

    def judge(self, now_ns: int) -> list[Feed]:
        """Every feed, as it stands now."""
        for market in self._markets.values():
            self._judge(market, now_ns)
        return [market.feed for market in self._markets.values()]

    def live_quotes(self, now_ns: int) -> list[Quote]:
        """The quotes of markets that can be trusted, to be said again as of now."""
        live = [market for market in self._markets.values() if market.feed.status is FeedStatus.LIVE]
        return [quote.model_copy(update={"receive_ns": now_ns}) for market in live if (quote := market.quote)]

    def _judge(self, market: Market, now_ns: int) -> None:
        if not market.up:
            return
        if market.doubt is not None:
            self._settle(market, *market.doubt, now_ns)
        elif market.heard_ns is None:
            self._settle(market, FeedStatus.STALE, "nothing heard yet", now_ns)
        elif now_ns - market.heard_ns > self._stale_after_ns:
            silent_s = self._stale_after_ns / 1e9
            self._settle(market, FeedStatus.STALE, f"nothing heard for more than {silent_s:g} s", now_ns)
        elif market.quote and market.quote.crossed:
            self._settle(market, FeedStatus.CROSSED, "the bid is not below the ask", now_ns)
        else:
            self._settle(market, FeedStatus.LIVE, "", now_ns)

    def _settle(self, market: Market, status: FeedStatus, why: str, now_ns: int) -> None:
        if (status, why) != (market.feed.status, market.feed.why):
            market.feed = market.feed.model_copy(update={"status": status, "why": why, "since_ns": now_ns})
            self._changed.append(market.feed)

    def ages_s(self, now_ns: int) -> dict[str, float]:
        """For how long each market whose source runs has been silent, by its name: at most so many of them."""
        running = ((name, market) for name, market in self._markets.items() if market.up)
        return {
            f"{venue}.{symbol}": (now_ns - (market.heard_ns or market.feed.since_ns)) / 1e9
            for (venue, symbol), market in islice(running, AGES_MAX)
        }

    # For people.

    def feeds(self) -> list[Feed]:
        return [market.feed for market in self._markets.values()]

    def symbols(self) -> list[str]:
        return sorted({symbol for _, symbol in self._markets})

    def tickers(self) -> list[Ticker]:
        return [as_ticker(market) for market in self._markets.values()]

    def markets(self, symbol: str, venue: str | None = None) -> list[Market]:
        """The markets of this symbol, at one venue or all; NotFound when there is none."""
        found = [market for (_, known), market in self._markets.items() if known == symbol]
        if not found:
            raise NotFound(f"symbol {symbol} is not known here; GET /symbols lists those that are", field="symbol")
        if venue is None:
            return found
        here = [market for market in found if market.feed.venue == venue]
        if not here:
            venues = ", ".join(sorted(market.feed.venue for market in found))
            raise NotFound(f"venue: {symbol} is not known at {venue[:40]}, but at {venues}", field="venue")
        return here

    def market(self, symbol: str, venue: str | None = None) -> Market:
        """The one of them that is best known: one that runs, then the one heard last."""
        return max(self.markets(symbol, venue), key=lambda market: (market.up, market.heard_ns or 0))

    def ticker(self, symbol: str, venue: str | None = None) -> Ticker:
        return as_ticker(self.market(symbol, venue))


def as_ticker(market: Market) -> Ticker:
    """A market as people see it."""
    day, quote = market.day, market.quote
    times = [at_ns for at_ns in (day.last_ns, quote.event_ns if quote else None) if at_ns is not None]
    return Ticker(
        symbol=market.feed.symbol,
        venue=market.feed.venue,
        last_price=_plain(day.last),
        bid=None if quote is None or quote.bid is None else f"{quote.bid:f}",
        ask=None if quote is None or quote.ask is None else f"{quote.ask:f}",
        volume_24h=None if day.last is None else _plain(round(day.volume, 8)),
        change_24h=None if day.last is None else f"{day.change_percent:.4f}",
        timestamp=rfc3339(max(times)) if times else None,
    )


def _plain(value: float | None) -> str | None:
    return None if value is None else np.format_float_positional(value, trim="-")
