"""The live gateway, joined to the world.

Every order passes the gates, and goes to the paper venue, to a real one, or nowhere. What a message does is decided in
memory in one step; the orders and their reports are then committed together, and only then are the reports said. What
comes twice finds the order known, and what was said of it is repeated.
"""

from __future__ import annotations

from functools import partial

from services.live_gateway.core import build
from services.live_gateway.core.desk import Desk
from services.live_gateway.core.floor import Floor
from services.live_gateway.core.orders import VENUE
from services.live_gateway.core.paper import PaperVenue
from services.live_gateway.core.recall import Recall
from services.live_gateway.core.views import Views
from services.live_gateway.settings import Settings
from services.live_gateway.store import KEEPS, READS, OrderStore, Switchboard, SwitchStore, Tools
from services.live_gateway.venues import open_venues
from services.live_gateway.venues.dealer import Dealer
from services.live_gateway.venues.errands import Errands
from shared.contract import subjects
from shared.contract.errors import Unavailable
from shared.contract.orders import CancelOrder, ReplaceOrder, RouteOrder
from shared.kit import Kit, Service, answer, each, get, on, post, watch


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the gateway, and everything it can say."""
    gateway = LiveGateway(kit, settings)
    board, dealer, floor, views = gateway.board, gateway.dealer, gateway.floor, gateway.views
    return Service(
        hears=(
            watch(subjects.RISK_KILL, board.hear, always=True),
            on(subjects.RISK_KILL, board.hear, lane="scope", first=True),
            on(subjects.ORDER_NEW, gateway.new, lane="order_id"),
            on(subjects.ORDER_CANCEL, gateway.cancel, lane="order_id"),
            on(subjects.ORDER_REPLACE, gateway.replace, lane="order_id"),
            *(watch(subjects.QUOTE, floor.quote), watch(subjects.TICK, floor.tick), watch(subjects.FRAME, floor.frame)),
            answer(subjects.VENUE_STATEMENT, views.statement),
        ),
        says=(subjects.ORDER_REPORT, subjects.RISK_KILL, subjects.ALERT),
        keeps=KEEPS,
        reads=READS,
        serves=(
            get("/venues", views.venues),
            get("/orders/{order_id}", views.show),
            get("/mode", board.mode),
            post("/mode", board.set_mode),
            post("/panic", board.panic, always=True),
        ),
        every=(
            each(0.1, dealer.go_on),
            each(0.25, floor.expire),
            each(1, floor.keep_queues),
            each(1, gateway.stop),
            each(settings.kill_poll_s, board.tell),
            each(settings.kill_poll_s, board.look_up),
            each(1, dealer.guard),
            each(settings.reconcile_every_s, dealer.reconcile),
        ),
        recovers=gateway.recover,
        closes=gateway.errands.close,
        checks=views.checks,
        stats=views.stats,
    )


class LiveGateway:
    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._now_ns, self._settings = kit.clock.now_ns, settings
        self._store = OrderStore(kit.valkey, kit.journal)
        self._paper = PaperVenue(kit.instruments, build.terms(settings))
        self._gates = build.gates(settings)
        self._desk = Desk(kit.instruments, build.patience(settings))
        venues, accounts = open_venues(settings, kit.clock, kit.instruments), build.accounts(settings)
        self.errands = Errands(venues, kit.log)
        self.dealer = Dealer(venues, accounts, self._desk, self._gates, self._store, self.errands, kit, settings)
        switches = SwitchStore(kit.valkey, kit.journal, kit.suite.var / "kill", kit.suite.var / kit.name / "kills.json")
        kills, modes = self._gates.kills, self._gates.modes
        self.board = Switchboard(switches, kills, modes, kit, self.errands.start, self.stop)
        tools = Tools(kit, settings.latency_ms / 1e3)
        self.floor, self._travel = Floor(self._paper, self._store, tools), tools.travel
        say = partial(kit.bus.say, subjects.ORDER_REPORT)
        self._recall = Recall(self._paper, self._desk, self.floor, self._store, say, self.dealer.wonder)
        self.views = Views(self._store, self._paper, self._desk, self._gates, self.dealer, kit.clock.now_ns)

    async def new(self, route: RouteOrder) -> None:
        received_ns = self._now_ns()
        await self._travel()
        await self.board.make_up()
        if known := self._recall.here(route.order_id):
            await self._recall.repeat(known)
            return
        now_ns = self._now_ns()
        venue, why = self._gates.admit(route, now_ns, self._paper.worth)
        if venue in ("", VENUE):
            made = await self.floor.new(route, why, received_ns)
            await self.stop()  # a kill may have been heard of while the order was being written down
        else:
            arrival, unfit = self._paper.next_arrival(now_ns), self.dealer.unfit(route)
            decision = self._desk.accept(route, unfit, arrival, now_ns, received_ns)
            made = await self.dealer.take_on(route.order_id, decision, self.floor.arriving)
        if not made and not await self._recall.repeat_known(route.account, route.order_id):
            await self.board.look_up()
            raise Unavailable("a kill was committed before the order; it comes again, to be refused")

    async def cancel(self, cancel: CancelOrder) -> None:
        await self._travel()
        known = await self._recall.of(cancel)
        if known is not None and not known.is_open:
            await self._recall.repeat(known)
        elif known is not None and known.deal is not None:
            await self.dealer.carry_out(self._desk.end(cancel.order_id, "cancelled on request", self._now_ns()))
        else:
            await self.floor.cancel(cancel)

    async def replace(self, wanted: ReplaceOrder) -> None:
        await self._travel()
        await self.board.make_up()
        known = await self._recall.of(wanted)
        if known is None:
            raise Unavailable("new terms have overtaken the order they are for")
        why = self._gates.kills.of(known.order) if known.is_open else ""
        if not known.is_open or known.deal is None:
            done = await self.floor.replace(wanted, why)
        else:
            in_place = self.dealer.replaces(known, wanted)
            decision = self._desk.replace(wanted, self._now_ns(), in_place=in_place, why=why)
            done = decision.state is not None and await self.dealer.carry_out(decision)
        if not done:
            await self._recall.repeat(known)

    async def stop(self) -> None:
        """Cancel every working order in a killed scope: first those that are out at a venue."""
        if self._gates.kills.scopes:
            for decision in self._desk.stop(self._gates.kills.of, self._now_ns()):
                await self.dealer.carry_out(decision)
            await self.floor.stop(self._gates.kills.of)

    async def recover(self) -> None:
        """The orders as they were last committed, and what was killed stays killed."""
        await self.board.recover()
        self.errands.keep_looking(self._settings.kill_poll_s, self.board.look, self.board.make_up)
        orders = await self._store.open_orders()
        self.floor.restore([order for order in orders if order.deal is None])
        await self.dealer.recover([order for order in orders if order.deal is not None])
