"""One seed, from its first order to its audit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

from services.live_gateway import service as live_gateway
from services.live_gateway.settings import Settings as GatewaySettings
from services.oms import service as oms
from services.oms.settings import Settings as OmsSettings
from services.risk import service as risk
from services.risk.settings import Settings as RiskSettings
from shared.contract.dealing import Leg, order_behind
from shared.contract.orders import OrderType, Side, SubmitOrder
from shared.contract.risk import Limits
from tests.simulation.audit import Audit
from tests.simulation.books import KILL_WITHIN_S, Books
from tests.simulation.broker import Broker
from tests.simulation.clients import Client
from tests.simulation.doors import Doors
from tests.simulation.exchange import Exchange
from tests.simulation.loop import Stuck, run
from tests.simulation.market import BEGIN, SYMBOLS, Market
from tests.simulation.people import People
from tests.simulation.process import Process, ShortDays, sweep
from tests.simulation.store import Store
from tests.simulation.trouble import Trouble
from tests.simulation.venue import NAME, SimulatedVenue, Wire
from tests.simulation.wishes import Wishes
from tests.simulation.world import World
from tests.simulation.worst import Limit

D = Decimal
OPENING = D(100_000_000)
ACCOUNTS = ("roomy", "tight", "soft")
MUCH = D(10) ** 12
QUIET_WITHIN_S = 60.0
LIMITS = {("account", "tight"): (9, 5), ("account", "soft"): (12, 8), ("strategy", "alpha"): (12, 8)}
"""How much of each symbol they may come to hold, long and short, in lots. A strategy's count its symbols alike, so that
those of the finer one never come near."""
SOFT = (4, 2)
"""Beyond this the soft account asks for a second person."""


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str
    violations: list[str]
    faults: Counter[str]
    did: Counter[str]
    orders: int
    refused: Counter[str]
    fills: int
    commits: int
    steps: int
    log: list[str] = field(repr=False, default_factory=list[str])


def _limited(kind: str, name: str, symbol: str) -> Limit:
    lot = SYMBOLS[symbol].lot if kind == "account" else SYMBOLS["AAPL"].lot
    long, short = LIMITS[kind, name]
    return Limit(lot * long, lot * short)


@cache
def _risk() -> RiskSettings:
    """Every limit is out of the way, except those that matter here."""
    limits = {"firm": Limits.model_validate({name: MUCH for name in Limits.model_fields if name != "soft"})}
    for kind, name in LIMITS:
        for symbol, listed in SYMBOLS.items() if kind == "account" else [("AAPL", SYMBOLS["AAPL"])]:
            most = _limited(kind, name, symbol)
            words: dict[str, Any] = {"long_quantity_max": most.long, "short_quantity_max": most.short}
            if name == "soft":
                words["soft"] = Limits(long_quantity_max=listed.lot * SOFT[0], short_quantity_max=listed.lot * SOFT[1])
            limits[f"account.{name}.symbol.{symbol}" if kind == "account" else f"strategy.{name}"] = Limits(**words)
    return RiskSettings(limits=limits, duplicate_window_s=0, approval_valid_s=1, reservation_age_max_s=2)


@cache
def _oms(reconcile_every_s: float) -> OmsSettings:
    return OmsSettings(
        ask_again_every_s=0.5, unknown_after_s=1.2, release_wait_s=1.5, reconcile_every_s=reconcile_every_s
    )


@cache
def _gateway(market_wait_s: float, account: str, disconnect_cancel_s: float) -> GatewaySettings:
    words: dict[str, Any] = {"market_wait_s": market_wait_s}
    if account:
        words |= {"binance_enabled": True, "binance_key": "k", "binance_secret": "s", "binance_account": account}
        words |= {"ask_after_s": 0.2, "absent_after_s": 1.5, "reconcile_every_s": 1.5, "breaker_open_s": 1.0}
        words |= {"disconnect_cancel_s": disconnect_cancel_s, "rate_per_s": 50}
    return GatewaySettings(**words)


class Run:
    """Everything of one seed, put together."""

    def __init__(self, world: World, plant: Callable[[Run], None] | None = None) -> None:
        sweep()
        self.world = world
        rng = world.rng
        self.store = Store(world)
        self.broker = Broker(world)
        limits = {(*scope, symbol): _limited(*scope, symbol) for scope in LIMITS for symbol in SYMBOLS}
        self.books = Books(world, OPENING, limits)
        self.store.committed.append(self.books.committed)
        self.broker.said.append(self.books.said)
        self.racing = rng.random() < 0.2
        self.traded = rng.choice(ACCOUNTS) if rng.random() < 0.35 else ""
        self.market = Market(world, self.broker)
        self.exchange = Exchange(world, self.market)
        self.wire = Wire(world, self.exchange)
        self.venue_of = SimulatedVenue
        self.processes = self._processes()
        self.trouble = Trouble(world, self.processes, self.store, self.broker, self.wire)
        for process in self.processes.values():
            process.struck = self.trouble.strike
        self.store.struck = self.trouble.strike
        self.store.lost = lambda life: self.processes[life.name].journal_broke(life)
        self.doors = Doors(world, self.processes)
        self.clients = [self._client(f"c{number}", account) for number, account in enumerate(self._accounts())]
        scopes = ["firm", "symbol.AAPL", "venue.paper", "strategy.alpha", *(f"account.{name}" for name in ACCOUNTS)]
        scopes += [f"venue.{NAME}"] * bool(self.traded)
        self.people = People(world, self.doors, self.broker, self.books, scopes)
        parts = world, self.store, self.broker, self.books, self.processes, self.exchange
        self.audit = Audit(*parts, self.traded)
        self.exchange.accepts = self.audit.accepted
        self.books.ended = self.audit.ended
        self.exchange.excuse = self._excuse
        self.wire.sends = self._sends
        if self.traded:
            self.market.hears = self.exchange.quoted
        if plant is not None:
            plant(self)

    def _processes(self) -> dict[str, Process]:
        rng, world = self.world.rng, self.world
        gateway = _gateway(rng.choice((0.3, 1.0)), self.traded, rng.choice((0.0, 0.0, 0.6)))
        days = ShortDays(rng.choice((1.5, 3.0, 86_400)))
        wired = {
            "risk": (risk.wire, _risk()),
            "oms": (oms.wire, _oms(2.0 if self.traded else rng.choice((2.0, 30.0)))),
            "live-gateway": (self._wire_gateway, gateway),
        }
        processes: dict[str, Process] = {}
        for name, (wire, settings) in wired.items():
            one = processes[name] = Process(name, wire, settings, world, self.store, self.broker)
            one.instruments = SYMBOLS
            one.days = days
            one.tables = {"accounts": {"*": {"currency": "USD", "opening_cash": str(OPENING)}}}
        return processes

    def _wire_gateway(self, kit: Any, settings: Any) -> Any:
        opened = live_gateway.open_venues
        live_gateway.open_venues = lambda *_: {NAME: self.venue_of(self.wire)} if settings.binance_enabled else {}
        try:
            return live_gateway.wire(kit, settings)
        finally:
            live_gateway.open_venues = opened

    def _accounts(self) -> list[str]:
        rng = self.world.rng
        if self.racing:
            return rng.choice((["tight"] * 4, ["roomy", "soft", "roomy", "tight"]))
        return [self.traded or rng.choice(ACCOUNTS), *(self._one_of_them() for _ in range(rng.randint(0, 3)))]

    def _one_of_them(self) -> str:
        return self.traded if self.traded and self.world.rng.random() < 0.6 else self.world.rng.choice(ACCOUNTS)

    def _client(self, name: str, account: str) -> Client:
        wishes = Wishes(self.world, self.market, account, NAME if account == self.traded else "paper")
        return Client(name, account, self.world, self.doors, self.books, wishes, racing=self.racing)

    def _excuse(self, leg: Leg) -> None:
        ours = order_behind(self.traded, leg.client_id)
        if ours is not None:
            self.books.excused.add(ours[0])

    def _sends(self, leg: Leg) -> None:
        """An order leaves for the exchange: no kill that its sender has heard of stands in its way."""
        ours = order_behind(self.traded, leg.client_id)
        there = self.books.venue.get(ours[0]) if ours else None
        if there is None:
            self.world.violated(f"R1 {leg.client_id} leaves for the exchange and is not committed")
        else:
            self.books.allowed(there, self.world.now_s - KILL_WITHIN_S)

    async def main(self) -> None:
        """All of it: clients trade in trouble, then everything comes to rest and is looked at; perhaps twice."""
        world, loop = self.world, self.world.loop
        for process in self.processes.values():
            process.start()
        self.trouble.begin()
        while not all(process.ready for process in self.processes.values()) and loop.time() < 2.0:
            await loop.sleep(0.01)
        loop.create_task(self.market.move(world.rng.uniform(0.05, 0.3)))
        await loop.sleep(0.1)
        if self.traded:
            loop.create_task(self.people.arm(NAME))
            while world.rng.random() < 0.99 and not world.did["mode LIVE"]:
                await loop.sleep(0.02)
        orders, pause_s = world.rng.randint(2, 6), world.rng.choice((0.002, 0.05, 0.4))
        if self.racing:
            orders, pause_s = 2 * orders, pause_s / 2
        phases = 2 if orders > 3 and world.rng.random() < 0.3 else 1
        people = self._people(orders * pause_s + 0.5)
        for phase in range(phases):
            world.calm = False
            self.market.moves = True
            doing = [loop.create_task(client.trade(orders // phases, pause_s)) for client in self.clients]
            timer = loop.call_later(20.0, self.trouble.end)
            await asyncio.gather(*doing, *(people if phase == phases - 1 else []))
            timer.cancel()
            await loop.sleep(world.rng.uniform(0.0, 0.5))
            self.trouble.end()
            self.market.moves = False
            await self._settle()
            self.audit.look(self.clients)
            if world.violations:
                return
        if world.rng.random() < 0.1:
            await self._probe()

    def _people(self, within_s: float) -> list[asyncio.Task[None]]:
        """Who else there is. Those who watch all the time are not waited for."""
        rng, start, people = self.world.rng, self.world.loop.create_task, self.people
        coming: list[Coroutine[Any, Any, None]] = []
        if rng.random() < 0.3:
            coming.append(people.kill(within_s))
        if rng.random() < 0.2:
            coming.append(people.restrain(within_s))
        if any(client.account == "soft" for client in self.clients):
            start(people.release(rng.choice((0.0, 0.5, 0.9))))
        return [start(one) for one in coming]

    async def _settle(self) -> None:
        """Until nothing moves, and has not for a while."""
        loop = self.world.loop
        end_s, quiet_since_s = loop.time() + QUIET_WITHIN_S, loop.time()
        while True:
            if why := self.audit.unquiet():
                quiet_since_s = loop.time()
            elif loop.time() >= quiet_since_s + 0.4:
                return
            if loop.time() > end_s:
                self.world.violated(f"I10 no rest within {QUIET_WITHIN_S:g} s: {why}")
                return
            await loop.sleep(0.1)

    async def _show_prices(self) -> None:
        """Long enough for risk to value everything anew, and to let go of approvals that nobody made use of."""
        for _ in range(8):
            for symbol in SYMBOLS:
                self.market.quote(symbol)
            await self.world.loop.sleep(2.0)
        for symbol in SYMBOLS:
            self.market.quote(symbol)
        await self.world.loop.sleep(0.1)

    async def _probe(self) -> None:
        """What risk believes is what was committed: an order that takes exactly the room that is left is let in."""
        if any(name.startswith(("kill", "state")) for name in self.world.did):
            return
        client = self._client("probe", "tight")
        await self._show_prices()
        for number, symbol in enumerate(SYMBOLS):
            room = self.books.limits["account", "tight", symbol].long - self.books.worst("account", "tight", symbol)[0]
            if room <= 0:
                continue
            intent = SubmitOrder(
                account="tight",
                client_order_id=f"probe-{number}",
                symbol=symbol,
                side=Side.BUY,
                order_type=OrderType.LIMIT,
                quantity=room,
                price=BEGIN[symbol] / 2,
            )
            if not await client.submit(intent):
                self.world.violated(f"R5 {room} {symbol} are free and were refused: {client.answers.refused}")
        await self._settle()
        self.audit.look([client])


def simulate(
    seed: int, *, trace: bool = False, late: bool = False, plant: Callable[[Run], None] | None = None
) -> Outcome:
    """Run one seed."""
    world = World(seed, trace, late)
    one = Run(world, plant)
    try:
        run(one.main, world.loop, world.lives)
    except Stuck as stuck:
        world.violated(f"STUCK {stuck}")
    answered = sum(len(client.answers.acknowledged) for client in one.clients)
    world.did[f"seeds {'with' if one.traded else 'without'} an exchange"] += 1
    return Outcome(
        seed,
        world.digest(),
        world.violations,
        world.faults,
        world.did,
        answered,
        Counter(code for client in one.clients for code in client.answers.refused.values()),
        len(one.books.fills),
        one.store.commits,
        world.loop.steps,
        world.log,
    )
