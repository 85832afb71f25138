"""The simulated market of one symbol: its agents around a slowly moving value, one step at a time.

The same seed and the same number of steps give the same trades. Every trade and every quote comes out of the book's
matching. Nothing in it grows: a maker's old quotes are cancelled before its new ones are submitted, and takers
never wait.
"""

from __future__ import annotations

from decimal import Decimal
from math import exp

from services.gateway.core.agents import Dice, InformedTaker, Maker, MomentumTaker, NoiseTaker, Scale
from services.gateway.core.book import Book, Trade
from shared.contract.market import Instrument, Quote

MAKERS = 3
UNIT_OF_PRICE = 0.00002
NOTIONAL = 5_000.0
Level = tuple[Decimal, Decimal]


class SimulatedMarket:
    """One symbol's book, its agents, and the value they circle around."""

    def __init__(
        self,
        instrument: Instrument,
        *,
        venue: str,
        opening_price: Decimal,
        dice: Dice,
        volatility: float = 0.00003,
    ) -> None:
        self.instrument = instrument
        self.venue = venue
        self.book = Book()
        self._dice = dice
        self._volatility = volatility
        self._anchor = self._value = float(opening_price / instrument.price_tick)
        lot_notional = float(opening_price * instrument.lot * instrument.multiplier)
        scale = Scale(unit=max(1, round(self._value * UNIT_OF_PRICE)), lots=max(1, round(NOTIONAL / lot_notional)))
        self._makers = {owner: Maker(owner, scale) for owner in range(1, MAKERS + 1)}
        self._takers = (
            NoiseTaker(MAKERS + 1, scale),
            InformedTaker(MAKERS + 2, scale),
            MomentumTaker(MAKERS + 3, scale),
        )
        self.trade_count = 0
        self._quote: tuple[Level | None, Level | None] | None = None
        self.quote_count = 0

    def step(self) -> list[Trade]:
        """Let every agent act once; the trades in the order they were made."""
        self._move()
        for maker in self._makers.values():
            maker.act(self.book, self._value, self._dice)
        trades: list[Trade] = []
        for taker in self._takers:
            trades += taker.act(self.book, self._value, self._dice)
        for trade in trades:
            self._makers[trade.maker].inventory += -trade.lots if trade.buyer_took else trade.lots
        if trades:
            self._refill()
        self.trade_count += len(trades)
        return trades

    def price(self, ticks: int) -> Decimal:
        return ticks * self.instrument.price_tick

    def quantity(self, lots: int) -> Decimal:
        return lots * self.instrument.lot

    def depth(self, levels: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks, the best first, as price and quantity."""
        bids, asks = self.book.bids.depth(levels), self.book.asks.depth(levels)
        return [self._level(*level) for level in bids], [self._level(*level) for level in asks]

    def quote(self, now_ns: int, *, anew: bool = False) -> Quote | None:
        """Best bid and ask, when they are not what they were when last asked, or when wanted anew."""
        bids, asks = self.depth(1)
        best = (bids[0] if bids else None), (asks[0] if asks else None)
        if best == self._quote and not anew:
            return None
        self._quote = best
        self.quote_count += 1
        (bid, bid_quantity), (ask, ask_quantity) = (best[0] or (None, None)), (best[1] or (None, None))
        return Quote(
            venue=self.venue,
            symbol=self.instrument.symbol,
            event_ns=now_ns,
            receive_ns=now_ns,
            bid=bid,
            bid_quantity=bid_quantity,
            ask=ask,
            ask_quantity=ask_quantity,
            sequence=self.quote_count,
        )

    def _level(self, ticks: int, lots: int) -> Level:
        return self.price(ticks), self.quantity(lots)

    def _move(self) -> None:
        # The pull towards the opening keeps a market that runs for weeks in a range a person recognises.
        pull = 0.000002 * (self._anchor - self._value) / self._anchor
        self._value = max(10.0, self._value * exp(pull + self._dice.gauss(0, self._volatility)))

    def _refill(self) -> None:
        # A market that has been swept is quoted again before anyone sees it one-sided.
        for maker in self._makers.values():
            if self.book.bids.best is None or self.book.asks.best is None or not maker.complete(self.book):
                maker.requote(self.book, self._value, self._dice)
