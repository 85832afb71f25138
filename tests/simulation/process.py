"""A service's process: its own shell over the kit, from its start to its end, and again."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import shutil
import tempfile
import typing
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from shared.contract.base import Message
from shared.contract.currencies import Rates
from shared.contract.errors import NotFound, Unavailable
from shared.contract.market import Instrument
from shared.contract.sessions import Sessions
from shared.kit.journal import Journal
from shared.kit.kit import Kit
from shared.kit.service import Each, Route, Service
from shared.kit.settings import Suite, load_rates
from shared.kit.web import Reply
from tests.simulation.broker import Broker
from tests.simulation.bus import Bus
from tests.simulation.ears import Ears
from tests.simulation.loop import EPOCH_NS, LIFE, Life, context_of
from tests.simulation.store import NOBODY, Line, Store
from tests.simulation.world import World

Wire = Callable[[Kit, Any], Service]


class SilentMeter:
    """Counts nothing: what a service measures of itself is not what is asked here."""

    totals: typing.ClassVar[Mapping[str, int]] = {}

    def count(self, what: str, n: float = 1, **labels: str) -> None: ...

    def gauge(self, what: str, value: float, **labels: str) -> None: ...

    def observe(self, what: str, seconds: float, **labels: str) -> None: ...


class SilentLog:
    """Logs nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _nothing


def _nothing(*words: Any, **named: Any) -> None:
    return None


METER, LOG = SilentMeter(), SilentLog()
DRAIN_MAX_S = 2.0


class ShortDays:
    """A market that never closes, with days that are over in no time."""

    def __init__(self, day_s: float) -> None:
        self._day_ns = round(day_s * 1e9)

    def is_open(self, at_ns: int) -> bool:
        return True

    def session_end(self, at_ns: int) -> int:
        return at_ns - (at_ns - EPOCH_NS) % self._day_ns + self._day_ns

    def next_open(self, at_ns: int) -> int:
        return self.session_end(at_ns)


@cache
def _rates() -> Rates:
    return load_rates(suite())


@cache
def suite() -> Suite:
    """Everybody's folder, in memory where there is such a place, and gone with this program."""
    memory = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="trade2026-simulation-", dir=memory if memory.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Suite(var=Path(folder))


def sweep() -> None:
    """Nothing of an earlier run is left."""
    for folder in suite().var.iterdir():
        shutil.rmtree(folder)


class SimulatedKit(Kit):
    """The kit of one life. Its journal is the real one."""

    journal_of: Callable[..., Journal] = Journal
    bus_of: Callable[..., Bus] = Bus
    line_of: Callable[..., Line] = Line

    def __init__(self, process: Process, life: Life) -> None:
        super().__init__(process.name, suite(), process.world.loop, METER, LOG)  # type: ignore[arg-type]
        self._process = process
        self._life = life

    @cached_property
    def bus(self) -> Bus:  # type: ignore[override]
        return self.bus_of(self._process.broker, self._life, self._process.struck)

    @cached_property
    def valkey(self) -> Line:  # type: ignore[override]
        return self.line_of(self._process.store, self._life)

    @cached_property
    def journal(self) -> Journal:
        return self.journal_of(self.name, self.valkey, self.bus.store_all)

    @cached_property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._process.instruments

    @cached_property
    def sessions(self) -> Callable[[str], Sessions]:
        return lambda symbol: self._process.days

    @cached_property
    def rates(self) -> Rates:
        return _rates()

    def new_id(self) -> str:
        return self._process.world.new_id()

    def config(self, name: str) -> dict[str, Any]:
        return self._process.tables.get(name, {})


