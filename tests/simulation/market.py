"""The market: quotes and trades that wander about, the same for everybody."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any

from shared.contract import subjects
from shared.contract.market import Aggressor, Instrument, Quote, Tick
from shared.contract.subjects import Subject
from tests.simulation.broker import Broker
from tests.simulation.world import World

D = Decimal
VENUE = "sim"

SYMBOLS = {
    symbol: Instrument(
        symbol=symbol,
        price_tick=price_tick,
        lot=lot,
        quantity_min=lot,
        quantity_max=D(1_000_000),
        average_daily_volume=D(1_000_000_000),
    )
    for symbol, price_tick, lot in (("AAPL", D("0.01"), D(1)), ("BTCUSD", D("0.5"), D("0.001")))
}
BEGIN = {"AAPL": D("190.00"), "BTCUSD": D("64000.0")}


class Market:
    """One price for each symbol, with a bid and an ask of one step around it."""

    def __init__(self, world: World, broker: Broker) -> None:
        self._world = world
        self._broker = broker
        self._mid = dict(BEGIN)
        self._sequence = 0
        self.moves = True
        self.hears: Callable[[str], None] = lambda symbol: None

    def price(self, symbol: str, steps: int) -> Decimal:
        """So many steps above what is quoted now."""
        return self._mid[symbol] + SYMBOLS[symbol].price_tick * steps

    async def move(self, every_s: float) -> None:
        """For as long as it is let."""
        rng = self._world.rng
        while True:
            for symbol in SYMBOLS if self.moves else ():
                self._mid[symbol] = self.price(symbol, rng.randint(-3, 3))
                self.quote(symbol)
                self.hears(symbol)
                if rng.random() < 0.5:
                    self.trade(symbol)
            await self._world.loop.sleep(rng.uniform(0.5, 1.5) * every_s)

    def quote(self, symbol: str) -> None:
        """Say what is displayed."""
        now_ns = self._world.loop.now_ns()
        self._sequence += 1
        shown = SYMBOLS[symbol].lot * self._world.rng.randint(1, 6)
        self._say(
            subjects.QUOTE,
            Quote.model_construct(
                venue=VENUE,
                symbol=symbol,
                event_ns=now_ns,
                receive_ns=now_ns,
                bid=self.price(symbol, -1),
                bid_quantity=shown,
                ask=self.price(symbol, 1),
                ask_quantity=shown,
                sequence=self._sequence,
            ),
        )

    def trade(self, symbol: str) -> None:
        """Somebody bought or sold."""
        now_ns = self._world.loop.now_ns()
        rng = self._world.rng
        self._say(
            subjects.TICK,
            Tick.model_construct(
                venue=VENUE,
                symbol=symbol,
                event_ns=now_ns,
                receive_ns=now_ns,
                price=self.price(symbol, rng.choice((-1, 1))),
                quantity=SYMBOLS[symbol].lot * rng.randint(1, 4),
                side=rng.choice((Aggressor.BUYER, Aggressor.SELLER)),
                trade_id=str(self._sequence),
                sequence=self._sequence,
            ),
        )

    def _say(self, subject: Subject[Any], message: Quote | Tick) -> None:
        if not self._broker.away:
            self._broker.store(subject, _address(subject, message.symbol), message, "")


@cache
def _address(subject: Subject[Any], symbol: str) -> str:
    return subject.pattern.format(venue=VENUE, symbol=symbol)
