"""Binance spot: requests by REST, its own words by the user data stream, and by REST what the stream missed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal

from services.live_gateway.venues.binance_account import BinanceAccount
from services.live_gateway.venues.binance_proof import (
    BAD_SYMBOL,
    NO_SUCH_ORDER,
    UNKNOWN_ORDER,
    NotLetIn,
    OutcomeUnknown,
    VenueRefused,
    listing,
    outcome,
)
from services.live_gateway.venues.binance_rest import BinanceRest, BinanceTerms
from services.live_gateway.venues.binance_stream import Event, UserStream
from services.live_gateway.venues.binance_words import MS, Traded, name_words, submit_words, word_of_event
from services.live_gateway.venues.venue import Hear
from shared.contract.dealing import (
    Absent,
    Accepted,
    Answer,
    Capabilities,
    Found,
    Leg,
    Outcome,
    Rejected,
    Throttled,
    Unsure,
    VenueTrade,
    VenueWord,
)
from shared.contract.market import Instrument
from shared.contract.orders import OrderType, TimeInForce
from shared.kit import Clock

LATE_MS = 1000
"""How long after its time stamp has lapsed a request might still come to be seen in the venue's answers."""

SENT_MAX = 10_000
"""How many sendings are remembered; what is older than that was sent long enough ago."""


class BinanceVenue:
    """One account at Binance spot; speaks the Venue protocol."""

    def __init__(self, terms: BinanceTerms, clock: Clock, instruments: Mapping[str, Instrument]) -> None:
        self._terms = terms
        self._clock = clock
        self._rest = BinanceRest(terms, clock)
        self._account = BinanceAccount(self._rest, clock, instruments)
        self._stream = UserStream(self._rest, terms, clock, self._catch_up, self._heard)
        self._hear: Hear | None = None
        self._running: asyncio.Task[None] | None = None
        self._began_ns = clock.monotonic_ns()
        self._sent_ns: dict[str, int] = {}

    @property
    def name(self) -> str:
        return "binance"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(post_only=True, times_in_force=frozenset(TimeInForce))

    @property
    def down_since_ns(self) -> int:
        return self._stream.down_since_ns

    @property
    def trouble(self) -> str | None:
        return self._rest.trouble or self._stream.why_down

    def details(self) -> dict[str, object]:
        return {
            "endpoint": self._terms.endpoints.rest,
            "weight_used": self._rest.weight,
            "clock_ahead_ms": self._rest.ahead_ms,
            "reconnects": max(self._stream.joins - 1, 0),
        }

    async def connect(self, hear: Hear) -> None:
        self._hear = hear
        self._running = asyncio.create_task(self._stream.run(), name="binance-stream")

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        await self._rest.close()

    async def submit(self, leg: Leg) -> Outcome:
        self._account.deals_in(leg.symbol)
        self._sent_ns[leg.client_id] = self._clock.monotonic_ns()
        if len(self._sent_ns) > SENT_MAX:
            del self._sent_ns[next(iter(self._sent_ns))]
        answer = await outcome(self._rest.send("POST", "order", **submit_words(leg)))
        if isinstance(answer, Accepted) and answer.venue_order_id:
            self._account.opened(answer.venue_order_id, leg.symbol)
        return answer

    async def cancel(self, leg: Leg) -> Outcome:
        return await outcome(self._rest.send("DELETE", "order", **name_words(leg)))

    def replaces(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> bool:
        """Less of a limit order at its price: it keeps its place, and the venue itself counts what is filled.

        Anything else would be two orders, with a moment between them in which the first may fill.
        """
        return leg.order_type is OrderType.LIMIT and price == leg.price and quantity < leg.quantity

    async def replace(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> Outcome:
        assert self.replaces(leg, price, quantity), "the desk asks first"
        words = name_words(leg) | {"newQty": f"{quantity:f}", "newClientOrderId": leg.client_id}
        return await outcome(self._rest.send("PUT", "order/amend/keepPriority", **words))

    async def cancel_all(self, symbols: frozenset[str]) -> Outcome:
        outcomes = await asyncio.gather(*(self._cancel_symbol(symbol) for symbol in sorted(symbols)))
        for kind in (Unsure, Throttled, Rejected):
            if found := next((outcome for outcome in outcomes if isinstance(outcome, kind)), None):
                return found
        return Accepted()

    async def _cancel_symbol(self, symbol: str) -> Outcome:
        return await outcome(self._rest.send("DELETE", "openOrders", symbol=symbol), (UNKNOWN_ORDER, BAD_SYMBOL))

    async def find(self, leg: Leg) -> Answer:
        self._account.deals_in(leg.symbol)
        try:
            word = await self._account.order(**name_words(leg))
            fills = tuple(await self._account.fills_of(word)) if word.cumulative_quantity else ()
        except VenueRefused as refused:
            return self._absent(leg) if refused.code == NO_SUCH_ORDER else Unsure(str(refused))
        except (NotLetIn, OutcomeUnknown) as error:
            return Unsure(str(error))
        if sum((fill.quantity for fill in fills), Decimal(0)) != word.cumulative_quantity:
            return Unsure("the venue's trades and its order do not agree yet")
        self._account.note(word)
        return Found(word, fills)

    def _absent(self, leg: Leg) -> Answer:
        """The venue refuses a request whose time stamp is too old; until then one might still be on its way."""
        sent_ns = self._sent_ns.get(leg.client_id, self._began_ns)
        if self._clock.monotonic_ns() < sent_ns + (self._terms.window_ms + LATE_MS) * MS:
            return Unsure("the venue does not have it, but it may still be on its way")
        self._sent_ns.pop(leg.client_id, None)
        return Absent()

    async def open_orders(self) -> list[VenueWord]:
        return await listing(self._account.open_orders)

    async def trades(self, symbols: frozenset[str], since_ns: int) -> list[VenueTrade]:
        return await listing(lambda: self._account.trades(symbols, since_ns))

    async def holdings(self) -> dict[str, Decimal]:
        return await listing(self._account.holdings)

    async def _catch_up(self) -> None:
        for word in await self._account.missed():
            self._say(word)

    async def _heard(self, event: Event) -> None:
        if event.get("e") == "executionReport":
            traded = Traded.of_event(event)
            self._say(word_of_event(event, await self._account.fill(traded) if traded else None))

    def _say(self, word: VenueWord) -> None:
        self._account.note(word)
        assert self._hear is not None, "nothing is heard before connect"
        self._hear(word)
