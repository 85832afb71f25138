"""What an order is measured against: the latest quote of its symbol, and whether it can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from shared.contract.market import Feed, FeedStatus, Quote

NS = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True)
class Reference:
    """A symbol's quote as it stands at one moment. `trouble` says why it cannot be used, or is empty."""

    quote: Quote | None
    age_s: Decimal | None
    trouble: str

    @property
    def scope(self) -> str:
        return f"{self.quote.venue}.{self.quote.symbol}" if self.quote else ""


class Market:
    """The latest quote per symbol, from whichever venue spoke last, and the state of every feed heard of."""

    def __init__(self) -> None:
        self._quotes: dict[str, Quote] = {}
        self._feeds: dict[tuple[str, str], FeedStatus] = {}

    def quote(self, quote: Quote) -> None:
        self._quotes[quote.symbol] = quote

    def feed(self, feed: Feed) -> None:
        self._feeds[feed.venue, feed.symbol] = feed.status

    def reference(self, symbol: str, now_ns: int, age_max_s: Decimal) -> Reference:
        """The quote, its age by receive time, and the first thing wrong with it.

        No quote, an old one, a crossed one, or a feed that is known not to be LIVE: all of them mean that nobody
        knows what the order would cost.
        """
        quote = self._quotes.get(symbol)
        if quote is None or (quote.bid is None and quote.ask is None):
            return Reference(None, None, "NO_QUOTE")
        age_s = (now_ns - quote.receive_ns) / NS
        status = self._feeds.get((quote.venue, symbol), FeedStatus.LIVE)
        if status is not FeedStatus.LIVE:
            return Reference(quote, age_s, f"FEED_{status}")
        if quote.crossed:
            return Reference(quote, age_s, "CROSSED")
        return Reference(quote, age_s, "OLD" if age_s > age_max_s else "")

    def latest(self, symbol: str) -> Quote | None:
        """The last quote, however old."""
        return self._quotes.get(symbol)

    def buy_back(self, symbol: str) -> Decimal | None:
        """What a unit of a short costs to buy back, by the last quote of any age; None when there never was one."""
        quote = self._quotes.get(symbol)
        return None if quote is None else quote.ask or quote.bid


def worst_price(
    side: str, order_type: str, price: Decimal | None, quote: Quote | None, slippage: Decimal
) -> Decimal | None:
    """The price at which an order is taken to fill; None when the quote it needs is not there.

    Buy: its limit, or the ask and a slippage. Sell: never below the market, because a short is worth what it costs to
    buy back; a market order is valued at the ask, which bounds both the bid and the last trade.
    """
    if order_type == "MARKET":
        if quote is None:
            return None
        if side == "BUY":
            return None if quote.ask is None else quote.ask * (1 + slippage)
        return None if quote.bid is None else max(quote.bid, quote.ask or quote.bid)
    if side == "SELL" and price is not None and quote is not None and quote.bid is not None:
        return max(price, quote.bid)
    return price
