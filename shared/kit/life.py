"""The life of a process: starting, running, draining, then stopped or failed.

    settings → log → wire → connect what wire touched → recover → hear and serve → SIGTERM → stop hearing → finish

The doors open first, so that a starting or recovering service can say so. The start-up path is the recovery path: when
the journal breaks, the service recovers just as it does at the start, and refuses everything until it has.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import platform
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from shared.contract.errors import Unavailable
from shared.contract.ops import Check, Health, ServiceState, Version
from shared.contract.subjects import PARKED
from shared.kit.bus import NatsBus
from shared.kit.clock import SystemClock
from shared.kit.copies import Copies
from shared.kit.hearing import Hearing
from shared.kit.hot_door import hot_doors
from shared.kit.log import open_log
from shared.kit.meter import Meter
from shared.kit.permissions import streams_of
from shared.kit.service import SOCKET, Each, Service
from shared.kit.settings import Suite
from shared.kit.sockets import open_sockets
from shared.kit.web import Doors, open_app, plain_route, to_json
from shared.kit.wiring import RealKit, wire

VERSION = "0.1.0"
DRAIN_MAX_S = 10.0
TROUBLES = (
    "recoveries",
    "bus_errors",
    "bus_refused",
    "bus_reconnects",
    "publish_failed",
    "messages_handed_back",
    "messages_refused",
    "batches_handed_back",
    "questions_failed",
    "questions_shed",
)


class Life:
    """One service from start to end.

    Making one connects and starts nothing, so it may be made in one process and lived in another forked from it.
    """

    def __init__(self, name: str, suite: Suite) -> None:
        self.name = name
        self.state = ServiceState.STARTING
        self._suite = suite
        self._log = open_log(name, suite.log_level)
        self._clock = SystemClock()
        self._meter = Meter(name)
        self._kit = RealKit(name, suite, self._clock, self._meter, self._log)
        self._service = wire(name, self._kit)
        self._count_from_zero()
        self._recovering: str | None = "starting"
        self._hearing: Hearing | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._started_ns = 0
        self._server_config = self._doors()
        self._server_config.load()

    @property
    def tables(self) -> Service:
        """The service's whole surface."""
        return self._service

    def _count_from_zero(self) -> None:
        """What should never happen is told as 0 from the start, so that its first time is seen as an increase."""
        for what in TROUBLES:
            self._meter.count(what, 0)
        for row in self._service.every:
            self._meter.count("periodic_failed", 0, handler=row.handler.__name__)

    async def live(self, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        """Run until SIGTERM or SIGINT."""
        self._started_ns = self._clock.monotonic_ns()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        server = _Server(self._server_config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        starting = asyncio.create_task(self._start(on_ready))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, starting, stop}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done() and not starting.cancelled() and (error := starting.exception()):
            self.state = ServiceState.FAILED
            self._log.error("failed", exc_info=error)
        else:
            await asyncio.wait({serving, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self.state is not ServiceState.FAILED:
                self.state = ServiceState.DRAINING
        starting.cancel()
        server.should_exit = True
        try:
            await asyncio.wait_for(self._drain(), DRAIN_MAX_S)
        except TimeoutError:
            self._log.error("drain_timed_out", seconds=DRAIN_MAX_S)
        await serving
        if self.state is ServiceState.FAILED:
            raise SystemExit(1)
        self.state = ServiceState.STOPPED
        self._log.info("stopped")

    # Starting.

    async def _start(self, on_ready: Callable[[], None]) -> None:
        await self._connect()
        await self._recover()
        if self._kit.touched("bus"):
            self._hearing = Hearing(self._kit.shard, self._bus, self._gate, self._clock, self._meter, self._log)
            for row in self._service.hears:
                await self._hearing.open(row)
            self._tasks.append(asyncio.create_task(self._hearing.look()))
        self._tasks += [asyncio.create_task(self._repeat(each)) for each in self._service.every]
        self._tasks.append(asyncio.create_task(self._keep_consistent()))
        self.state = ServiceState.RUNNING
        while (health := await self._health()).status != "ready":
            await asyncio.sleep(0.02)
        _settle_memory()
        elapsed_s = (self._clock.monotonic_ns() - self._started_ns) / 1e9
        self._log.info("ready", seconds=round(elapsed_s, 3), checks=[check.name for check in health.checks])
        on_ready()

    @property
    def _bus(self) -> NatsBus:
        return self._kit.bus

    async def _connect(self) -> None:
        if self._service.hears or self._service.says:
            says = {one.pattern for one in (*self._service.says, *self._service.asks)}
            self._bus.permit(frozenset(says | {PARKED.pattern}))
        if self._kit.touched("bus"):
            await self._bus.connect(streams_of(self._service))
        if self._kit.touched("valkey"):
            await self._until(self._reach_valkey)

    async def _reach_valkey(self) -> None:
        if trouble := await self._kit.valkey.ping():
            raise Unavailable(trouble)

    async def _recover(self) -> None:
        async def attempt() -> None:
            if self._kit.touched("journal"):
                await self._kit.journal.recover(self._service.recovers, self._address)
            else:
                await self._service.recovers()

        await self._until(attempt)
        if self._kit.touched("journal"):
            self._kit.journal.mend()
        self._recovering = None

    def _address(self) -> str:
        """Where the other copies of this service reach this one."""
        host = self._kit.valkey.local_host if self._suite.contained else self._suite.host
        return f"{host}:{self._suite.port(self.name)}"

    async def _until(self, attempt: Callable[[], object]) -> None:
        while True:
            try:
                await attempt()  # type: ignore[misc]
                return
            except Unavailable as error:
                if self._recovering != error.detail:
                    self._recovering = error.detail
                    self._log.warning("waiting", detail=error.detail)
                await asyncio.sleep(0.2)

    # Running.

    async def _gate(self) -> None:
        if self._recovering:
            raise Unavailable(f"{self.name} is recovering: {self._recovering}")
        if self._kit.touched("journal") and (trouble := self._kit.journal.trouble):
            raise Unavailable(f"{self.name} takes nothing on: {trouble}")

    async def _keep_consistent(self) -> None:
        while True:
            if self._kit.touched("journal") and (trouble := self._kit.journal.broken):
                self._recovering = trouble
                self._meter.count("recoveries")
                self._log.warning("recovering", detail=trouble)
                try:
                    await self._recover()
                except Exception:
                    # Nobody can say what state this is in; whoever started the process is to start it anew.
                    self._log.exception("failed")
                    self.state = ServiceState.FAILED
                    self._stop.set()
                    return
                self._log.info("recovered")
            await asyncio.sleep(0.05)

    async def _repeat(self, row: Each) -> None:
        while True:
            await asyncio.sleep(row.seconds)
            try:
                await self._gate()
                await row.handler()
            except Unavailable as error:
                self._log.warning("put_off", what=row.handler.__name__, detail=error.detail)
            except Exception:
                self._meter.count("periodic_failed", handler=row.handler.__name__)
                self._log.exception("periodic_failed", what=row.handler.__name__)

    async def _health(self) -> Health:
        checks = [check async for check in self._checks()]
        ready = self.state is ServiceState.RUNNING and all(check.ok for check in checks)
        return Health(status="ready" if ready else "unready", service=self.name, state=self.state, checks=tuple(checks))

    async def _checks(self):
        def check(name: str, trouble: str | None) -> Check:
            return Check(name=name, ok=trouble is None, detail=trouble or "")

        yield check("recovered", self._recovering)
        if self._kit.touched("bus"):
            yield check("nats", self._bus.trouble())
        if self._kit.touched("valkey"):
            yield check("valkey", await self._kit.valkey.ping())
        if self._kit.touched("journal"):
            yield check("journal", self._kit.journal.trouble)
        if self._kit.touched("tape"):
            yield check("tape", await _trouble(self._kit.tape.ping))
        if self._kit.touched("lake"):
            yield check("lake", await _trouble(self._kit.lake.ping))
        if self._kit.touched("search"):
            yield check("search", await _trouble(self._kit.search.ping))
        if self._hearing is not None:
            trouble = self._hearing.trouble()
            yield Check(name="hearing", ok=trouble is None, detail=trouble or self._hearing.unread())
        for name, trouble in self._service.checks().items():
            yield check(name, trouble)

    # Ending.

    async def _drain(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._hearing is not None:
            await self._hearing.close()
        with contextlib.suppress(Unavailable):
            await self._service.closes()
        if self._kit.touched("journal"):
            await self._kit.journal.close()
        for part in ("bus", "valkey", "tape", "lake", "search", "peers"):
            if self._kit.touched(part):
                await getattr(self._kit, part).close()

    # Doors.

    def _doors(self) -> uvicorn.Config:
        served = list(self._service.serves)
        sockets = [route for route in served if route.method == SOCKET]
        # One copy answers everything itself, as if there were no others to ask.
        copies = Copies(self._kit.shard, self._kit.valkey, self._kit.peers) if self._kit.shard.count > 1 else None
        app = open_app(self.name, VERSION, [route for route in served if route.method != SOCKET], self._gate, copies)
        plain_route(app, "/livez", self._livez)
        plain_route(app, "/readyz", self._readyz)
        plain_route(app, "/health", self._readyz)
        plain_route(app, "/metrics", self._metrics)
        plain_route(app, "/version", self._version)
        plain_route(app, "/stats", self._stats)
        hot = hot_doors(self._service.serves, self._gate, copies)
        doors = Doors(app, self._clock, self._meter, self._log, hot)
        return uvicorn.Config(
            doors,
            log_config=None,
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            **open_sockets(app, sockets, self._gate, self._meter, self._log, self._suite.origins, copies),
        )

    async def _livez(self) -> Response:
        return Response(to_json({"status": "alive", "service": self.name}), media_type="application/json")

    async def _readyz(self) -> Response:
        health = await self._health()
        return Response(health.encode(), 200 if health.status == "ready" else 503, media_type="application/json")

    async def _metrics(self) -> Response:
        health = await self._health()
        stated: dict[str, Any] = {"ready": health.status == "ready"}
        stated["check"] = {check.name: check.ok for check in health.checks}
        if self._kit.touched("journal"):
            stated["unsaid"] = self._kit.journal.unsaid
        return Response(self._meter.exposition({**stated, **self._service.stats()}), media_type=CONTENT_TYPE_LATEST)

    async def _version(self) -> Response:
        version = Version(service=self.name, version=VERSION, git=self._suite.git, python=platform.python_version())
        return Response(version.encode(), media_type="application/json")

    async def _stats(self) -> Response:
        uptime_s = round((self._clock.monotonic_ns() - self._started_ns) / 1e9, 3)
        words = {"service": self.name, "state": self.state, "uptime_s": uptime_s}
        return Response(
            to_json({**words, **self._meter.totals, **self._service.stats()}), media_type="application/json"
        )


async def _trouble(ping: Callable[[], Awaitable[None]]) -> str | None:
    """Why something cannot be used, or None."""
    try:
        await ping()
    except Unavailable as error:
        return error.detail
    return None


def _settle_memory() -> None:
    """What is here now stays: full collections need not walk it again.

    One of them was measured to take 86 to 230 ms in risk, which denied an order for being too slow.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to the life it is part of."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield
