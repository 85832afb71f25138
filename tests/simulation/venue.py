"""The way to the exchange, in the words of the Venue protocol: one line for each life of the gateway.

A request may be lost, late or done without an answer; the stream of the exchange's own words breaks off and comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from decimal import Decimal
from typing import Any, TypeVar

from services.live_gateway.venues.venue import Hear
from shared.contract.dealing import Answer, Capabilities, Leg, Outcome, Throttled, Unsure, VenueTrade, VenueWord
from shared.contract.errors import Unavailable
from shared.contract.orders import OrderType, TimeInForce
from tests.simulation.exchange import Exchange
from tests.simulation.loop import LIFE, Life, context_of
from tests.simulation.store import NOBODY
from tests.simulation.world import World

T = TypeVar("T")

NAME = "binance"
TIMEOUT_S = 0.4
LATEST_S = 1.0
"""So late a request may still reach the exchange."""


class Wire:
    """What all lines to the exchange share: the stream as it is just now, and who is at the other end of it."""

    def __init__(self, world: World, exchange: Exchange) -> None:
        self.world = world
        self.exchange = exchange
        self.down_since_ns = 0
        self.away_until_s = 0.0
        self.sends: Callable[[Leg], None] = lambda leg: None
        self.line: SimulatedVenue | None = None
        self._missed: list[VenueWord] = []
        self._last_s = 0.0
        exchange.hears = self._said

    @property
    def away(self) -> bool:
        return self.world.now_s < self.away_until_s

    def breaks(self, for_s: float) -> None:
        """The stream is gone for a while."""
        if not self.down_since_ns:
            self.down_since_ns = self.world.loop.now_ns()
            self.world.loop.call_later(for_s, self.back, context=NOBODY)

    def back(self) -> None:
        """What was missed meanwhile is said now."""
        self.down_since_ns = 0
        missed, self._missed = self._missed, []
        for word in missed:
            self._send(word)

    def _said(self, word: VenueWord) -> None:
        if self.down_since_ns:
            self._missed.append(word)
        elif not self.world.fate("word_lost"):
            self._send(word)
            if self.world.fate("word_twice"):
                self._send(word)

    def _send(self, word: VenueWord) -> None:
        world = self.world
        at_s = world.now_s + world.hop_s()
        if world.fate("word_out_of_order"):
            at_s += world.rng.uniform(0.0, 0.5)
        else:
            self._last_s = at_s = max(at_s, self._last_s)
        self.exchange.busy += 1
        world.loop.call_at(at_s, self._arrive, word, self.line, context=NOBODY)

    def _arrive(self, word: VenueWord, line: SimulatedVenue | None) -> None:
        self.exchange.busy -= 1
        if line is not None and line is self.line:
            line.told(word)


class SimulatedVenue:
    """One life's way to the exchange."""

    name = NAME
    capabilities = Capabilities(post_only=True, times_in_force=frozenset(TimeInForce))
    trouble: str | None = None

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._world = wire.world
        self._hear: Hear = lambda word: None
        self._life: Life | None = None
        self._context: Context = NOBODY

    @property
    def down_since_ns(self) -> int:
        return self._wire.down_since_ns

    def details(self) -> dict[str, object]:
        return {}

    async def connect(self, hear: Hear) -> None:
        self._hear, self._life = hear, LIFE.get()
        assert self._life is not None, "the gateway connects"
        self._context = context_of(self._life)
        self._wire.line = self

    async def close(self) -> None:
        if self._wire.line is self:
            self._wire.line = None

    def told(self, word: VenueWord) -> None:
        self._world.note(
            "word", word.client_id, word.status, word.cumulative_quantity, word.fill and word.fill.quantity
        )
        self._world.loop.call_soon(self._hear, word, context=self._context)

    async def submit(self, leg: Leg) -> Outcome:
        self._wire.sends(leg)
        return await self._ask("submit", leg, lambda: self._wire.exchange.submit(leg))

    async def cancel(self, leg: Leg) -> Outcome:
        return await self._ask("cancel", leg, lambda: self._wire.exchange.cancel(leg))

    def replaces(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> bool:
        return leg.order_type is OrderType.LIMIT and price == leg.price and quantity < leg.quantity

    async def replace(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> Outcome:
        return await self._ask("amend", leg, lambda: self._wire.exchange.amend(leg, quantity))

    async def find(self, leg: Leg) -> Answer:
        return await self._ask("find", leg, lambda: self._wire.exchange.find(leg))

    async def open_orders(self) -> list[VenueWord]:
        return await self._listed(self._wire.exchange.open_orders)

    async def trades(self, symbols: frozenset[str], since_ns: int) -> list[VenueTrade]:
        return await self._listed(lambda: self._wire.exchange.trades(since_ns))

    async def holdings(self) -> dict[str, Decimal]:
        return await self._listed(self._wire.exchange.holdings)

    async def _listed(self, read: Callable[[], T]) -> T:
        if self._wire.away or self._world.fate("listing_lost"):
            raise Unavailable("the venue does not answer")
        found = await self._ask("list", None, read)
        if isinstance(found, Unsure):
            raise Unavailable(found.why)
        return found

    async def _ask(self, what: str, leg: Leg | None, act: Callable[[], Any]) -> Any:
        """Send it, once. What the network does to it is nobody's fault here."""
        world, wire, loop = self._world, self._wire, self._world.loop
        name = leg.client_id if leg else ""
        if what not in ("find", "list") and world.fate("venue_throttled"):
            await loop.sleep(world.hop_s())
            return Throttled("too many requests", world.rng.uniform(0.05, 0.6))
        answer: asyncio.Future[Any] = loop.create_future()

        def arrive() -> None:
            wire.exchange.busy -= 1
            words = act()
            world.did[f"venue {what}"] += 1
            world.note("venue", what, name, type(words).__name__)
            if not world.fate("reply_lost"):
                loop.call_later(world.hop_s(), _settle, answer, words, context=NOBODY)

        if not wire.away and not world.fate("request_lost"):
            late = leg is not None and world.fate("request_late")
            after_s = world.rng.uniform(0.0, LATEST_S) if late else world.hop_s()
            wire.exchange.busy += 1
            loop.call_later(after_s, arrive, context=NOBODY)
        timer = loop.call_later(TIMEOUT_S, _settle, answer, Unsure("no answer in time"), context=NOBODY)
        try:
            return await answer
        finally:
            timer.cancel()


def _settle(answer: asyncio.Future[Any], words: Any) -> None:
    if not answer.done():
        answer.set_result(words)
