"""Risk, joined to the world.

A check is decided in memory in one step, and what it sets aside counts from that moment; it is committed before the
answer is given. What the oms commits comes back as events, which shrink and release what was set aside.
"""

from __future__ import annotations

from services.risk.core import views
from services.risk.core.findings import too_slow
from services.risk.core.gatekeeper import Gatekeeper
from services.risk.core.gates import Change
from services.risk.core.market import Market
from services.risk.settings import AccountLimits, Settings
from services.risk.store import RiskStore
from shared.contract import subjects
from shared.contract.base import Account, normal_symbol
from shared.contract.errors import Unavailable
from shared.contract.orders import OrderEvent
from shared.contract.risk import Kill, RiskAlert, RiskCheck, Verdict
from shared.kit import Kit, Service, answer, delete, each, get, known_instrument, on, post, put, watch


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach risk, and everything risk can say."""
    risk = Risk(kit, settings)
    shown = views.Views(lambda: risk.keeper)
    return Service(
        hears=(
            answer(subjects.RISK_CHECK, risk.check),
            on(subjects.ORDER_EVENT, risk.event, lane="account"),
            watch(subjects.QUOTE, risk.market.quote),
            watch(subjects.FEED, risk.market.feed),
        ),
        says=(subjects.RISK_ALERT,),
        serves=(
            post("/check", risk.check),
            post("/risk/check", risk.check),
            get("/limits/{account}", shown.limits),
            put("/limits/{account}", risk.put_limits),
            get("/risk/limits", shown.all_limits),
            get("/risk/portfolio", shown.portfolio),
            get("/risk/alerts", shown.alerts),
            post("/risk/alerts/{alert_id}/acknowledge", risk.acknowledge),
            post("/risk/symbol/{symbol}/block", risk.block),
            delete("/risk/symbol/{symbol}/block", risk.unblock),
            get("/kill", shown.kills),
            post("/kill", risk.kill),
            delete("/kill/{scope}", risk.lift),
            get("/state", shown.states),
            put("/state/{account}", risk.put_state),
        ),
        every=(each(10, risk.sweep),),
        recovers=risk.recover,
        stats=shown.stats,
    )


class Risk:
    """Answers for every order before it leaves."""

    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._kit = kit
        self._settings = settings
        self._store = RiskStore(kit.valkey, kit.journal)
        self.market = Market()
        self.keeper = self._fresh()

    def _fresh(self) -> Gatekeeper:
        return Gatekeeper(self._settings, self._kit.instruments, self._kit.config("accounts"), self.market)

    async def check(self, check: RiskCheck) -> Verdict:
        """The verdict; with `reserve`, the worst case is on disk before it is given."""
        clock = self._kit.clock
        started_ns, now_ns = clock.monotonic_ns(), clock.now_ns()
        verdict = self.keeper.judge(check, now_ns)
        elapsed_ms = (clock.monotonic_ns() - started_ns) / 1e6
        verdict = too_slow(verdict, elapsed_ms, self._settings.decision_budget_ms, check.account)
        self._kit.meter.count("checks", code=verdict.code or "APPROVED")
        self._kit.meter.observe("decision_seconds", elapsed_ms / 1e3)
        if check.reserve and verdict.approved:
            reservation, verdict = self.keeper.reserve(check, verdict, now_ns)
            await self._store.reserve(reservation)
        return verdict

    async def event(self, event: OrderEvent) -> None:
        """What the oms committed: positions, cash and what is left open, each by its version."""
        keeper = self.keeper
        if keeper.unseen(event.order):
            # Lost, or old news of an order that is over by now: the store knows which.
            event = await self._store.standing(event.account, event.order.order_id) or event
            if keeper is not self.keeper:
                raise Unavailable("risk was recovered meanwhile")
        if keeper.hear(event):
            await self._store.release(event.account, event.order.order_id)

    async def sweep(self) -> None:
        """Release what was set aside for orders that were never committed."""
        for reservation in self.keeper.lapsed(self._kit.clock.now_ns()):
            account, order_id = reservation.account, reservation.order_id
            standing = await self._store.standing(account, order_id)
            ended = self.keeper.hear(standing) if standing else self.keeper.let_go(reservation)
            if ended:
                self._kit.meter.count("reservations_lapsed")
                await self._store.release(account, order_id)

    async def recover(self) -> None:
        """Everything as it was last committed, by risk and by the oms."""
        keeper = self.keeper = self._fresh()
        keeper.gates.kills = {kill.scope: kill for kill in await self._store.kills()}
        keeper.gates.states = await self._store.states()
        keeper.gates.blocked = await self._store.blocked()
        keeper.gates.recall(await self._store.alerts())
        keeper.gates.limits |= await self._store.limits()
        for account in await self._store.accounts():
            held = await self._store.held(account)
            keeper.take(account, held.reservations, held.orders, held.positions, held.balance)

    async def put_limits(self, account: Account, limits: AccountLimits) -> list[views.LimitUse]:
        """Replace an account's limits; they outlive a restart and stand above config/risk.yaml."""
        await self._throw(self.keeper.gates.put_limits(account, limits, self._kit.clock.now_ns()))
        return views.limit_use(self.keeper, account)

    async def acknowledge(self, alert_id: str) -> RiskAlert:
        alert = self.keeper.gates.acknowledge(alert_id)
        await self._store.acknowledge(alert)
        return alert

    async def block(self, symbol: str, reason: str = "by hand") -> RiskAlert:
        symbol = known_instrument(self._kit.instruments, normal_symbol(symbol)).symbol
        return await self._throw(self.keeper.gates.block(symbol, reason, self._kit.clock.now_ns()))

    async def unblock(self, symbol: str) -> RiskAlert:
        return await self._throw(self.keeper.gates.unblock(symbol, self._kit.clock.now_ns()))

    async def kill(self, kill: Kill) -> RiskAlert:
        return await self._throw(self.keeper.gates.kill(kill, self._kit.clock.now_ns()))

    async def lift(self, scope: str) -> RiskAlert:
        return await self._throw(self.keeper.gates.lift(scope, self._kit.clock.now_ns()))

    async def put_state(self, account: Account, change: views.StateChange) -> RiskAlert:
        return await self._throw(self.keeper.gates.put_state(account, change.state, self._kit.clock.now_ns()))

    async def _throw(self, change: Change) -> RiskAlert:
        """A switch counts in memory from the moment it was thrown, and is on disk before it is answered."""
        await self._store.change(change.key, change.value, change.alert)
        return change.alert
