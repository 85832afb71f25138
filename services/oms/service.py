"""The order desk: takes orders in and answers for them; what `core` decides is committed before it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from weakref import WeakValueDictionary

from services.oms.core.account_feed import AccountFeed
from services.oms.core.accounts import Appraiser, opens
from services.oms.core.approvals import Approvals
from services.oms.core.book import Book, Change
from services.oms.core.clerk import Clerk
from services.oms.core.desk import Desk
from services.oms.core.holdings import Terms
from services.oms.core.intake import Intake
from services.oms.core.owner import account_in
from services.oms.core.reconciling.reconciler import Reconciler
from services.oms.core.why import explain
from services.oms.settings import Settings
from services.oms.store import KEEPS, READS, Accounts, Archive, OrderStore, ReconciliationStore, VenueLine
from services.oms.store.orders import subject_of
from services.oms.store.routes import attended, views
from shared.contract import subjects
from shared.contract.groups import SubmitBracket, SubmitPair
from shared.contract.orders import Order, ReplaceRequest, Report, SubmitOrder
from shared.contract.risk import RiskCheck, Verdict
from shared.kit import IdempotencyKey, Kit, Reply, Service, each, known_instrument, on, owned, patch, post, watch
from shared.kit.frames import decode_frame


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the desk, and everything the desk can say."""
    oms = OrderDesk(kit, settings)
    clerk = oms.clerk
    trades = (watch(subjects.TICK, clerk.tick), watch(subjects.FRAME, clerk.frame))
    return Service(
        hears=(
            on(subjects.ORDER_REPORT, oms.report, lane="order_id", owned=True),
            on(subjects.RISK_KILL, clerk.kill, lane="scope"),
            on(subjects.RISK_RELEASE, oms.approvals.release, lane="order_id", owned=True),
            *(trades if settings.stop_trigger == "TRADE" else (watch(subjects.QUOTE, clerk.quote),)),
        ),
        says=(
            *(subjects.ORDER_NEW, subjects.ORDER_CANCEL, subjects.ORDER_REPLACE, subjects.ORDER_REPORT),
            *(subjects.ORDER_EVENT, subjects.FILL, subjects.POSITION, subjects.ALERT),
        ),
        asks=(subjects.RISK_CHECK, subjects.VENUE_STATEMENT),
        keeps=KEEPS,
        reads=READS,
        serves=(
            *owned(
                account_in,
                post("/orders", oms.submit, hot=True),
                post("/orders/bracket", oms.bracket),
                post("/orders/oco", oms.pair),
                patch("/orders/{order_id}", oms.replace),
                *attended(clerk.cancel, clerk.cancel_all, oms.feed.read, oms.reconciler),
            ),
            *views(oms.archive, oms.accounts),
        ),
        every=(
            each(settings.ask_again_every_s, oms.ask_again),
            each(1.0, clerk.expire),
            each(1.0, clerk.follow_market),
            each(0.05, oms.approvals.tend),
            each(1.0, oms.reconciler.go_round),
        ),
        recovers=oms.recover,
        stats=oms.stats,
    )


class OrderDesk:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._kit, self._settings = kit, settings
        store = self._store = OrderStore(kit.valkey, kit.journal, kit.shard.owns)
        listed, named, now_ns = kit.instruments, kit.config("accounts"), kit.clock.now_ns
        terms = Terms(listed, kit.rates.rate, named, settings.opening_cash)
        desk = self._desk = Desk(Book(terms, settings.release_wait_s, kit.shard.turn))
        self._intake = Intake(desk, partial(known_instrument, listed), kit.sessions, now_ns, kit.new_id)
        clerk = self.clerk = Clerk(desk, self._keep, store.flushed, store.together, now_ns, decode_frame)
        self.approvals = Approvals(desk, self._ask, self._keep, store, clerk.landed, now_ns, kit.journal.doubt)
        self.archive = Archive(store, kit.valkey, explain)
        values = Appraiser(listed, kit.rates.rate, desk.price_of)
        self.accounts = Accounts(store, kit.valkey, values, opens(named, settings.opening_cash))
        self.feed = AccountFeed(self.accounts.standing)
        records = ReconciliationStore(store, kit.valkey, kit.journal)
        line = VenueLine(kit, settings.statement_timeout_s)
        self.reconciler = Reconciler(clerk, records, line, listed, asyncio.Lock(), settings.reconcile_every_s)
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def submit(self, command: SubmitOrder, idempotency_key: IdempotencyKey = None) -> Reply:
        """One order for one client order id, however often and however concurrently it is asked for."""
        return await self._answer(self._intake.single(command, idempotency_key))

    async def bracket(self, bracket: SubmitBracket, idempotency_key: IdempotencyKey = None) -> Reply:
        """An entry with its exits, under the entry's client order id."""
        return await self._answer(self._intake.bracket(bracket, idempotency_key))

    async def pair(self, pair: SubmitPair, idempotency_key: IdempotencyKey = None) -> Reply:
        """Two orders of which one is to fill, under the first one's client order id."""
        return await self._answer(self._intake.pair(pair, idempotency_key))

    async def _answer(self, drafts: list[Order]) -> Reply:
        async with self._alone.setdefault(drafts[0].order_id, asyncio.Lock()):
            answer, again = await self.approvals.submit(drafts)
        return Reply(answer, headers={"Idempotency-Replayed": "true"} if again else {})

    async def replace(self, order_id: str, request: ReplaceRequest) -> Order:
        """The order with its new terms, or with them on their way; the venue has the last word."""
        order = await self.clerk.landed(order_id)
        return await self.approvals.replace(order, request, known_instrument(self._kit.instruments, order.symbol))

    async def report(self, report: Report) -> None:
        """What the venue says of an order becomes the order's state, and its fill the account's."""
        news = await self.clerk.report(report)
        self._kit.meter.count("reports" if news else "reports_repeated")

    async def ask_again(self) -> None:
        """Tell the venue again of orders it has not spoken of; after a while, say that their fate is unknown."""
        words = await self.clerk.remind(self._settings.ask_again_every_s, self._settings.unknown_after_s)
        for command in words:
            await self._kit.bus.say(subject_of(command), command)
        self._kit.meter.count("venue_asked_again", len(words))

    async def recover(self) -> None:
        """The book as it was last committed; it replaces in one step what was only decided."""
        book = self._desk.book.blank()
        await self._store.recall(book)
        self._desk.renew(book)
        self.feed.begin_anew()
        self.reconciler.begin_anew()

    def stats(self) -> dict[str, int]:
        return self._desk.stats() | self.feed.stats() | self.reconciler.stats()

    async def _ask(self, check: RiskCheck) -> Verdict:
        return await self._kit.bus.ask(subjects.RISK_CHECK, check, timeout_s=self._settings.risk_timeout_s)

    async def _keep(self, changes: Sequence[Change], epoch: str | None = None) -> bool:
        kept = await self._store.keep(changes, epoch, self._desk.book.rest_on(changes))
        for change in changes if kept else ():
            self.feed.told(change.event)
            self._desk.book.settled(change)
            if change.order.version == 1:
                self._kit.meter.count(f"orders_{change.order.status.lower()}")
        return kept
