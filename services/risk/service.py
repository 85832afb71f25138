"""Risk, joined to the world.

A check is decided in memory in one step, and what it sets aside counts from that moment. The oms commits it together
with the order, and only while risk still lives the life that approved it; what it commits comes back as events, which
shrink and release what was set aside.
"""

from __future__ import annotations

from services.risk.core.findings import too_slow
from services.risk.core.gatekeeper import Gatekeeper, World
from services.risk.core.market import Market
from services.risk.core.people.switchboard import Switchboard
from services.risk.core.people.views import Views
from services.risk.settings import Settings
from services.risk.store import KEEPS, READS, Accounts, Shapes, Switches
from shared.contract import keys, subjects
from shared.contract.errors import Unavailable
from shared.contract.judgement import Judgement
from shared.contract.orders import OrderEvent, OrderStatus
from shared.contract.risk import RiskAlert, RiskCheck, Verdict
from shared.kit import Kit, Service, answer, delete, each, get, on, post, put, watch
from shared.kit.settings import SettingsError


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach risk, and everything risk can say."""
    if not settings.limits:
        raise SettingsError("risk: limits: there are none, so nothing could ever pass; set them in config/risk.yaml")
    risk = Risk(kit, settings)
    shown = Views(lambda: risk.keeper)
    people = Switchboard(lambda: risk.keeper, kit.clock.now_ns)
    return Service(
        hears=(
            answer(subjects.RISK_CHECK, risk.answer),
            on(subjects.ORDER_EVENT, risk.event, lane="account"),
            on(subjects.RISK_KILL, risk.switches.thrown(people.heard), lane="scope"),
            watch(subjects.QUOTE, risk.market.quote, always=True),
            watch(subjects.FEED, risk.market.feed, always=True),
        ),
        says=(subjects.RISK_ALERT, subjects.RISK_KILL, subjects.RISK_RELEASE),
        keeps=KEEPS,
        reads=READS,
        serves=(
            post("/check", risk.check),
            post("/risk/check", risk.check),
            post("/risk/alerts/{alert_id}/acknowledge", risk.acknowledge),
            get("/limits/{scope}/history", risk.switches.limits_history),
            *(get(path, view) for path, view in shown.doors()),
            *(DOORS[verb](path, risk.switches.thrown(decide)) for verb, path, decide in people.doors()),
        ),
        every=(each(0.5, risk.value), each(1, risk.listen), each(2, risk.keep), each(10, risk.sweep)),
        recovers=risk.recover,
        stats=shown.stats,
    )


DOORS = {"POST": post, "PUT": put, "DELETE": delete}


class Risk:
    """Answers for every order before it leaves."""

    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._kit = kit
        self._settings = settings
        self._world = World(kit.instruments, kit.config("accounts"), kit.rates, kit.sessions)
        self._accounts = Accounts(kit.valkey, kit.journal)
        self._shapes = Shapes(kit.journal)
        self.switches = Switches(kit.valkey, kit.journal)
        self.market = Market()
        self.keeper = Gatekeeper(settings, self._world, self.market)

    async def answer(self, check: RiskCheck) -> Verdict:
        """The verdict; an approval to commit comes in short, and what it refers to is on disk."""
        verdict = await self.check(check)
        if not (check.reserve and verdict.approved):
            return verdict
        return self._shapes.in_short(verdict) or await self._shapes.learn(verdict)

    async def check(self, check: RiskCheck) -> Judgement:
        """The verdict; with `reserve` it comes with what was set aside, to be committed together with the order."""
        clock = self._kit.clock
        while self.keeper.wants(check, clock.now_ns()):
            await self._accounts.take_up(check.account, self.keeper.follower)
        started_ns, now_ns = clock.monotonic_ns(), clock.now_ns()
        verdict = self.keeper.judge(check, now_ns)
        elapsed_ms = (clock.monotonic_ns() - started_ns) / 1e6
        verdict = too_slow(verdict, elapsed_ms, self._settings.decision_budget_ms, check.account)
        self._kit.meter.count("checks", code=verdict.code or "APPROVED")
        self._kit.meter.observe("decision_seconds", elapsed_ms / 1e3)
        if check.reserve and verdict.approved:
            verdict = self.keeper.reserve(check, verdict, now_ns, self._accounts.life)
        return verdict

    async def event(self, event: OrderEvent) -> None:
        """What the oms committed: positions, cash and what is left open, each by its version."""
        while not self.keeper.knows(event.account):
            await self._accounts.take_up(event.account, self.keeper.follower)
        keeper = self.keeper
        if keeper.follower.unseen(event):
            # Lost, or old news of an order that is over by now: the store knows which.
            event = await self._accounts.standing(event.account, event.order.order_id) or event
        if keeper is not self.keeper:
            raise Unavailable("risk was recovered meanwhile")
        keeper.follower.hear(event, self._kit.clock.now_ns())
        await self.switches.commit_all(keeper.controls.changes)

    async def value(self) -> None:
        """Measure what everybody has lost, and commit what followed from it."""
        controls = self.keeper.controls
        controls.mark_all(self._kit.clock.now_ns())
        await self.switches.commit_all(controls.changes)

    async def keep(self) -> None:
        """What is measured is measured on from there after a restart."""
        await self.switches.put(self.keeper.controls.to_keep())

    async def sweep(self) -> None:
        """Let go of what was approved and never committed."""
        keeper, now_ns = self.keeper, self._kit.clock.now_ns()
        keeper.controls.sweep(now_ns)
        for hold in keeper.follower.lapsed(now_ns, self._settings.reservation_age_max_s):
            standing = await self._accounts.standing(hold.reservation.account, hold.reservation.order_id)
            if standing is not None:
                keeper.follower.hear(standing, now_ns)
            if keeper.follower.let_go(hold):
                self._kit.meter.count("approvals_lapsed")

    async def listen(self) -> None:
        """Whether the stream that brings the events is there."""
        await self._kit.bus.lag(subjects.ORDERS)
        self.keeper.controls.health.answered(self._kit.clock.now_ns())

    async def recover(self) -> None:
        """Everything as it was last committed, by risk and by the oms, in a life of its own."""
        self._shapes.forget()
        keeper = self.keeper = Gatekeeper(self._settings, self._world, self.market)
        held = await self._accounts.take_up_all(self._kit.new_id())
        for account in held:
            keeper.follower.take(account)
        waiting = [order for account in held for order in account.orders if order.status is OrderStatus.PENDING_RISK]
        keeper.controls.restore(await self.switches.kept(), await self.switches.alerts(), waiting)
        await self.listen()

    async def acknowledge(self, alert_id: str) -> RiskAlert:
        alert = self.keeper.controls.alerts.acknowledge(alert_id)
        await self.switches.put([(keys.alert(alert_id), alert)])
        return alert
