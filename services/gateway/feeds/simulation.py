"""The simulated market as a feed: steps every book on a timer and says what came of it.

One frame carries the trades of all symbols in a step. A frame that the bus cannot take is dropped and counted: these
trades are made up, and the market goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np

from services.gateway.feeds.outlet import Outlet
from shared.contract.errors import Unavailable
from shared.contract.market import Quote
from shared.contract.ticks import TickColumns
from shared.kit import Clock, Meter

VENUE = "sim"


class Match(Protocol):
    """A trade in the book's own steps."""

    @property
    def price(self) -> int: ...

    @property
    def lots(self) -> int: ...

    @property
    def buyer_took(self) -> bool: ...


class Market(Protocol):
    """One simulated symbol; see the core."""

    def step(self) -> Sequence[Match]: ...

    def quote(self, now_ns: int, *, anew: bool) -> Quote | None: ...

    def price(self, ticks: int) -> Decimal: ...

    def quantity(self, lots: int) -> Decimal: ...


@dataclass
class Traded:
    """A trade, and the number it has in its symbol."""

    code: int
    number: int
    price: float
    quantity: float
    side: int


class Simulation:
    """Every simulated symbol of this process."""

    def __init__(self, markets: Mapping[str, Market], outlet: Outlet, clock: Clock, meter: Meter) -> None:
        self._markets = markets
        self._outlet = outlet
        self._clock = clock
        self._meter = meter
        self._symbols = tuple(markets)
        self._counts = dict.fromkeys(markets, 0)
        self._running: set[str] = set()
        self._opened: set[str] = set()
        self._frames = 0
        self._run = f"{clock.now_ns() // 1_000_000:x}"

    async def step(self, suspended: Collection[str]) -> None:
        """Move every market once, but those whose symbol is suspended because a replay provides it."""
        resumed = await self._switch(suspended)
        traded: list[Traded] = []
        for code, symbol in enumerate(self._symbols):
            if symbol in self._running:
                traded += self._moved(code, symbol)
        if traded:
            await self._say(traded)
        for symbol in self._running:
            if quote := self._markets[symbol].quote(self._clock.now_ns(), anew=symbol in resumed):
                await self._outlet.quote(quote)

    async def _switch(self, suspended: Collection[str]) -> set[str]:
        """Stop and start markets; those that start."""
        resumed: set[str] = set()
        for symbol in self._symbols:
            if symbol in suspended and symbol in self._running:
                self._running.discard(symbol)
                await self._outlet.close(VENUE, symbol, "replay")
            elif symbol not in suspended and symbol not in self._running:
                self._running.add(symbol)
                await self._outlet.open(VENUE, symbol, again=symbol in self._opened)
                self._opened.add(symbol)
                resumed.add(symbol)
        return resumed

    def _moved(self, code: int, symbol: str) -> list[Traded]:
        market, traded = self._markets[symbol], list[Traded]()
        for match in market.step():
            self._counts[symbol] += 1
            price, quantity = float(market.price(match.price)), float(market.quantity(match.lots))
            traded.append(Traded(code, self._counts[symbol], price, quantity, 1 if match.buyer_took else -1))
        return traded

    async def _say(self, traded: list[Traded]) -> None:
        now_ns = self._clock.now_ns()
        columns = TickColumns(
            venue=VENUE,
            symbols=self._symbols,
            codes=np.array([trade.code for trade in traded], np.int32),
            event_ns=np.full(len(traded), now_ns, np.int64),
            receive_ns=np.full(len(traded), now_ns, np.int64),
            price=np.array([trade.price for trade in traded], np.float64),
            quantity=np.array([trade.quantity for trade in traded], np.float64),
            side=np.array([trade.side for trade in traded], np.int8),
            trade_id=[f"{self._run}-{trade.number}" for trade in traded],
            sequence=np.array([trade.number for trade in traded], np.int64),
        )
        await self._outlet.note(columns)
        self._frames += 1
        try:
            await self._outlet.say(columns, id=f"{VENUE}-{self._run}-{self._frames}")
        except Unavailable:
            self._meter.count("simulated_ticks_dropped", len(traded))
