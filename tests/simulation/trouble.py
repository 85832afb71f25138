"""Trouble: services die, stand still and come back; store, bus and venue go away."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.simulation.broker import Broker
from tests.simulation.loop import Life
from tests.simulation.process import Process
from tests.simulation.store import NOBODY, Store
from tests.simulation.venue import Wire
from tests.simulation.world import World


class Trouble:
    """Everything that goes wrong by the clock, or when something tells it to."""

    def __init__(
        self, world: World, processes: Mapping[str, Process], store: Store, broker: Broker, wire: Wire
    ) -> None:
        self._world = world
        self._processes = processes
        self._store = store
        self._broker = broker
        self._wire = wire

    def begin(self) -> None:
        """From here on, each kind in its own time."""
        rates = self._world.rates
        for every_s, happen in (
            (rates.crash_every_s, self._crash),
            (rates.restart_every_s, self._restart),
            (rates.stop_every_s, self._stop),
            (rates.store_away_every_s, self._lose_store),
            (rates.bus_away_every_s, self._lose_bus),
            (rates.venue_away_every_s, self._lose_venue),
            (rates.stream_down_every_s, self._lose_stream),
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

    def _lose_venue(self) -> None:
        if self._wire.line is not None:
            self._world.faults["venue_away"] += 1
            self._wire.away_until_s = self._world.now_s + self._world.rng.uniform(0.01, 1.5)

    def _lose_stream(self) -> None:
        if self._wire.line is not None:
            self._world.faults["stream_down"] += 1
            self._wire.breaks(self._world.rng.uniform(0.01, 1.5))

    def end(self) -> None:
        """Nothing goes wrong any more, and everybody is there."""
        self._world.calm = True
        self._store.away_until_s = self._broker.away_until_s = self._wire.away_until_s = 0.0
        self._wire.back()
        for process in self._processes.values():
            if process.life is None:
                process.start()
            elif process.life.stopped:
                self._go_on(process.life)
