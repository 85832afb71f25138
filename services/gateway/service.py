"""Market data joined to the world.

Feeds bring data in and say it through the outlet; the board knows every market. This file answers what people ask of
either, steps the simulated market, and once a second says how far each feed can be trusted.
"""

from __future__ import annotations

import random

from services.gateway.core.board import Board, Ticker
from services.gateway.core.depth import Depth, as_depth, best_of, check_levels
from services.gateway.core.simulation import SimulatedMarket
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.replay import Limits
from services.gateway.feeds.replays import Replays
from services.gateway.feeds.requests import ReplayRequest, ReplayStatus
from services.gateway.feeds.simulation import VENUE, Simulation
from services.gateway.settings import Settings
from shared.contract.base import normal_symbol
from shared.contract.market import Feed, FeedStatus
from shared.contract.subjects import FEED, FRAME, QUOTE
from shared.kit import Kit, Reply, Service, delete, each, get, known_instrument, post

RETELL_S = 0.9
"""Hearers may count on hearing of every feed, and every live quote, once a second."""


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything the gateway serves, says and does."""
    gateway = Gateway(kit, settings)
    return Service(
        says=(FRAME, QUOTE, FEED),
        serves=(
            get("/tickers", gateway.tickers),
            get("/ticker/{symbol}", gateway.ticker),
            get("/symbols", gateway.symbols),
            get("/feeds", gateway.feeds),
            get("/book/{symbol}", gateway.book),
            post("/replay", gateway.replay),
            get("/replays", gateway.replays),
            get("/replays/{id}", gateway.show_replay),
            delete("/replays/{id}", gateway.cancel_replay),
        ),
        every=(
            each(1 / settings.simulation_steps_per_s, gateway.step),
            each(RETELL_S, gateway.retell),
        ),
        closes=gateway.close,
        stats=gateway.stats,
    )


class Gateway:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._clock = kit.clock
        self._board = Board(stale_after_ns=round(settings.stale_after_s * 1e9), markets_max=settings.markets_max)
        outlet = Outlet(kit.bus, kit.clock, kit.meter, self._board)
        self._outlet = outlet
        self._simulated = _simulated_markets(kit, settings) if settings.simulate else {}
        self._simulation = Simulation(self._simulated, outlet, kit.clock, kit.meter)
        self._replays = Replays(
            Limits(settings.frame_rows, settings.frame_wait_s, settings.quote_gap_s, settings.lag_max),
            settings.replays_kept,
            frozenset({VENUE}) if settings.simulate else frozenset(),
            outlet=outlet,
            bus=kit.bus,
            clock=kit.clock,
            log=kit.log,
        )

    # What it does by itself.

    async def step(self) -> None:
        await self._simulation.step(self._replays.symbols)

    async def retell(self) -> None:
        now_ns = self._clock.now_ns()
        feeds = self._board.judge(now_ns)
        self._board.changed()
        await self._outlet.tell_anew(feeds, self._board.live_quotes(now_ns))

    async def close(self) -> None:
        await self._replays.close()

    # What it is asked.

    async def tickers(self) -> list[Ticker]:
        return self._board.tickers()

    async def ticker(self, symbol: str) -> Ticker:
        return self._board.ticker(normal_symbol(symbol))

    async def symbols(self) -> list[str]:
        return self._board.symbols()

    async def feeds(self) -> list[Feed]:
        return self._board.feeds()

    async def book(self, symbol: str, depth: int = 10) -> Depth:
        check_levels(depth)
        market = self._board.market(normal_symbol(symbol))
        feed = market.feed
        if feed.venue == VENUE and feed.symbol in self._simulated:
            return as_depth(feed, *self._simulated[feed.symbol].depth(depth), self._clock.now_ns())
        return best_of(feed, market.quote)

    async def replay(self, body: ReplayRequest) -> Reply:
        status = await self._replays.begin(body)
        return Reply(status, status=202, headers={"Location": f"/replays/{status.id}"})

    async def replays(self) -> list[ReplayStatus]:
        return self._replays.list()

    async def show_replay(self, id: str) -> ReplayStatus:
        return self._replays.show(id)

    async def cancel_replay(self, id: str) -> ReplayStatus:
        return await self._replays.cancel(id)

    def stats(self) -> dict[str, object]:
        feeds = self._board.feeds()
        return {
            "markets": len(feeds),
            "replayed_symbols": len(self._replays.symbols),
            "feeds": {status.value: sum(feed.status is status for feed in feeds) for status in FeedStatus},
            "feed_age_s": self._board.ages_s(self._clock.now_ns()),
        }


def _simulated_markets(kit: Kit, settings: Settings) -> dict[str, SimulatedMarket]:
    return {
        symbol: SimulatedMarket(
            known_instrument(kit.instruments, symbol),
            venue=VENUE,
            opening_price=opening_price,
            dice=random.Random(f"{settings.simulation_seed}-{symbol}"),
        )
        for symbol, opening_price in settings.simulation_symbols.items()
    }
