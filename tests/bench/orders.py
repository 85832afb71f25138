"""The order path: POST /orders at the oms's own door, each order risk-checked, fsynced, routed and paper-filled."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from typing import Any

import psutil

from tests.bench.load import Connections, Load, Send, open_loop, saturate
from tests.journeys.rig import Suite
from tests.servers import wait_until

AT_ONCE = 64
_runs = itertools.count()


def named(what: str, load: Load) -> dict[str, float]:
    """A run's figures by their names."""
    return {
        f"{what}, p50 ms": load.p50_ms,
        f"{what}, p99 ms": load.p99_ms,
        f"{what}, share answered well": load.well,
        f"{what}, per s": load.rate_per_s,
        f"{what}, client's own CPU, µs": load.client_us,
    }


def fleeting(accounts: int) -> Any:
    """Market orders that buy and sell in turn, so that no position grows, over so many accounts."""
    run = next(_runs)

    def body(n: int) -> bytes:
        side = b"BUY" if (n // accounts) % 2 else b"SELL"
        return b'{"account":"bench%d-%d","symbol":"BTCUSDT","side":"%b","quantity":"0.0001"}' % (
            run,
            n % accounts,
            side,
        )

    return body


def resting(n: int) -> bytes:
    """A limit order far below the market."""
    return (
        b'{"account":"rest-%d","symbol":"BTCUSDT","side":"BUY","type":"LIMIT","quantity":"0.0001","price":"50000"}'
        % (n % 100)
    )


async def _sending(suite: Suite, body: Any) -> tuple[Connections, Send]:
    connections = Connections(8099 + suite.offset)
    await connections.open()

    async def send(n: int) -> bool:
        status, _ = await connections.post("/orders", body(n))
        return status == 200

    return connections, send


async def _at(suite: Suite, body: Any, rate_per_s: float, seconds: float) -> Load:
    connections, send = await _sending(suite, body)
    load = await open_loop(send, rate_per_s=rate_per_s, seconds=seconds)
    connections.close()
    return load


async def _saturated(suite: Suite, body: Any, seconds: float) -> Load:
    connections, send = await _sending(suite, body)
    load = await saturate(send, at_once=AT_ONCE, seconds=seconds)
    connections.close()
    return load


def steady(suite: Suite, seconds: float) -> dict[str, float]:
    """1,000 orders a second, and how much memory the three services of the path gained from its middle to its end."""
    half = asyncio.run(_at(suite, fleeting(1), 1000, seconds / 2))
    before = _memory(suite)
    load = asyncio.run(_at(suite, fleeting(1), 1000, seconds / 2))
    grown = {name: (now - before[name]) / 1e6 for name, now in _memory(suite).items()}
    return {
        **named("orders at 1,000/s", load),
        "orders at 1,000/s, first half, p50 ms": half.p50_ms,
        **{f"orders at 1,000/s, {name} grew by, MB": megabytes for name, megabytes in grown.items()},
    }


def _memory(suite: Suite) -> dict[str, float]:
    rows = suite.processes()
    return {name: psutil.Process(rows[name]["pid"]).memory_info().rss for name in ("oms", "risk", "live-gateway")}


def over_accounts(suite: Suite, seconds: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    for accounts in (1, 10, 1000):
        load = asyncio.run(_saturated(suite, fleeting(accounts), seconds))
        figures[f"orders, {accounts} accounts, per s"] = load.rate_per_s
    return figures


def sustained(suite: Suite, seconds: float) -> dict[str, float]:
    return named("orders as fast as they are answered", asyncio.run(_saturated(suite, fleeting(10), seconds)))


def with_resting(suite: Suite, seconds: float, count: int = 10_000) -> dict[str, float]:
    """The same with so many orders resting in other accounts."""
    asyncio.run(_rest(suite, count))
    load = asyncio.run(_saturated(suite, fleeting(10), seconds))
    return {f"orders with {count:,} resting, per s": load.rate_per_s}


async def _rest(suite: Suite, count: int) -> None:
    connections, send = await _sending(suite, resting)
    done = iter(range(count))

    async def one_after_another() -> None:
        for n in done:
            assert await send(n), "a resting order was refused"

    await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))
    connections.close()


def restarted(suite: Suite) -> dict[str, float]:
    """How long the oms is away when it is killed, by the orders it then has."""
    stored = suite.get("/api/oms/stats")["orders_accepted"]
    pid = suite.processes()["oms"]["pid"]
    os.kill(pid, signal.SIGKILL)
    started = time.perf_counter()
    wait_until(lambda: _ready(suite) and suite.processes()["oms"]["pid"] != pid, "the oms to be back", 60)
    return {
        "oms back after kill -9, s": time.perf_counter() - started,
        "oms back after kill -9, orders stored": stored,
        "oms back after kill -9, orders open": suite.get("/api/oms/stats")["orders_open"],
    }


def _ready(suite: Suite) -> bool:
    try:
        return suite.get("/api/oms/readyz")["status"] == "ready"
    except (AssertionError, OSError):
        return False
