"""The order desk: takes orders in and answers for them; what `core` decides is committed before it is said."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from services.oms.core import order as core
from services.oms.core.book import Book
from services.oms.settings import Settings
from services.oms.store.archive import Archive
from services.oms.store.orders import OrderStore
from shared.contract import subjects
from shared.contract.errors import Unavailable
from shared.contract.orders import Command, Order, OrderEvent, OrderStatus, Report, SubmitOrder
from shared.contract.risk import Verdict
from shared.kit import IdempotencyKey, Kit, Reply, Service, delete, each, get, known_instrument, on, post


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the desk, and everything the desk can say."""
    store = OrderStore(kit.valkey, kit.journal)
    archive = Archive(store)
    desk = OrderDesk(kit, settings, store, archive)
    return Service(
        hears=(on(subjects.ORDER_REPORT, desk.report, lane="order_id"),),
        says=(subjects.ORDER_NEW, subjects.ORDER_CANCEL, subjects.ORDER_EVENT, subjects.FILL, subjects.POSITION),
        asks=(subjects.RISK_CHECK,),
        serves=(
            post("/orders", desk.submit),
            get("/orders", archive.orders),
            get("/orders/{order_id}", archive.order),
            get("/orders/{order_id}/fills", archive.order_fills),
            get("/orders/{order_id}/events", archive.order_events),
            delete("/orders/{order_id}", desk.cancel),
            post("/orders/{order_id}/cancel", desk.cancel),
            get("/fills", archive.fills),
            get("/positions", archive.all_positions),
            get("/positions/{account}", archive.positions),
            get("/accounts/{account}", archive.account),
        ),
        every=(each(settings.ask_again_every_s, desk.ask_again), each(1.0, desk.expire)),
        recovers=desk.recover,
        stats=desk.stats,
    )


class OrderDesk:
    def __init__(self, kit: Kit, settings: Settings, store: OrderStore, archive: Archive) -> None:
        self._kit = kit
        self._settings = settings
        self._store = store
        self._archive = archive
        self._book = Book(kit.config("accounts"), settings.opening_cash)
        self._submitting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def submit(self, command: SubmitOrder, idempotency_key: IdempotencyKey = None) -> Reply:
        """One order for one client order id, however often and however concurrently it is asked for."""
        known_instrument(self._kit.instruments, command.symbol)
        command, order_id = core.named(command, idempotency_key, new_id=self._kit.new_id())
        async with self._submitting.setdefault(order_id, asyncio.Lock()):
            return await self._first_answer(command, order_id) or await self._admit(command, order_id)

    async def _first_answer(self, command: SubmitOrder, order_id: str) -> Reply | None:
        known = self._book.orders.get(order_id) or await self._store.order(command.account, order_id)
        if known is None:
            return None
        core.same_intent(command, known)
        self._kit.meter.count("orders_replayed")
        events = await self._store.events(command.account, order_id)
        verdict = await self._store.verdict(command.account, order_id)
        return _answer(events[0].order, verdict, {"Idempotency-Replayed": "true"})

    async def _admit(self, command: SubmitOrder, order_id: str) -> Reply:
        check = core.to_check(command, order_id)
        verdict = await self._kit.bus.ask(subjects.RISK_CHECK, check, timeout_s=self._settings.risk_timeout_s)
        now_ns = self._kit.clock.now_ns()
        if verdict.approved and now_ns > verdict.valid_until_ns:
            raise Unavailable("risk's approval lapsed before the order could be committed; send it again")
        order = core.open_order(command, verdict, order_id=order_id, at_ns=self._book.next_ns(now_ns))
        await self._keep(self._book.note(order), core.route(order) if verdict.approved else None, verdict)
        self._kit.meter.count("orders_accepted" if verdict.approved else "orders_denied")
        return _answer(order, verdict)

    async def cancel(self, order_id: str) -> Order:
        """The order with its cancel committed and on the way; the venue has the last word."""
        order = self._book.orders.get(order_id) or await self._archive.order(order_id)
        asked = core.ask_to_cancel(order, at_ns=self._kit.clock.now_ns())
        if asked is not order:
            await self._keep(self._book.note(asked), core.cancel_of(asked))
        return asked

    async def report(self, report: Report) -> None:
        """What the venue says of an order becomes the order's state, and its fill the account's."""
        order_id = report.order_id
        if order_id not in self._book.orders:
            # Over and let go: the store knows it and its fills. Its lane is ours while we look.
            order = await self._store.order(report.account, order_id)
            if order is None:
                raise LookupError(f"the venue speaks of order {order_id}, which was never committed here")
            self._book.take(order, await self._store.fills_of(order.account, order_id))
        order = self._book.orders[order_id]
        fills = self._book.fills.setdefault(order_id, set())
        after, fill = core.apply(order, report, fills, at_ns=self._book.next_ns(self._kit.clock.now_ns()))
        if after is not order:
            await self._keep(self._book.note(after, fill))
        self._book.let_go(order_id)
        self._kit.meter.count("fills" if fill else "reports" if after is not order else "reports_repeated")

    async def _keep(self, event: OrderEvent, command: Command | None = None, verdict: Verdict | None = None) -> None:
        await self._store.keep(event, command, verdict)
        self._book.let_go(event.order.order_id)

    async def ask_again(self) -> None:
        """Tell the venue again of orders it has not spoken of; after a while, say that their fate is unknown."""
        now_ns = self._kit.clock.now_ns()
        for order in core.silent(self._book.orders.values(), now_ns=now_ns, age_s=self._settings.ask_again_every_s):
            self._kit.meter.count("venue_asked_again")
            if order.status is OrderStatus.PENDING_CANCEL:
                await self._kit.bus.say(subjects.ORDER_CANCEL, core.cancel_of(order))
                continue
            if core.silent([order], now_ns=now_ns, age_s=self._settings.unknown_after_s):
                await self._keep(self._book.note(core.doubt(order, at_ns=now_ns)))
            await self._kit.bus.say(subjects.ORDER_NEW, core.route(order))

    async def expire(self) -> None:
        """End the orders whose day is over."""
        now_ns = self._kit.clock.now_ns()
        for order in core.overdue(self._book.orders.values(), now_ns=now_ns):
            await self._keep(self._book.note(core.expire(order, at_ns=now_ns)), core.cancel_of(order))

    async def recover(self) -> None:
        """The book as it was last committed; it replaces in one step what was only decided."""
        book = self._book.blank()
        for account in await self._store.accounts():
            book.restore(await self._store.balance(account), await self._store.positions(account))
            for order in await self._store.open_orders(account):
                fills = await self._store.fills_of(account, order.order_id) if order.filled_quantity else set[str]()
                book.take(order, fills)
        self._book = book

    def stats(self) -> dict[str, int]:
        return {"orders_open": len(self._book.orders)}


def _answer(order: Order, verdict: Verdict | None, headers: dict[str, str] | None = None) -> Reply:
    if order.status is OrderStatus.DENIED and verdict is not None:
        raise core.denial(order, verdict)
    return Reply(order, headers=headers or {})
