"""Stage: a suite of real processes made for breaking, and what a fault may do to each of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random

import psutil
import yaml
from redis import Redis

from shared.cli import state
from shared.contract.roster import NATS_MONITOR_PORT, NATS_PORT, ROSTER, VALKEY_PORT
from tests.chaos.evidence import AtVenue, Bound, Execution
from tests.chaos.invariants.bounds import Sample
from tests.chaos.line import Unanswered, get
from tests.chaos.mix import Trade
from tests.chaos.records import Records
from tests.chaos.waiting import until
from tests.journeys.rig import CHECKOUT, Suite, free_offset
from tests.servers import is_open

SERVICES = tuple(entry.name for entry in ROSTER)
SERVERS = ("nats", "valkey")

BOUNDS = {
    "BTCUSDT": Bound(Decimal(1), Decimal(1), Decimal("0.1")),
    "ETHUSDT": Bound(Decimal(5), Decimal(5), Decimal("0.9")),
    "SOLUSDT": Bound(Decimal(50), Decimal(50), Decimal(6)),
    "AAPL": Bound(Decimal(100), Decimal(100), Decimal(20)),
    "SPY": Bound(Decimal(10), Decimal(10), Decimal(10)),
}
"""Tight enough that orders are denied now and then; the last is for racing one limit."""

SMALLEST = {
    "BTCUSDT": ("0.01", "0.00001"),
    "ETHUSDT": ("0.05", "0.0001"),
    "SOLUSDT": ("1", "0.001"),
    "AAPL": ("1", "1"),
}


Outside = Callable[[], tuple[dict[str, AtVenue], list[Execution]]]
"""The record of a venue outside the suite."""


WAITS = {"LIVE_GATEWAY_MARKET_WAIT_S": "1"}
"""A market order that finds nobody to trade with is over sooner than usual, so that a loop comes to rest."""


class Stage:
    """One suite in its own folder and on its own ports."""

    names: tuple[str, ...] = SERVICES
    """The services that have to be ready."""

    accounts: tuple[str, ...] = ()
    """The accounts of every loop; each has its own when there are none."""

    outside: Outside | None = None

    bounds: Mapping[str, Bound] = BOUNDS
    """What an account may do at most."""

    symbols: tuple[str, ...] = tuple(SMALLEST)
    """What is traded here: the last for groups, the one before near the market."""

    def __init__(self, var: Path, environment: Mapping[str, str] | None = None, *, valkey_port: int = 0) -> None:
        self.var = var
        config = var / "config"
        write_config(config, self.bounds)
        self.suite = Suite(var, {"TRADE2026_CONFIG": str(config), **WAITS, **(environment or {})}, _offset())
        self.offset = self.suite.offset
        # Servers that are not the suite's own know no users.
        self.known: Mapping[str, str] = {} if valkey_port else self.suite.known()
        valkey = Redis(port=valkey_port, socket_timeout=10) if valkey_port else self.suite.valkey()
        self.records = Records(valkey, var / "tape" / "tape.db")
        self.samples: list[Sample] = []
        self.trades: list[Trade] = []

    def port(self, name: str) -> int:
        ports = {"nats": NATS_PORT, "valkey": VALKEY_PORT, **{entry.name: entry.port for entry in ROSTER}}
        return ports[name] + self.offset

    # What runs.

    def row(self, name: str) -> state.Row | None:
        running = state.read(self.var / "run")
        return next((row for row in running.services if row.service == name), None) if running else None

    def pid(self, name: str) -> int:
        """The process of that name, once it is ready."""
        if name == "supervisor":
            running = state.read(self.var / "run")
            assert running is not None
            return running.pid
        row = self.row(name)
        assert row is not None and row.pid is not None, f"{name} does not run: {row}"  # noqa: PT018
        return row.pid

    def is_ready(self, name: str, *, after: int = 0) -> bool:
        """Whether the supervisor says so, of a process other than `after`."""
        row = self.row(name)
        return row is not None and row.state == state.State.READY and row.pid != after

    async def answers(self, name: str) -> bool:
        """Whether the service says that it is ready."""
        try:
            await get(self.port(name), "/readyz", 1.0)
        except Unanswered:
            return False
        return True

    async def all_ready(self) -> bool:
        servers = [name for name in SERVERS if self.row(name) is not None]
        if not all(self.is_ready(name) for name in (*servers, *self.names)):
            return False
        return all(await asyncio.gather(*(self.answers(name) for name in self.names)))

    # What a fault may do.

    def signal(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal a process, by default as a crash; its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill_all(self, rng: Random) -> None:
        """Everything at once, the supervisor too, in any order."""
        running = state.read(self.var / "run")
        assert running is not None, "nothing ever ran"
        pids = [running.pid, *(row.pid for row in running.services if row.pid is not None)]
        rng.shuffle(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # Its life.

    async def up(self) -> None:
        """Start it; returns once every service is ready and the simulated market quotes."""
        await asyncio.to_thread(self.suite.up)
        await until(self.all_ready, "every service to be ready")
        await until(self.quoted, "the simulated market to quote")

    async def quoted(self) -> bool:
        """Look where the market is; False when nobody says."""
        try:
            tickers = {one["symbol"]: one for one in await get(self.port("gateway"), "/tickers")}
        except Unanswered:
            return False
        if not all(tickers.get(symbol, {}).get("ask") for symbol in SMALLEST):
            return False
        self.trades = [
            Trade(symbol, Decimal(str(tickers[symbol]["ask"])), *map(Decimal, SMALLEST[symbol]))
            for symbol in self.symbols
        ]
        return True

    async def down(self) -> None:
        """At once: what has been broken this often need not be ended in order."""
        self.records.close()
        with contextlib.suppress(AssertionError, OSError):
            self.kill_all(Random(0))
        await asyncio.to_thread(self.suite.down)

    def sample(self) -> None:
        """Note what every service has in use."""
        for name in SERVICES:
            row = self.row(name)
            if row is not None and row.pid is not None:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(row.pid)
                    self.samples.append(Sample(name, process.memory_info().rss, process.num_fds()))


def _offset() -> int:
    """One at which NATS's monitor has a free port, too."""
    while is_open(NATS_MONITOR_PORT + (offset := free_offset())):
        pass
    return offset


def write_config(config: Path, bounds: Mapping[str, Bound]) -> None:
    """The project's own configuration, with the limits that the checks know."""
    config.mkdir(parents=True, exist_ok=True)
    for path in (CHECKOUT / "config").glob("*.yaml"):
        (config / path.name).write_text(path.read_text())
    risk = yaml.safe_load((config / "risk.yaml").read_text())
    for symbol, bound in bounds.items():
        risk["limits"][f"account.*.symbol.{symbol}"] = {
            "order_quantity_max": str(bound.order_max),
            "order_notional_max": "1000000",
            "long_quantity_max": str(bound.long_max),
            "short_quantity_max": str(bound.short_max),
        }
    (config / "risk.yaml").write_text(yaml.safe_dump(risk))
