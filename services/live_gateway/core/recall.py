"""Recall: an order that a message speaks of, wherever it is known, and what was said of it, said again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from services.live_gateway.core.desk import Desk
from services.live_gateway.core.floor import Floor
from services.live_gateway.core.paper import PaperVenue
from shared.contract.errors import Unavailable
from shared.contract.orders import CancelOrder, ReplaceOrder, Report
from shared.contract.venue import VenueOrder


class Store(Protocol):
    async def find(self, account: str, order_id: str) -> VenueOrder | None: ...
    async def reports(self, order: VenueOrder) -> list[Report]: ...
    async def settled(self) -> None: ...


class Recall:
    """`say` says a report, `wonder` has the venue asked about an order."""

    def __init__(
        self,
        paper: PaperVenue,
        desk: Desk,
        floor: Floor,
        store: Store,
        say: Callable[[Report], Awaitable[None]],
        wonder: Callable[[str], Awaitable[None]],
    ) -> None:
        self._paper = paper
        self._desk = desk
        self._floor = floor
        self._store = store
        self._say = say
        self._wonder = wonder

    def here(self, order_id: str) -> VenueOrder | None:
        """An order that is open, or was over a moment ago."""
        return self._paper.known(order_id) or self._desk.known(order_id)

    async def of(self, message: CancelOrder | ReplaceOrder) -> VenueOrder | None:
        """The order a message speaks of, if it was ever seen."""
        lives = self._paper.lives
        while True:
            while message.order_id in self._floor.arriving:
                await self._store.settled()
            if known := self.here(message.order_id):
                return known
            found = await self._store.find(message.account, message.order_id)
            if lives != self._paper.lives:
                raise Unavailable("the orders were recalled meanwhile")
            # Memory has the last word: the order may have come while the store was being asked, and may have gone.
            if message.order_id not in self._floor.arriving:
                return self.here(message.order_id) or found

    async def repeat(self, order: VenueOrder) -> None:
        """Say again all that somebody may have missed; it may have been decided a moment ago and not be on disk yet."""
        await self._store.settled()
        for report in await self._store.reports(order):
            await self._say(report)
        if order.deal is not None:
            await self._wonder(order.order_id)

    async def repeat_known(self, account: str, order_id: str) -> bool:
        """Likewise, of an order that the store turned out to know; False when it does not."""
        if known := await self._store.find(account, order_id):
            await self.repeat(known)
        return known is not None
