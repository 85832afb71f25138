"""The live feeds of every venue: each is begun when something of it is first wanted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.live.dialect import Endpoints
from services.gateway.feeds.outlet import Board, Outlet
from services.gateway.feeds.venues import DIALECTS, ccxt
from services.gateway.settings import Settings, VenueSettings
from shared.contract.feeds import Channel, Checksum, Listed, Topic
from shared.kit import Clock, Meter
from shared.kit.settings import SettingsError

if TYPE_CHECKING:  # loaded with the first feed: a gateway that follows no venue does without aiohttp
    from services.gateway.feeds.capture import Capture
    from services.gateway.feeds.live.dialect import Ear, Source
    from services.gateway.feeds.live.feed import Mirror, VenueFeed
    from services.gateway.feeds.live.line import Tap
    from services.gateway.feeds.live.rest import Backoff
    from services.gateway.feeds.venues.binance import Binance
    from services.gateway.feeds.venues.coinbase import Coinbase
    from services.gateway.feeds.venues.kraken import Kraken

Mirrors = Callable[[str, int | None, Checksum | None], "Mirror"]
"""Makes a venue's mirror, given how deep its books are and what proves them; see the core."""

IDLE_NS = 3_600_000_000_000
TROUBLES = (
    "feed_changes_dropped",
    "feed_disconnects",
    "feed_failed",
    "feed_gaps",
    "feed_garbage",
    "feed_requests_failed",
    "feed_subscriptions_denied",
    "feed_told_to_wait",
    "feed_trades_doubled",
)
"""What is counted of each venue, from 0 on."""


