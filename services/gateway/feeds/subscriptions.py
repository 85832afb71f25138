"""Subscriptions: what is followed at which venue, as the settings say and as people ask at runtime.

    POST   /subscriptions {venue, symbol, channels?}    201, or 200 when it stood already; asked again with other
                                                        channels, it has those
    GET    /subscriptions                               all of them
    DELETE /subscriptions/{id}
    GET    /venues                                      who can be subscribed to, and how much of its budget is taken
    GET    /venues/{venue}/symbols                      the venue's own listing: its word, tick and lot for each symbol

A venue's tick and lot are shown and never used. Where they differ from those of `config/instruments.yaml`, both doors
say so and the log does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated, Any, Protocol

from pydantic import Field
from structlog.typing import FilteringBoundLogger

from services.gateway.settings import Settings
from shared.contract.base import Message, Symbol, Venue
from shared.contract.errors import Conflict, NotFound, Refused
from shared.contract.feeds import Channel, Listed, Subscription
from shared.contract.market import Instrument
from shared.kit import Clock, Reply

SHOWN = 8
"""So many symbols are named to who asks for one that is not listed."""


class SubscriptionRequest(Message):
    """What somebody wants to have followed."""

    venue: Venue
    symbol: Symbol
    channels: Annotated[tuple[Channel, ...], Field(min_length=1)] | None = None
    """TRADES, QUOTES (best bid and ask), BOOK; all that the venue has when left out."""


class Live(Protocol):
    """The feeds of all venues; see `live`."""

    @property
    def venues(self) -> Sequence[str]: ...

    def channels(self, venue: str) -> frozenset[Channel]: ...

    async def listing(self, venue: str) -> Sequence[Listed]: ...

    def want(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None: ...

    def unwant(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None: ...


class Store(Protocol):
    """Where subscriptions are kept; see the store."""

    async def all(self) -> list[Subscription]: ...

    async def keep(self, subscription: Subscription) -> None: ...

    async def drop(self, id: str) -> None: ...


class Subscriptions:
    """All that is followed. `configured` comes out of the settings and stays for as long as the process does.

    `replay` names the replay that provides a market just now, "" when none does.
    """

    def __init__(
        self,
        live: Live,
        store: Store,
        configured: Sequence[Subscription],
        venue_max: int,
        instruments: Mapping[str, Instrument],
        replay: Callable[[str, str], str],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._live = live
        self._store = store
        self._configured = {one.id: one for one in configured}
        self._venue_max = venue_max
        self._instruments = instruments
        self._replay = replay
        self._clock = clock
        self._log = log
        self._standing: dict[str, Subscription] = {}
        self._one_by_one = asyncio.Lock()

    @property
    def count(self) -> int:
        """How many are followed."""
        return len(self._standing)

    async def recover(self) -> None:
        """Follow what the settings and the store say, and nothing else."""
        kept = {one.id: one for one in await self._store.all()}
        for id in self._standing.keys() - kept.keys() - self._configured.keys():
            self._follow(id, None)
        for id, one in (kept | self._configured).items():
            if one.venue not in self._live.venues:
                self._log.error("venue_unknown", subscription=id, known=self._live.venues)
                continue
            try:
                self._follow(id, one)
            except Refused as error:
                self._log.error("not_followed", subscription=id, why=error.detail)

    async def subscribe(self, body: SubscriptionRequest) -> Reply:
        """Follow a symbol; kept before it is answered."""
        venue, symbol = body.venue, body.symbol
        listed = await self._listed(venue, symbol)
        channels = self._channels(venue, body.channels)
        async with self._one_by_one:
            id = name_of(venue, symbol)
            known = self._standing.get(id)
            if id in self._configured and known is not None and set(known.channels) != set(channels):
                detail = f"channels: the settings follow {symbol} at {venue}; change feeds.{venue} there"
                raise Conflict("CONFIGURED", detail, field="channels")
            if known is None:
                self._check_budget(venue)
            if known is None or set(known.channels) != set(channels):
                created_ns = known.created_ns if known else self._clock.now_ns()
                one = Subscription(id=id, venue=venue, symbol=symbol, channels=channels, created_ns=created_ns)
                await self._store.keep(one)
                try:
                    self._follow(id, one)
                except Refused:
                    await self._store.drop(id)
                    raise
                if not known:
                    self.note_listing(venue, [listed])
        words = self._shown(self._standing[id]) | {"listed": self._described(listed)}
        return Reply(words, status=200 if known else 201, headers={"Location": f"/subscriptions/{id}"})

    async def subscriptions(self) -> list[dict[str, Any]]:
        return [self._shown(one) for one in self._standing.values()]

    async def unsubscribe(self, id: str) -> dict[str, Any]:
        """Follow it no longer."""
        async with self._one_by_one:
            one = self._standing.get(id)
            if one is None:
                raise NotFound(f"there is no subscription {id[:64]}; GET /subscriptions lists them", field="id")
            if id in self._configured:
                detail = f"id: the settings follow {one.symbol} at {one.venue}; take it out of feeds.{one.venue} there"
                raise Conflict("CONFIGURED", detail, field="id")
            await self._store.drop(id)
            self._follow(id, None)
        return self._shown(one)

    async def venues(self) -> list[dict[str, Any]]:
        """Who can be subscribed to."""
        return [
            {
                "venue": venue,
                "channels": sorted(self._live.channels(venue)),
                "subscriptions": self._taken(venue),
                "subscriptions_max": self._venue_max,
            }
            for venue in self._live.venues
        ]

    async def symbols(self, venue: str) -> list[dict[str, Any]]:
        """A venue's own listing."""
        name = self._known(venue.strip().lower())
        return [self._described(one) for one in await self._live.listing(name)]

    def note_listing(self, venue: str, listing: Sequence[Listed]) -> None:
        """A venue's listing has come in: say where what is followed differs from the instruments we know."""
        for listed in listing:
            differs = self._differs(listed) if name_of(venue, listed.symbol) in self._standing else None
            if differs:
                self._log.warning("instrument_differs", venue=venue, symbol=listed.symbol, **differs)

    # What is asked for.

    def _known(self, venue: str) -> str:
        if venue not in self._live.venues:
            known = ", ".join(self._live.venues)
            raise NotFound(f"venue: {venue[:40]} is not one that can be subscribed to; known: {known}", field="venue")
        return venue

    async def _listed(self, venue: str, symbol: str) -> Listed:
        listing = {one.symbol: one for one in await self._live.listing(self._known(venue))}
        listed = listing.get(symbol)
        if listed is None:
            near = ", ".join(get_close_matches(symbol, listing, SHOWN, 0.5) or sorted(listing)[:SHOWN])
            detail = f"symbol: {venue} does not list {symbol}; near it are {near}; GET /venues/{venue}/symbols has all"
            raise Refused("SYMBOL_UNKNOWN", detail, field="symbol")
        if not listed.trading:
            raise Refused("NOT_TRADING", f"symbol: {symbol} is not trading at {venue} just now", field="symbol")
        return listed

    def _channels(self, venue: str, asked: Sequence[Channel] | None) -> tuple[Channel, ...]:
        has = self._live.channels(venue)
        if lacking := set(asked or ()) - has:
            detail = f"channels: {venue} has no {', '.join(sorted(lacking))}; it has {', '.join(sorted(has))}"
            raise Refused("INVALID", detail, field="channels")
        return tuple(channel for channel in Channel if channel in (asked or has))

    def _check_budget(self, venue: str) -> None:
        if self._taken(venue) >= self._venue_max:
            detail = f"{venue} has {self._venue_max} subscriptions; end one, or raise subscriptions_max"
            raise Conflict("TOO_MANY_SUBSCRIPTIONS", detail, field="venue")

    def _taken(self, venue: str) -> int:
        return sum(one.venue == venue for one in self._standing.values())

    # What is done and shown.

    def _follow(self, id: str, one: Subscription | None) -> None:
        """Have this followed in place of what was under this id; Conflict when a replay provides it."""
        if one is not None and id not in self._standing and (replay := self._replay(one.venue, one.symbol)):
            detail = f"symbol: {one.symbol} at {one.venue} is being replayed; wait for it, or DELETE /replays/{replay}"
            raise Conflict("REPLAY_RUNNING", detail, field="symbol")
        before = self._standing.pop(id, None)
        old, new = set(before.channels if before else ()), set(one.channels if one else ())
        place = one or before
        if place is not None and old - new:
            self._live.unwant(place.venue, place.symbol, sorted(old - new))
        if one is not None:
            if new - old:
                self._live.want(one.venue, one.symbol, sorted(new - old))
            self._standing[id] = one

    def _shown(self, one: Subscription) -> dict[str, Any]:
        words = one.model_dump()
        return {**words, "configured": one.id in self._configured}

    def _described(self, listed: Listed) -> dict[str, Any]:
        steps = {"price_tick": f"{listed.price_tick:f}", "lot": f"{listed.lot:f}"}
        return {**asdict(listed), **steps, "differs": self._differs(listed) or None}

    def _differs(self, listed: Listed) -> dict[str, dict[str, str]]:
        """Where a listed instrument of ours has another tick or lot than the venue."""
        ours = self._instruments.get(listed.symbol)
        if ours is None:
            return {}
        pairs = {"price_tick": (ours.price_tick, listed.price_tick), "lot": (ours.lot, listed.lot)}
        return {
            name: {"ours": f"{mine:f}", "theirs": f"{theirs:f}"}
            for name, (mine, theirs) in pairs.items()
            if mine != theirs and theirs  # 0 where the venue does not say it
        }


def configured_of(settings: Settings) -> list[Subscription]:
    """What the settings follow."""
    return [
        Subscription(id=name_of(venue, symbol), venue=venue, symbol=symbol, channels=one.channels, created_ns=0)
        for venue, one in settings.feeds.items()
        for symbol in one.symbols
    ]


def name_of(venue: str, symbol: str) -> str:
    """One subscription for each symbol of a venue."""
    return f"{venue}-{symbol}"
