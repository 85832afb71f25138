"""What an order is measured against: the latest quotes of its symbol, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from shared.contract.market import Feed, FeedStatus, Quote

NS = Decimal(1_000_000_000)
MOVES_MAX = 8192
ONE = Decimal(1)


class Reference(NamedTuple):
    """A symbol's quote as it stands at one moment. `trouble` says why it cannot be used, or is empty."""

    quote: Quote | None
    age_ns: int
    trouble: str

    @property
    def scope(self) -> str:
        return f"{self.quote.venue}.{self.quote.symbol}" if self.quote else ""


NOBODY = Reference(None, 0, "NO_QUOTE")


class Touch(NamedTuple):
    """What a unit fetches when sold now and what it costs when bought now, where either side is known."""

    sold: Decimal
    bought: Decimal


class Market:
    """The latest quotes per symbol, and the state of every feed heard of.

    The quote that counts is of whichever venue spoke last. `moves` counts changes of price, so that whoever values
    holdings need only look at the symbols that moved since.
    """

    def __init__(self) -> None:
        self._quotes: dict[str, Quote] = {}
        self._venues: dict[str, dict[str, Quote]] = {}
        self._touches: dict[str, Touch] = {}
        self._feeds: dict[tuple[str, str], FeedStatus] = {}
        self._moved: list[str] = []
        self._forgotten = 0
        self.moves = 0

    def quote(self, quote: Quote) -> None:
        symbol = quote.symbol
        self._quotes[symbol] = quote
        self._venues.setdefault(symbol, {})[quote.venue] = quote
        bid, ask = quote.bid, quote.ask
        sold, bought = bid or ask, ask or bid
        if sold is None or bought is None:
            return
        touch = Touch(sold, bought)
        if self._touches.get(symbol) != touch:
            self._touches[symbol] = touch
            self._moved.append(symbol)
            self.moves += 1
            if len(self._moved) > MOVES_MAX:
                self._forgotten = self.moves
                self._moved.clear()

    def feed(self, feed: Feed) -> None:
        self._feeds[feed.venue, feed.symbol] = feed.status

    def moved_since(self, moves: int) -> Sequence[str] | None:
        """The symbols whose price changed after so many moves; None: too many to say."""
        return None if moves < self._forgotten else self._moved[moves - self._forgotten :]

    def touch(self, symbol: str) -> Touch | None:
        """The last known prices, of any age."""
        return self._touches.get(symbol)

    def reference(self, symbol: str, now_ns: int, age_max_ns: int) -> Reference:
        """The quote, its age by receive time, and the first thing wrong with it.

        No quote, an old one, one from the future, a crossed one, or a feed that is known not to be LIVE: all of them
        mean that nobody knows what the order would cost.
        """
        quote = self._quotes.get(symbol)
        if quote is None or (quote.bid is None and quote.ask is None):
            return NOBODY
        age_ns = now_ns - quote.receive_ns
        status = self._feeds.get((quote.venue, symbol))
        if status is not None and status is not FeedStatus.LIVE:
            return Reference(quote, age_ns, f"FEED_{status}")
        if quote.crossed:
            return Reference(quote, age_ns, "CROSSED")
        if age_ns < -age_max_ns:
            return Reference(quote, age_ns, "AHEAD")
        return Reference(quote, age_ns, "OLD" if age_ns > age_max_ns else "")

    def divergence(self, symbol: str, now_ns: int, age_max_ns: int) -> Decimal | None:
        """How far the venues that quote a symbol just now are apart, as a fraction; None: there are not two."""
        quotes = self._venues.get(symbol)
        if quotes is None or len(quotes) < 2:
            return None
        middles = [
            (quote.bid + quote.ask) / 2
            for quote in quotes.values()
            if quote.bid is not None and quote.ask is not None and now_ns - quote.receive_ns <= age_max_ns
        ]
        return (max(middles) - min(middles)) / min(middles) if len(middles) > 1 else None

    def latest(self, symbol: str) -> Quote | None:
        """The last quote, however old."""
        return self._quotes.get(symbol)


class Terms(NamedTuple):
    """What of an order says at which price it may fill. `stop` is None for what does not wait for one."""

    side: str
    order_type: str
    price: Decimal | None
    stop: Decimal | None = None
    trail: str | None = None


def worst_price(terms: Terms, quote: Quote | None, slippage: Decimal) -> Decimal | None:
    """The price at which an order is taken to fill; None when the quote it needs is not there.

    buy     its limit; without one the ask, or the stop where that is higher, and a slippage
    sell    never below the market, because a short is worth what it costs to buy back: the highest of limit, stop and
            market; without a limit the market is the ask, which bounds both the bid and the last trade
    """
    if terms.side == "SELL":
        return _worst_sale(terms, quote)
    if terms.price is not None:
        return terms.price
    if quote is None or quote.ask is None:
        return None
    stop = _stop(terms, quote)
    return (quote.ask if stop is None else max(quote.ask, stop)) * (ONE + slippage)


def _worst_sale(terms: Terms, quote: Quote | None) -> Decimal | None:
    bid = quote.bid if quote is not None else None
    if terms.price is None:
        if quote is None or bid is None:
            return None
        market = max(bid, quote.ask or bid)
        return market if terms.stop is None else max(market, terms.stop)
    known = [price for price in (terms.price, terms.stop, bid) if price is not None]
    return max(known)


def _stop(terms: Terms, quote: Quote) -> Decimal | None:
    """Where a buy is triggered; of one that trails, where it is now: it only ever falls."""
    if terms.stop is not None or terms.trail is None or quote.ask is None:
        return terms.stop
    if terms.trail.endswith("%"):
        return quote.ask * (ONE + Decimal(terms.trail[:-1]) / 100)
    return quote.ask + Decimal(terms.trail)