class VenueFeeds:
    """Every venue that can be followed."""

    def __init__(
        self,
        settings: Settings,
        mirrors: Mirrors,
        outlet: Outlet,
        board: Board,
        clock: Clock,
        meter: Meter,
        log: FilteringBoundLogger,
        folder: Path,
    ) -> None:
        for venue, one in settings.feeds.items():
            if venue not in self.venues:
                raise SettingsError(f"gateway: feeds: {venue} is no venue known here; known: {', '.join(self.venues)}")
            if one.capture and venue not in DIALECTS:
                raise SettingsError(f"gateway: feeds.{venue}.capture: ccxt does not show us what the venue says")
        self._settings = settings
        self._mirrors = mirrors
        self._outlet = outlet
        self._board = board
        self._clock = clock
        self._meter = meter
        self._log = log
        self._dice = random.Random()
        # What should never happen is told as 0 from the start, so that its first time is seen as an increase.
        meter.count("live_ticks_dropped", 0)
        self._folder = folder / "capture"
        self._feeds: dict[str, VenueFeed] = {}
        self._ccxt: dict[str, ccxt.Ccxt] = {}
        self._idle_ns: dict[str, int] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._captures: dict[str, Capture] = {}
        self._listed: Callable[[str, Sequence[Listed]], None] | None = None

    @property
    def venues(self) -> Sequence[str]:
        """Those spoken to in their own words, then those that ccxt speaks to."""
        return (*DIALECTS, *(venue for venue in ccxt.venues() if venue not in DIALECTS))

    def channels(self, venue: str) -> frozenset[Channel]:
        """The channels a venue has; of one that ccxt speaks to, those it may have until its listing has come in."""
        if venue in DIALECTS:
            return DIALECTS[venue].channels
        return self._ccxt[venue].channels if venue in self._ccxt else frozenset(Channel)

    async def listing(self, venue: str) -> Sequence[Listed]:
        """The venue's symbols with their ticks and lots; Unavailable when it cannot be asked just now."""
        return tuple((await self._feed(venue).listing()).values())

    def want(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None:
        """From now on these channels of this symbol, besides all others; Conflict when there are too many markets."""
        self._feed(venue).want([Topic(channel, symbol) for channel in channels])

    def unwant(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None:
        """No longer these."""
        self._feed(venue).unwant([Topic(channel, symbol) for channel in channels])

    def follows(self, venue: str, symbol: str) -> bool:
        """Whether anything of this market is wanted."""
        feed = self._feeds.get(venue)
        return feed is not None and feed.follows(symbol)

    def tell_listings(self, listed: Callable[[str, Sequence[Listed]], None]) -> None:
        """Have this called with a venue and its listing whenever one has come in; before anything is followed."""
        self._listed = listed

    def look(self) -> None:
        """What time alone brings about; to be called about once a second."""
        for feed in self._feeds.values():
            feed.look()
        self._end_idle()

    def _end_idle(self) -> None:
        """A feed that was only asked for its listing, or follows nothing any more, is kept for as long as a listing."""
        now_ns = self._clock.monotonic_ns()
        for venue, feed in list(self._feeds.items()):
            if not feed.idle:
                self._idle_ns.pop(venue, None)
            elif now_ns - self._idle_ns.setdefault(venue, now_ns) > IDLE_NS:
                del self._feeds[venue], self._idle_ns[venue]
                self._ccxt.pop(venue, None)
                ending = asyncio.create_task(feed.close())
                self._ending.add(ending)
                ending.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        try:
            await asyncio.gather(*self._ending, *(feed.close() for feed in self._feeds.values()))
        finally:
            await asyncio.gather(*(capture.close() for capture in self._captures.values()))

    def _feed(self, venue: str) -> VenueFeed:
        if venue not in self._feeds:
            self._feeds[venue] = self._begun(venue)
        return self._feeds[venue]

    def _begun(self, venue: str) -> VenueFeed:
        from services.gateway.feeds.live.feed import VenueFeed
        from services.gateway.feeds.live.rest import Backoff
        from services.gateway.feeds.live.voice import Measure, Voice

        knobs, here = self._settings, self._settings.feeds.get(venue, VenueSettings())
        kind = DIALECTS.get(venue)
        measure = Measure(knobs.frame_rows, knobs.quote_gap_s, knobs.ticks_waiting_max)
        for what in TROUBLES:
            self._meter.count(what, 0, venue=venue)
        voice = Voice(venue, measure, self._outlet, self._clock, self._meter, self._log)
        mirror = self._mirrors(venue, kind.depth_max if kind else None, kind.checksum if kind else None)
        backoff: Callable[[], Backoff] = partial(Backoff, self._dice, knobs.reconnect_first_s, knobs.reconnect_max_s)
        feed = VenueFeed(venue, mirror, self._board, voice, self._clock, self._meter, self._log, backoff())
        if kind is None:
            endpoints = Endpoints(here.stream_url, here.rest_url)
            source = self._ccxt[venue] = ccxt.Ccxt(venue, endpoints, feed, self._clock, self._log, backoff)
            feed.attach(source, self._listed)
        else:
            feed.attach(self._connections(kind, here, feed), self._listed)
        return feed

    def _connections(self, kind: type[Binance | Coinbase | Kraken], here: VenueSettings, ear: Ear) -> Source:
        from services.gateway.feeds.live.connections import Connections, Patience
        from services.gateway.feeds.live.line import Pace

        knobs = self._settings
        dialect = kind(Endpoints(here.stream_url or kind.live.stream, here.rest_url or kind.live.rest))
        pace = Pace(wait_s=knobs.frame_wait_s, stall_s=knobs.stall_s)
        patience = Patience(pace, knobs.reconnect_first_s, knobs.reconnect_max_s, knobs.rest_timeout_s)
        tap = self._capture(dialect.venue) if here.capture else None
        return Connections(dialect, ear, self._clock, self._meter, self._log, self._dice, patience, tap)

    def _capture(self, venue: str) -> Tap:
        from services.gateway.feeds.capture import Capture, Room

        knobs = self._settings
        room = Room(knobs.capture_waiting_bytes_max, knobs.capture_file_bytes_max, knobs.capture_kept_bytes_max)
        if venue not in self._captures:
            self._captures[venue] = Capture(venue, self._folder, room, self._clock, self._meter, self._log)
        return self._captures[venue].take
