"""People: somebody who stops things, somebody else who lets them go on, and a second person for what needs one."""

from __future__ import annotations

from services.live_gateway.core.modes import arming
from services.risk.core.people.switchboard import ReleaseRequest, StateChange
from shared.contract import subjects
from shared.contract.risk import Kill, TradingState
from shared.contract.venue import Mode, ModeRequest, PanicRequest
from tests.simulation.books import Books
from tests.simulation.broker import Broker
from tests.simulation.doors import Doors
from tests.simulation.process import suite
from tests.simulation.world import World

ANNA, BEN = "anna", "ben"


class People:
    """Each of them does one thing, in its own time."""

    def __init__(self, world: World, doors: Doors, broker: Broker, books: Books, scopes: list[str]) -> None:
        self._world = world
        self._doors = doors
        self._broker = broker
        self._books = books
        self._scopes = scopes

    async def kill(self, within_s: float) -> None:
        """Throw the switch in one of several ways, and perhaps have somebody else lift it."""
        world = self._world
        await world.loop.sleep(world.rng.uniform(0.0, within_s))
        scope = world.rng.choice(self._scopes)
        ways = (self._by_door, self._by_door, self._by_bus, self._by_file, self._by_panic)
        way = world.rng.choice(ways)
        scope = "firm" if way == self._by_panic else scope
        if not await way(scope):
            return
        world.did[f"kill {way.__name__.removeprefix('_')}"] += 1
        world.note("kill acknowledged", scope)
        self._books.killed(scope, "file" if way == self._by_file else "word")
        if way != self._by_file and world.rng.random() < 0.6:
            await world.loop.sleep(world.rng.uniform(0.3, 2.0))
            self._books.lifted(scope)
            world.did["kill lifted"] += 1
            world.note("kill lifted", scope)
            await self._doors.insist(
                lambda: self._doors.call("risk", "DELETE", "/kill/{scope}", scope=scope, actor=BEN)
            )

    async def _by_door(self, scope: str) -> bool:
        kill = Kill(scope=scope, reason="enough", actor=ANNA)
        return await self._doors.insist(lambda: self._doors.call("risk", "POST", "/kill", kill)) is not None

    async def _by_bus(self, scope: str) -> bool:
        kill = Kill(scope=scope, reason="enough", actor=ANNA, at_ns=self._world.loop.now_ns())
        while self._broker.away:
            await self._world.loop.sleep(0.05)
        self._broker.store(subjects.RISK_KILL, subjects.RISK_KILL.pattern, kill, f"{scope}-{kill.at_ns}")
        return True

    async def _by_file(self, scope: str) -> bool:
        folder = suite().var / "kill"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / scope).write_text("enough")
        return True

    async def _by_panic(self, scope: str) -> bool:
        body = PanicRequest(reason="enough", actor=ANNA)
        return await self._doors.insist(lambda: self._doors.call("live-gateway", "POST", "/panic", body)) is not None

    async def restrain(self, within_s: float) -> None:
        """Put something on a short rein for a while."""
        world = self._world
        await world.loop.sleep(world.rng.uniform(0.0, within_s))
        scope = world.rng.choice([scope for scope in self._scopes if not scope.startswith("venue")])
        state = world.rng.choice((TradingState.REDUCING, TradingState.HALTED))
        if not await self._put(scope, state, ANNA):
            return
        world.did[f"state {state}"] += 1
        if state is TradingState.HALTED:
            self._books.halted[scope] = world.loop.now_ns()
        await world.loop.sleep(world.rng.uniform(0.3, 1.5))
        self._books.halted.pop(scope, None)
        if await self._put(scope, TradingState.ACTIVE, BEN):
            world.did["state ACTIVE"] += 1

    async def _put(self, scope: str, state: TradingState, actor: str) -> bool:
        change = StateChange(state=state, actor=actor, reason="as seen fit")
        ask = lambda: self._doors.call("risk", "PUT", "/state/{scope}", change, scope=scope)  # noqa: E731
        return await self._doors.insist(ask) is not None

    async def release(self, share: float) -> None:
        """Look at what waits for a second person, now and then, and let some of it pass."""
        world, looked = self._world, set[str]()
        while True:
            await world.loop.sleep(world.rng.uniform(0.05, 0.4))
            for order_id in sorted(self._books.pending - looked):
                looked.add(order_id)
                if world.rng.random() < share:
                    world.did["ask: release"] += 1
                    body = ReleaseRequest(actor=BEN, reason="it may", account=self._books.orders[order_id]["account"])
                    await self._doors.insist(
                        lambda body=body, order_id=order_id: self._doors.call(
                            "risk", "POST", "/risk/releases/{order_id}", body, order_id=order_id
                        )
                    )

    async def arm(self, venue: str) -> None:
        """Let orders out to a real venue; now and then change one's mind about it."""
        world = self._world
        while True:
            real = ModeRequest(mode=Mode.LIVE, venue=venue, sentence=arming(venue, Mode.LIVE), actor=ANNA)
            await self._mode(real)
            if world.rng.random() < 0.8:
                return
            await world.loop.sleep(world.rng.uniform(0.2, 2.0))
            await self._mode(ModeRequest(mode=world.rng.choice((Mode.SHADOW, Mode.PAPER)), venue=venue, actor=BEN))
            await world.loop.sleep(world.rng.uniform(0.1, 0.5))

    async def _mode(self, wanted: ModeRequest) -> None:
        answer = await self._doors.insist(lambda: self._doors.call("live-gateway", "POST", "/mode", wanted))
        self._world.did[f"mode {wanted.mode}"] += answer is not None
