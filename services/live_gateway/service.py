"""The paper venue, joined to the world.

What a message does to the orders is decided in memory in one step; the orders and their reports are then committed
together, and only then are the reports said. What comes twice finds the order known, and its latest report is repeated.
"""

from __future__ import annotations

from typing import Any

from services.live_gateway.core.orders import VENUE, Terms
from services.live_gateway.core.paper import PaperVenue
from services.live_gateway.settings import Settings
from services.live_gateway.store import VenueStore
from shared.contract import subjects
from shared.contract.base import Account
from shared.contract.errors import NotFound, Unavailable
from shared.contract.market import Frame, Quote, Tick
from shared.contract.orders import CancelOrder, RouteOrder
from shared.contract.venue import VenueOrder
from shared.kit import Kit, Service, each, get, on, watch
from shared.kit.frames import decode_frame

MODE = "PAPER"


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the venue, and everything it can say."""
    gateway = LiveGateway(kit, settings)
    return Service(
        hears=(
            on(subjects.ORDER_NEW, gateway.new, lane="order_id"),
            on(subjects.ORDER_CANCEL, gateway.cancel, lane="order_id"),
            watch(subjects.QUOTE, gateway.quote),
            watch(subjects.TICK, gateway.tick),
            watch(subjects.FRAME, gateway.frame),
        ),
        says=(subjects.ORDER_REPORT,),
        serves=(
            get("/venues", gateway.venues),
            get("/orders/{order_id}", gateway.show),
            get("/mode", gateway.mode),
        ),
        every=(each(0.25, gateway.expire), each(1, gateway.keep_queues)),
        recovers=gateway.recover,
        stats=gateway.stats,
    )


class LiveGateway:
    """Carries orders to the paper venue, and its reports back."""

    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._kit = kit
        self._store = VenueStore(kit.valkey, kit.journal)
        self._latency_s = settings.latency_ms / 1e3
        terms = Terms(settings.maker_fee_fraction, settings.taker_fee_fraction, round(settings.market_wait_s * 1e9))
        self._venue = PaperVenue(kit.instruments, terms)

    async def new(self, route: RouteOrder) -> None:
        if known := await self._known(route):
            await self._repeat(known)
        else:
            await self._keep(self._venue.accept(route, self._kit.clock.now_ns()))

    async def cancel(self, cancel: CancelOrder) -> None:
        known = await self._known(cancel)
        if known is not None and not known.is_open:
            await self._repeat(known)
        else:
            await self._keep(self._venue.cancel(cancel, self._kit.clock.now_ns()))

    async def quote(self, quote: Quote) -> None:
        await self._keep(self._venue.quote(quote, self._kit.clock.now_ns()))

    async def tick(self, tick: Tick) -> None:
        await self._keep(self._venue.tick(tick, self._kit.clock.now_ns()))

    async def frame(self, frame: Frame) -> None:
        """Only with an order resting is it worth looking into a frame."""
        if self._venue.resting:
            columns = decode_frame(frame.payload, frame.venue)
            await self._keep(self._venue.frame(columns, self._kit.clock.now_ns()))

    async def expire(self) -> None:
        await self._keep(self._venue.expire(self._kit.clock.now_ns()))

    async def keep_queues(self) -> None:
        """Places in the queue are kept once a second: after a crash one may be worse than it was, never better."""
        if moved := self._venue.queues_moved():
            await self._store.keep_queues(moved)

    async def recover(self) -> None:
        """The orders as they were last committed."""
        self._venue.restore(await self._store.open_orders())

    async def venues(self) -> list[dict[str, Any]]:
        return [{"venue": VENUE, "mode": MODE, "orders_open": self._venue.open_count()}]

    async def mode(self) -> dict[str, str]:
        return {"mode": MODE}

    async def show(self, order_id: str, account: Account | None = None) -> VenueOrder:
        """What the venue knows of an order, by its id or the client's; an order id begins with its account."""
        if known := self._venue.known(order_id):
            return known
        for name in (account,) if account else (order_id.rpartition("-")[0], "default"):
            found = await self._store.find(name, order_id) or await self._store.find_by_client(name, order_id)
            if found is not None:
                return found
        raise NotFound(f"the venue knows no order {order_id}; name its account with ?account= if it is not default")

    def stats(self) -> dict[str, Any]:
        return {"mode": MODE, "orders_open": self._venue.open_count(), "symbols_resting": len(self._venue.resting)}

    async def _known(self, message: RouteOrder | CancelOrder) -> VenueOrder | None:
        """The order a message speaks of, if it was ever seen, once the message has travelled."""
        if self._latency_s:
            await self._kit.clock.sleep(self._latency_s)
        lives = self._venue.lives
        if known := self._venue.known(message.order_id):
            return known
        found = await self._store.find(message.account, message.order_id)
        if lives != self._venue.lives:
            raise Unavailable("the venue was recovered meanwhile")
        # Memory has the last word: the order may have come and gone while the store was being asked.
        return self._venue.known(message.order_id) or found

    async def _repeat(self, order: VenueOrder) -> None:
        """Say the latest report again; it may have been decided a moment ago and not be on disk yet."""
        await self._store.settled()
        self._kit.meter.count("reports_repeated")
        await self._kit.bus.say(subjects.ORDER_REPORT, order.report)

    async def _keep(self, changes: list[VenueOrder]) -> None:
        if changes:
            self._kit.meter.count("fills", sum(change.report.fill is not None for change in changes))
            self._kit.meter.count("reports", len(changes))
            await self._store.keep(changes)
