"""The clerk: has the desk decide, and what it decided committed, one batch after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

from services.oms.core.approvals import Keep
from services.oms.core.book import Change
from services.oms.core.desk import Desk, belongs
from services.oms.core.order import ON_REQUEST
from services.oms.core.stops import traded
from shared.contract.base import Account, Name, Symbol
from shared.contract.errors import NotFound
from shared.contract.market import Frame, Quote, Tick
from shared.contract.orders import Command, Order, Report
from shared.contract.risk import Kill
from shared.contract.ticks import TickColumns
from shared.domain.identity import account_of
from shared.domain.lifecycle import OPEN

Together = Callable[[str, str], Awaitable[Sequence[tuple[Order, set[str]]]]]
"""An order as committed, with the others of its group and the ids of all their fills; nothing when there is none."""

Decode = Callable[[bytes, str], TickColumns]
"""A frame's payload, and the venue it is of."""


class Clerk:
    """Whatever takes nobody's leave."""

    def __init__(
        self,
        desk: Desk,
        keep: Keep,
        flushed: Callable[[], Awaitable[None]],
        together: Together,
        now_ns: Callable[[], int],
        decode: Decode,
    ) -> None:
        self._desk = desk
        self._keep = keep
        self._flushed = flushed
        self._together = together
        self._now_ns = now_ns
        self._decode = decode

    def open_orders(self) -> Iterable[Order]:
        """Every open order, as decided last."""
        return self._desk.book.open_orders()

    def order(self, order_id: str) -> Order | None:
        """The order as decided last, if it is at hand."""
        return self._desk.book.orders.get(order_id)

    def entered(self, order_id: str) -> Collection[str]:
        """The ids of the fills that such an order was given."""
        return self._desk.book.fills.get(order_id, ())

    async def adopt(self, order: Order) -> None:
        """Take an order into the books that a venue has and we never sent; once, however often it is found."""
        at_ns = self._desk.book.next_ns(self._now_ns())
        change = self._desk.book.opening(order.altered(created_ns=at_ns, updated_ns=at_ns))
        if await self._keep([change]):
            self._desk.book.enter(change)

    async def found(self, order_id: str) -> Order:
        """The order as decided last; NotFound when there is none."""
        known = self._desk.book.orders.get(order_id)
        if known is None:
            stored = await self._together(account_of(order_id), order_id)
            known = next((order for order, _ in stored if order.order_id == order_id), None)
        if known is None:
            raise NotFound(f"there is no order {order_id}; GET /orders lists them", field="order_id")
        return self._desk.book.orders.get(order_id, known)

    async def landed(self, order_id: str) -> Order:
        """The order as decided last, once that is on disk: only then may it be shown; NotFound when there is none."""
        order = await self.found(order_id)
        while self._desk.book.unsettled(order_id):
            await self._flushed()
            order = await self.found(order_id)
        return order

    async def cancel(self, order_id: str) -> Order:
        """The order with its cancel committed and on the way; the venue has the last word."""
        order = await self.found(order_id)
        if order.leaving or order.status not in OPEN:
            order = await self.landed(order_id)  # it is answered with what became of it before
        changes = self._desk.cancel(order, self._now_ns())
        await self._keep(changes)
        return changes[0].order if changes else order

    async def cancel_all(
        self, account: Account | None = None, strategy: Name | None = None, symbol: Symbol | None = None
    ) -> dict[str, Any]:
        """Ask for the end of every open order of an account, a strategy, a symbol; without any of these, of all."""
        wanted = belongs(account, strategy, symbol)
        kept = await self.keep_all(self._desk.cancel_all(wanted, self._now_ns(), ON_REQUEST))
        return {"cancelled": [change.order.order_id for change in kept]}

    async def report(self, report: Report) -> bool:
        """What the venue says of an order; False when it said nothing new."""
        if report.order_id not in self._desk.book.orders:
            # Over and let go: the store knows it and its fills. Its lane is ours while we look.
            self._desk.recall(report, await self._together(report.account, report.order_id))
        changes = self._desk.report(report, self._now_ns())
        await self._keep(changes)
        self._desk.book.let_go(report.order_id)
        return bool(changes)

    async def kill(self, kill: Kill) -> None:
        """What waits here in the scope of a kill ends."""
        if kill.active:
            await self.keep_all(self._desk.kill(kill, self._now_ns()))

    async def quote(self, quote: Quote) -> None:
        """A crossed quote is an error, and reaches nothing."""
        if not quote.crossed:
            await self.keep_all(self._desk.seen(quote.symbol, quote.bid, quote.ask, self._now_ns()))

    async def tick(self, tick: Tick) -> None:
        """A trade on its own."""
        await self.traded(tick.symbol, tick.price)

    async def frame(self, frame: Frame) -> None:
        """The trades of a frame, one after the other."""
        for symbol, price in traded(self._decode(frame.payload, frame.venue), self._desk.book.stops.symbols()):
            await self.traded(symbol, price)

    async def traded(self, symbol: str, price: Decimal) -> None:
        """A trade stands for both sides of the market."""
        await self.keep_all(self._desk.seen(symbol, price, price, self._now_ns()))

    async def remind(self, age_s: float, unknown_after_s: float) -> list[Command]:
        """What venues are to be told again, once their silence is on disk."""
        now_ns = self._now_ns()
        silent = self._desk.silent(now_ns, age_s)
        await self.keep_all(self._desk.doubt(silent, now_ns, unknown_after_s))
        return self._desk.reminders(silent)

    async def follow_market(self) -> None:
        """Trailing stops are written down where the market has carried them."""
        await self.keep_all(self._desk.follow_market(self._now_ns()))

    async def expire(self) -> None:
        """Orders end whose time is over."""
        await self.keep_all(self._desk.expire(self._now_ns()))

    async def keep_all(self, batches: Iterable[Sequence[Change]]) -> list[Change]:
        """Each batch is decided when the one before it is on disk."""
        kept: list[Change] = []
        for changes in batches:
            await self._keep(changes)
            kept += changes
        return kept