class Process:
    """One service of the suite, whichever life it is in."""

    def __init__(self, name: str, wire: Wire, settings: Any, world: World, store: Store, broker: Broker) -> None:
        self.name = name
        self.world = world
        self.store = store
        self.broker = broker
        self.instruments: Mapping[str, Instrument] = {}
        self.days: Sessions = ShortDays(86_400)
        self.tables: Mapping[str, dict[str, Any]] = {}
        self.struck: Callable[[Life], None] = lambda life: None
        self.kit_of: type[SimulatedKit] = SimulatedKit
        self._wire = wire
        self._settings = settings
        self._number = 0
        self.life: Life | None = None
        self.recovering: str | None = "down"
        self.service: Service | None = None
        self.kit: SimulatedKit | None = None
        self._ears: Ears | None = None
        self._repeating: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        return (
            self.life is not None
            and not self.life.still
            and self.recovering is None
            and (self.kit is None or self.kit.journal.trouble is None)
        )

    @property
    def unsaid(self) -> int:
        return self.kit.journal.unsaid if self.kit is not None and self.kit.touched("journal") else 0

    def start(self) -> None:
        """A new life begins."""
        self._number += 1
        self.life = Life(self.name, self._number)
        self.world.lives.append(self.life)
        self.world.note("start", self.life)
        self.recovering = "starting"
        context = context_of(self.life)
        self.world.loop.create_task(self._live(self.life), context=context)

    def end(self) -> None:
        """It dies where it stands."""
        if self.life is None:
            return
        self.world.note("crash", self.life)
        self.life.ended = True
        if self._ears is not None:
            self._ears.close()
        self.life = self.service = self.kit = self._ears = None
        self.recovering = "down"

    async def drain(self) -> None:
        """It ends in order: hears no more, finishes what is in hand, says what is left; if it cannot, it is ended."""
        life, ears = self.life, self._ears
        if life is None or ears is None or self.kit is None or self.service is None:
            return
        self.world.note("drain", life)
        done: asyncio.Future[None] = self.world.loop.create_future()
        self.world.loop.call_later(DRAIN_MAX_S, _settle, done, context=NOBODY)
        draining = self._drain(ears, self.service, self.kit, done)
        self.world.loop.create_task(draining, context=context_of(life))
        await done

    async def _drain(self, ears: Ears, service: Service, kit: SimulatedKit, done: asyncio.Future[None]) -> None:
        for task in self._repeating:
            task.cancel()
        await ears.drained()
        with contextlib.suppress(Unavailable):
            await service.closes()
        if kit.touched("journal"):
            await kit.journal.close()
        _settle(done)

    async def _live(self, life: Life) -> None:
        kit = self.kit = self.kit_of(self, life)
        self.service = service = self._wire(kit, self._settings)
        await self._recover(life)
        context = context_of(life)
        self._ears = Ears(self.broker, life, context, self._gate)
        for row in service.hears:
            await self._ears.open(row)
        self._repeating = [self.world.loop.create_task(self._repeat(each)) for each in service.every]

    async def _recover(self, life: Life) -> None:
        assert self.kit is not None
        assert self.service is not None
        while True:
            try:
                if self.kit.touched("journal"):
                    await self.kit.journal.recover(self.service.recovers)
                else:
                    await self.service.recovers()
                break
            except Unavailable as error:
                self.recovering = error.detail
                await self.world.loop.sleep(0.2)
        if self.kit.touched("journal"):
            self.kit.journal.mend()
        self.recovering = None
        self.world.note("ready", life)

    def journal_broke(self, life: Life) -> None:
        """Nobody knows what the last commit did; a moment later the service is recovered."""
        if life is self.life and self.recovering is None:
            after_s = self.world.rng.uniform(0.001, 0.05)
            self.world.loop.call_later(after_s, self._mend, life, context=context_of(life))

    def _mend(self, life: Life) -> None:
        if life is self.life and self.recovering is None and self.kit is not None and self.kit.journal.broken:
            self.recovering = self.kit.journal.broken
            self.world.note("recover", life)
            self.world.loop.create_task(self._recover(life))

    async def _gate(self) -> None:
        if self.life is not None and self.kit is not None and self.kit.journal.broken:
            self.journal_broke(self.life)
        if self.recovering:
            raise Unavailable(f"{self.name} is recovering: {self.recovering}")
        if self.kit is not None and (trouble := self.kit.journal.trouble):
            raise Unavailable(f"{self.name} takes nothing on: {trouble}")

    async def _repeat(self, row: Each) -> None:
        while True:
            await self.world.loop.sleep(row.seconds)
            try:
                await self._gate()
                await row.handler()
            except Unavailable:
                pass
            except Exception as error:
                self.broker.parked.append(f"{LIFE.get()} {row.handler.__name__}: {error!r}")

    # The doors.

    def route(self, method: str, path: str) -> Route | None:
        """The route of a method and a path with its blanks, if there is one."""
        served = self.service.serves if self.service is not None else ()
        return next((one for one in served if (one.method, one.path) == (method, path)), None)

    def ask(self, method: str, path: str, words: Mapping[str, Any], body: Message | None, done: Any) -> None:
        """Call a door in this life; `done(answer, error)` unless the life ends before."""
        if self._ears is None:
            done(None, Unavailable("nobody is there"))
            return
        route = self.route(method, path)
        if route is None:
            done(None, NotFound(f"there is no {method} {path}"))
            return
        named = dict(words)
        if body is not None:
            named[_body_of(route.handler)] = body
        self._ears.work(lambda: _called(route, named), done, always=route.always)


def _settle(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


async def _called(route: Route, named: Mapping[str, Any]) -> Any:
    answer = await route.handler(**named)
    return answer.body if isinstance(answer, Reply) else answer


def _body_of(handler: Callable[..., Awaitable[Any]]) -> str:
    return _body_of_function(getattr(handler, "__func__", handler))


@cache
def _body_of_function(function: Any) -> str:
    hints = typing.get_type_hints(function)
    for name in inspect.signature(function).parameters:
        kinds = typing.get_args(hints.get(name)) or (hints.get(name),)
        if any(isinstance(kind, type) and issubclass(kind, Message) for kind in kinds):
            return name
    raise AssertionError(f"{function.__qualname__} takes no message")
