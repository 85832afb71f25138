"""Trouble: services die, stand still and come back; store and bus go away; somebody throws the switch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.contract import subjects
from shared.contract.errors import Refused, Unavailable
from shared.contract.risk import Kill
from tests.simulation.books import Books
from tests.simulation.broker import Broker
from tests.simulation.clients import Doors
from tests.simulation.loop import Life
from tests.simulation.process import Process, suite
from tests.simulation.store import NOBODY, Store
from tests.simulation.world import World


class Trouble:
    """Everything that goes wrong by the clock, or when something tells it to."""

    def __init__(self, world: World, processes: Mapping[str, Process], store: Store, broker: Broker) -> None:
        self._world = world
        self._processes = processes
        self._store = store
        self._broker = broker

    def begin(self) -> None:
        """From here on, each kind in its own time."""
        rates = self._world.rates
        for every_s, happen in (
            (rates.crash_every_s, self._crash),
            (rates.restart_every_s, self._restart),
            (rates.stop_every_s, self._stop),
            (rates.store_away_every_s, self._lose_store),
            (rates.bus_away_every_s, self._lose_bus),
        ):
            if every_s:
                self._world.loop.create_task(self._repeat(every_s, happen))

    async def _repeat(self, every_s: float, happen: Callable[[], None]) -> None:
        while True:
            await self._world.loop.sleep(self._world.rng.expovariate(1 / every_s))
            if not self._world.calm:
                happen()

    def strike(self, life: Life) -> None:
        """This life ends here; the supervisor begins another."""
        process = self._processes[life.name]
        if process.life is life:
            process.end()
            self._world.loop.call_later(self._world.rng.choice((0.01, 0.1, 0.8)), self._start, process, context=NOBODY)

    def _start(self, process: Process) -> None:
        if process.life is None:
            process.start()

    def _some(self) -> Process:
        return self._processes[self._world.rng.choice(sorted(self._processes))]

    def _crash(self) -> None:
        process = self._some()
        if process.life is not None:
            self._world.faults["crash"] += 1
            self.strike(process.life)

    def _restart(self) -> None:
        process = self._some()
        if process.ready:
            self._world.faults["restart"] += 1
            self._world.loop.create_task(self._ended(process))

    async def _ended(self, process: Process) -> None:
        life = process.life
        await process.drain()
        if life is not None:
            self.strike(life)

    def _stop(self) -> None:
        life = self._some().life
        if life is not None and not life.still:
            self._world.faults["stop"] += 1
            self._world.note("stop", life)
            life.stopped = True
            self._world.loop.call_later(self._world.rng.uniform(0.02, 2.0), self._go_on, life, context=NOBODY)

    def _go_on(self, life: Life) -> None:
        self._world.note("go-on", life)
        self._world.loop.resume(life)

    def _lose_store(self) -> None:
        self._world.faults["store_away"] += 1
        self._store.away_until_s = self._world.now_s + self._world.rng.uniform(0.01, 1.5)

    def _lose_bus(self) -> None:
        self._world.faults["bus_away"] += 1
        self._broker.away_until_s = self._world.now_s + self._world.rng.uniform(0.01, 1.5)

    def end(self) -> None:
        """Nothing goes wrong any more, and everybody is there."""
        self._world.calm = True
        self._store.away_until_s = self._broker.away_until_s = 0.0
        for process in self._processes.values():
            if process.life is None:
                process.start()
            elif process.life.stopped:
                self._go_on(process.life)


class Switch:
    """Somebody who stops everything, in one of three ways, and somebody else who lets it go on."""

    def __init__(self, world: World, doors: Doors, broker: Broker, books: Books, scopes: list[str]) -> None:
        self._world = world
        self._doors = doors
        self._broker = broker
        self._books = books
        self._scopes = scopes

    async def throw(self, within_s: float) -> None:
        """Kill, and perhaps lift, once."""
        world = self._world
        await world.loop.sleep(world.rng.uniform(0.0, within_s))
        scope = world.rng.choice(self._scopes)
        way = world.rng.choice((self._by_door, self._by_door, self._by_bus, self._by_file))
        if not await way(scope):
            return
        world.faults["kill"] += 1
        world.note("kill acknowledged", scope)
        self._books.killed(scope)
        if way != self._by_file and world.rng.random() < 0.6:
            await world.loop.sleep(world.rng.uniform(0.3, 2.0))
            self._books.lifted(scope)
            world.note("kill lifted", scope)
            await self._insist(lambda: self._doors.call("risk", "DELETE", "/kill/{scope}", scope=scope, actor="ben"))

    async def _by_door(self, scope: str) -> bool:
        kill = Kill(scope=scope, reason="enough", actor="anna")
        return await self._insist(lambda: self._doors.call("risk", "POST", "/kill", kill))

    async def _by_bus(self, scope: str) -> bool:
        kill = Kill(scope=scope, reason="enough", actor="anna", at_ns=self._world.loop.now_ns())
        while self._broker.away:
            await self._world.loop.sleep(0.05)
        self._broker.store(subjects.RISK_KILL, subjects.RISK_KILL.pattern, kill, f"{scope}-{kill.at_ns}")
        return True

    async def _by_file(self, scope: str) -> bool:
        folder = suite().var / "kill"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / scope).write_text("enough")
        return True

    async def _insist(self, ask: Callable[[], Awaitable[Any]]) -> bool:
        for _ in range(100):
            try:
                await ask()
            except Refused:
                return False
            except Unavailable:
                await self._world.loop.sleep(0.1)
            else:
                return True
        return False
