"""One seed, from its first order to its audit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
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
from shared.contract.orders import OrderType, Side, SubmitOrder
from shared.contract.risk import Limits
from tests.simulation.audit import Audit
from tests.simulation.books import Books, Limit
from tests.simulation.broker import Broker
from tests.simulation.clients import Client, Doors
from tests.simulation.loop import Stuck, run
from tests.simulation.market import BEGIN, SYMBOLS, Market
from tests.simulation.process import Process, sweep
from tests.simulation.store import Store
from tests.simulation.trouble import Switch, Trouble
from tests.simulation.world import World

D = Decimal
OPENING = D(100_000_000)
ACCOUNTS = ("roomy", "tight")
MUCH = D(10) ** 12
QUIET_WITHIN_S = 60.0
LOT_LIMITS = {"long": 9, "short": 5}
"""How much of each symbol the tight account may come to hold, in lots."""


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    digest: str
    violations: list[str]
    faults: Counter[str]
    orders: int
    refused: Counter[str]
    fills: int
    commits: int
    steps: int
    log: list[str] = field(repr=False, default_factory=list[str])


@cache
def settings_of(market_wait_s: float) -> dict[str, Any]:
    """Every limit is out of the way, except those that the tight account is held to."""
    out_of_the_way = Limits.model_validate({name: MUCH for name in Limits.model_fields if name != "soft"})
    limits = {"firm": out_of_the_way}
    for symbol, listed in SYMBOLS.items():
        long, short = (listed.lot * LOT_LIMITS[side] for side in ("long", "short"))
        limits[f"account.tight.symbol.{symbol}"] = Limits(long_quantity_max=long, short_quantity_max=short)
    return {
        "risk": RiskSettings(limits=limits, duplicate_window_s=0, approval_valid_s=1, reservation_age_max_s=2),
        "oms": OmsSettings(ask_again_every_s=0.5, unknown_after_s=1.2),
        "live-gateway": GatewaySettings(market_wait_s=market_wait_s),
    }


WIRES: dict[str, Callable[..., Any]] = {
    "risk": risk.wire,
    "oms": oms.wire,
    "live-gateway": live_gateway.wire,
}


class Run:
    """Everything of one seed, put together."""

    def __init__(self, world: World, plant: Callable[[Run], None] | None = None) -> None:
        sweep()
        self.world = world
        self.store = Store(self.world)
        self.broker = Broker(self.world)
        tight = {
            ("tight", symbol): Limit(one.lot * LOT_LIMITS["long"], one.lot * LOT_LIMITS["short"])
            for symbol, one in SYMBOLS.items()
        }
        self.books = Books(self.world, OPENING, tight)
        self.store.committed.append(self.books.committed)
        self.broker.said.append(self.books.said)
        settings = settings_of(self.world.rng.choice((0.3, 1.0)))
        self.processes = {
            name: Process(name, wire, settings[name], self.world, self.store, self.broker)
            for name, wire in WIRES.items()
        }
        self.trouble = Trouble(self.world, self.processes, self.store, self.broker)
        for process in self.processes.values():
            process.instruments = SYMBOLS
            process.tables = {"accounts": {"*": {"currency": "USD", "opening_cash": str(OPENING)}}}
            process.struck = self.trouble.strike
        self.store.struck = self.trouble.strike
        self.store.lost = lambda life: self.processes[life.name].journal_broke(life)
        self.market = Market(self.world, self.broker)
        self.doors = Doors(self.world, self.processes)
        self.racing = racing = self.world.rng.random() < 0.25
        self.clients = [
            Client(f"c{number}", account, self.world, self.doors, self.books, self.market, racing=racing)
            for number, account in enumerate(self._accounts(racing))
        ]
        self.audit = Audit(self.world, self.store, self.broker, self.books, self.processes)
        if plant is not None:
            plant(self)

    def _accounts(self, racing: bool) -> list[str]:
        rng = self.world.rng
        if racing:
            return ["tight"] * 4
        return [rng.choice(ACCOUNTS) for _ in range(rng.randint(1, 4))]

    async def main(self) -> None:
        """All of it."""
        world, loop = self.world, self.world.loop
        for process in self.processes.values():
            process.start()
        self.trouble.begin()
        while not all(process.ready for process in self.processes.values()) and loop.time() < 2.0:
            await loop.sleep(0.01)
        moving = loop.create_task(self.market.move(world.rng.uniform(0.05, 0.3)))
        await loop.sleep(0.1)
        orders, pause_s = world.rng.randint(2, 6), world.rng.choice((0.002, 0.05, 0.4))
        if self.racing:
            orders, pause_s = 2 * orders, pause_s / 2
        doing = [loop.create_task(client.trade(orders, pause_s)) for client in self.clients]
        if world.rng.random() < 0.35:
            scopes = ["firm", "account.roomy", "account.tight", "symbol.AAPL", "venue.paper"]
            switch = Switch(world, self.doors, self.broker, self.books, scopes)
            doing.append(loop.create_task(switch.throw(orders * pause_s + 0.5)))
        world.loop.call_later(20.0, self.trouble.end)
        await asyncio.gather(*doing)
        await loop.sleep(world.rng.uniform(0.0, 0.5))
        self.trouble.end()
        moving.cancel()
        await self._settle()
        self.audit.look(self.clients)
        if not world.violations and world.rng.random() < 0.2:
            await self._probe()

    async def _settle(self) -> None:
        """Until nothing moves, and has not for a while."""
        loop = self.world.loop
        end_s, quiet_since_s = loop.time() + QUIET_WITHIN_S, loop.time()
        while loop.time() < quiet_since_s + 0.4:
            if why := self.audit.unquiet():
                quiet_since_s = loop.time()
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
        if self.books.kills or self.world.faults["kill"]:
            return
        client = Client("probe", "tight", self.world, self.doors, self.books, self.market)
        await self._show_prices()
        for number, symbol in enumerate(SYMBOLS):
            room = self.books.limits["tight", symbol].long - self.books.worst("tight", symbol)[0]
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
            if await client.submit(intent) is None:
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
    return Outcome(
        seed,
        world.digest(),
        world.violations,
        world.faults,
        answered,
        Counter(code for client in one.clients for code in client.answers.refused.values()),
        len(one.books.fills),
        one.store.commits,
        world.loop.steps,
        world.log,
    )
