"""Market data joined to the world.

Feeds bring data in and say it through the outlet; the board knows every market. This file answers what people ask of
either, steps the simulated market, and once a second says how far each feed can be trusted.
"""

from __future__ import annotations

import random

from services.gateway.core.audience import Audience
from services.gateway.core.board import Board
from services.gateway.core.depth import Depth, as_depth
from services.gateway.core.mirror import Mirrors, Terms
from services.gateway.core.simulation import SimulatedMarket
from services.gateway.core.views import Views
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.replay import Limits
from services.gateway.feeds.replays import Replays
from services.gateway.feeds.routes import replays_of, subscriptions_of, views_of
from services.gateway.feeds.simulation import VENUE, Simulation
from services.gateway.feeds.subscriptions import Subscriptions, configured_of
from services.gateway.feeds.venue_feeds import VenueFeeds
from services.gateway.settings import Settings
from services.gateway.store import KEEPS, SubscriptionStore
from shared.contract.market import Feed, FeedStatus
from shared.contract.subjects import FEED, FRAME, QUOTE
from shared.kit import Kit, Service, each, known_instrument

BOOKS_S = 0.25
"""How often who reads books along is told of those that have changed."""
RETELL_S = 0.9
"""Hearers may count on hearing of every feed, and every live quote, once a second."""


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything the gateway serves, says and does."""
    gateway = Gateway(kit, settings)
    return Service(
        says=(FRAME, QUOTE, FEED),
        keeps=KEEPS,
        serves=(
            *views_of(gateway.views),
            *replays_of(gateway.replays),
            *subscriptions_of(gateway.subscriptions),
        ),
        every=(
            each(1 / settings.simulation_steps_per_s, gateway.step),
            each(RETELL_S, gateway.retell),
            each(BOOKS_S, gateway.views.tell_books),
        ),
        recovers=gateway.subscriptions.recover,
        closes=gateway.close,
        stats=gateway.stats,
    )


class Gateway:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._clock = kit.clock
        self._board = Board(stale_after_ns=round(settings.stale_after_s * 1e9), markets_max=settings.markets_max)
        audience = self._audience = Audience()
        mirrors = Mirrors(_terms(settings))
        self.views = Views(self._board, audience, [self._simulated_book, mirrors.depth])
        outlet = Outlet(kit.bus, kit.clock, kit.meter, self._board, audience)
        self._outlet = outlet
        live = self._live = VenueFeeds(
            settings, mirrors.make, outlet, self._board, kit.clock, kit.meter, kit.log, kit.suite.var
        )
        self._simulated = _simulated_markets(kit, settings) if settings.simulate else {}
        self._simulation = Simulation(self._simulated, outlet, kit.clock, kit.meter)
        self.replays = Replays(
            Limits(settings.frame_rows, settings.frame_wait_s, settings.quote_gap_s, settings.lag_max),
            settings.replays_kept,
            self._provided_by,
            outlet=outlet,
            bus=kit.bus,
            clock=kit.clock,
            log=kit.log,
        )
        store, configured = SubscriptionStore(kit.valkey, kit.journal), configured_of(settings)
        self.subscriptions = Subscriptions(
            live,
            store,
            configured,
            settings.subscriptions_max,
            kit.instruments,
            self.replays.holder,
            kit.clock,
            kit.log,
        )
        live.tell_listings(self.subscriptions.note_listing)

    # What it does by itself.

    async def step(self) -> None:
        await self._simulation.step(self.replays.symbols)

    async def retell(self) -> None:
        self._live.look()
        now_ns = self._clock.now_ns()
        feeds = self._board.judge(now_ns)
        await self._outlet.tell_anew(feeds, self._board.live_quotes(now_ns))

    async def close(self) -> None:
        await self._live.close()
        await self.replays.close()

    # What it is asked.

    def _provided_by(self, venue: str, symbol: str) -> str:
        """Who provides a market by itself; "" when it is free to be replayed."""
        if venue == VENUE and self._simulated:
            return "the simulated market"
        return f"followed live for {symbol}" if self._live.follows(venue, symbol) else ""

    def _simulated_book(self, feed: Feed, depth: int) -> Depth | None:
        if feed.venue != VENUE or feed.symbol not in self._simulated:
            return None
        return as_depth(feed, *self._simulated[feed.symbol].depth(depth), self._clock.now_ns())

    def stats(self) -> dict[str, object]:
        feeds = self._board.feeds()
        return {
            "markets": len(feeds),
            "readers": self._audience.count,
            "subscriptions": self.subscriptions.count,
            "replayed_symbols": len(self.replays.symbols),
            "feeds": {status.value: sum(feed.status is status for feed in feeds) for status in FeedStatus},
            "feed_age_s": self._board.ages_s(self._clock.now_ns()),
        }


def _terms(settings: Settings) -> Terms:
    crossed_max_ns, resync_wait_ns = round(settings.crossed_max_s * 1e9), round(settings.resync_wait_s * 1e9)
    return Terms(settings.changes_waiting_max, crossed_max_ns, resync_wait_ns)


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
