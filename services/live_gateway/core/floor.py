"""The floor of the paper venue: what the market and the commands do to its orders, written down before it is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from services.live_gateway.core.paper import PaperVenue
from shared.contract.errors import Unavailable
from shared.contract.market import Frame, Quote, Tick
from shared.contract.orders import CancelOrder, ReplaceOrder, RouteOrder
from shared.contract.ticks import TickColumns
from shared.contract.venue import VenueOrder


class Store(Protocol):
    async def keep(self, changes: Sequence[VenueOrder], *, new: bool = False) -> bool: ...
    async def keep_queues(self, orders: Sequence[VenueOrder]) -> None: ...


class Tools(Protocol):
    """The clock, what counts, and what reads a frame."""

    def now_ns(self) -> int: ...
    def count(self, changes: Sequence[VenueOrder]) -> None: ...
    def decode(self, frame: Frame) -> TickColumns: ...


class Floor:
    """`arriving` are the orders of which it is not certain yet that they are new: they stand nowhere."""

    def __init__(self, paper: PaperVenue, store: Store, tools: Tools) -> None:
        self._paper = paper
        self._store = store
        self._tools = tools
        self.arriving: set[str] = set()

    def restore(self, orders: list[VenueOrder]) -> None:
        self.arriving.clear()
        self._paper.restore(orders)

    async def new(self, route: RouteOrder, why: str, received_ns: int) -> bool:
        """Take an order, or refuse it for the reason given. False: it was seen before, and nothing happened.

        That it is new is for the store to say, as it writes the order down; only then does the order rest. So a new
        order costs no question of its own, and one that comes again after a restart does not fill again.
        """
        now_ns = self._tools.now_ns()
        arrive = self._paper.arrive if not why else None
        changes = arrive(route, now_ns, received_ns) if arrive else self._paper.refuse(route, why, now_ns, received_ns)
        self.arriving.add(route.order_id)
        made = await self._store.keep(changes, new=True)
        self.arriving.discard(route.order_id)
        if made:
            self._tools.count(changes)
            await self._keep(self._paper.join(changes, now_ns))
        return made

    async def cancel(self, cancel: CancelOrder) -> None:
        """A cancel of an open order, or of one that never came."""
        if self._paper.known(cancel.order_id) is not None:
            await self._keep(self._paper.cancel(cancel, self._tools.now_ns()))
            return
        changes = self._paper.never_came(cancel, self._tools.now_ns())
        if not await self._store.keep(changes, new=True):
            raise Unavailable("the order came at the same moment")
        self._tools.count(changes)
        self._paper.join(changes, self._tools.now_ns())

    async def replace(self, wanted: ReplaceOrder, why: str) -> bool:
        """New terms. False: they were answered before, or the order is over."""
        changes = self._paper.replace(wanted, self._tools.now_ns(), why)
        await self._keep(changes)
        return bool(changes)

    async def stop(self, killed: Callable[[RouteOrder], str]) -> None:
        """Cancel every order in a killed scope."""
        await self._keep(self._paper.stop(killed, self._tools.now_ns()))

    async def quote(self, quote: Quote) -> None:
        if changes := self._paper.quote(quote, self._tools.now_ns()):
            await self._keep(changes)

    async def tick(self, tick: Tick) -> None:
        if changes := self._paper.tick(tick, self._tools.now_ns()):
            await self._keep(changes)

    async def frame(self, frame: Frame) -> None:
        """Only with an order resting is it worth looking into a frame."""
        if self._paper.resting:
            await self._keep(self._paper.frame(self._tools.decode(frame), self._tools.now_ns()))

    async def expire(self) -> None:
        await self._keep(self._paper.expire(self._tools.now_ns()))

    async def keep_queues(self) -> None:
        """Places in the queue are kept once a second: after a crash one may be worse than it was, never better."""
        if moved := self._paper.queues_moved():
            await self._store.keep_queues(moved)

    async def _keep(self, changes: list[VenueOrder]) -> None:
        if changes:
            self._tools.count(changes)
            await self._store.keep(changes)
