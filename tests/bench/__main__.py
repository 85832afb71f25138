"""`python -m tests.bench`: start a suite of its own, measure it, print one table, write bench.json."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from shared.contract.risk import RiskCheck
from tests.bench.load import Connections, open_loop
from tests.journeys.rig import Suite
from tests.servers import wait_until

TICKS = 2_000_000
SYMBOLS = 200

# Targets are stated where the suite promises a figure; the others are there to be compared from run to run.
TARGETS: dict[str, Callable[[float], bool]] = {
    "start-up, s": lambda value: value <= 5,
    "idle memory of the largest service, MB PSS": lambda value: value <= 35,
}


def make_ticks(path: Path) -> None:
    """A file of ticks of many symbols over ten minutes, from a fixed seed: about 3,300 ticks a second."""
    random = np.random.default_rng(2026)
    codes = random.integers(0, SYMBOLS, TICKS).astype(np.int32)
    names = pa.array([f"SYM{n:03d}" for n in range(SYMBOLS)])
    start = 1_700_000_000_000_000_000
    columns = {
        "symbol": pa.DictionaryArray.from_arrays(pa.array(codes), names),
        "event_ns": pa.array(start + np.sort(random.integers(0, 600_000_000_000, TICKS))),
        "price": pa.array(np.round(100 + np.cumsum(random.normal(0, 0.001, TICKS)), 4)),
        "quantity": pa.array(random.integers(1, 1000, TICKS).astype(np.float64)),
        "trade_id": pa.array(np.arange(TICKS).astype(str)),
    }
    pq.write_table(pa.table(columns), path)


def memory(suite: Suite) -> dict[str, float]:
    """MB PSS by process."""
    return {name: psutil.Process(row["pid"]).memory_full_info().pss / 1e6 for name, row in suite.processes().items()}


async def ticks_to_bars(suite: Suite, path: Path) -> float:
    """Ticks a second from the request to replay until the last bar was heard on NATS."""
    client = await nats.connect(f"nats://127.0.0.1:{4222 + suite.offset}")
    last = [0.0]
    bars = [0]

    async def heard(_message: Any) -> None:
        last[0] = time.perf_counter()
        bars[0] += 1

    await client.subscribe("ohlcv.>", cb=heard)
    await client.flush()
    started = time.perf_counter()
    replay = suite.replay(path, format="parquet", speed="max", venue="bench")
    done = await asyncio.to_thread(suite.await_replay, replay["id"], 300)
    assert done["used_ticks"] == TICKS, done
    seen = -1
    while bars[0] != seen or not seen:
        seen = bars[0]
        await asyncio.sleep(1.5)
    await client.close()
    return TICKS / (last[0] - started)


def ticks_to_tape(suite: Suite, started: float) -> float:
    suite.await_count("ticks", TICKS, 300)
    return TICKS / (time.perf_counter() - started)


async def orders(suite: Suite) -> dict[str, float]:
    """POST /orders at the oms's own door, 200 a second."""
    connections = Connections(8099 + suite.offset)
    await connections.open()

    async def send(n: int) -> bool:
        words = {"account": "bench", "symbol": "BTCUSDT", "side": "BUY" if n % 2 else "SELL", "quantity": "0.001"}
        status, _ = await connections.post("/orders", words)
        return status == 200

    latency = await open_loop(send, rate_per_s=200, seconds=20)
    await connections.close()
    return {"p50": latency.p50_ms, "p99": latency.p99_ms, "well": latency.well}


async def risk_over_http(suite: Suite) -> dict[str, float]:
    connections = Connections(8103 + suite.offset)
    await connections.open()

    async def send(_n: int) -> bool:
        status, _ = await connections.post("/check", {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.001"})
        return status == 200

    latency = await open_loop(send, rate_per_s=200, seconds=10)
    await connections.close()
    return {"p50": latency.p50_ms, "p99": latency.p99_ms, "well": latency.well}


async def risk_over_nats(suite: Suite) -> dict[str, float]:
    client = await nats.connect(f"nats://127.0.0.1:{4222 + suite.offset}")
    check = RiskCheck.model_validate({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.001"}).encode()

    async def send(_n: int) -> bool:
        answer = await client.request("risk.check", check, timeout=5)
        return b'"approved":true' in answer.data

    latency = await open_loop(send, rate_per_s=200, seconds=10)
    await client.close()
    return {"p50": latency.p50_ms, "p99": latency.p99_ms, "well": latency.well}


def measure(suite: Suite, folder: Path) -> dict[str, float]:
    figures: dict[str, float] = {}
    started = time.perf_counter()
    suite.up()
    suite.await_ready()
    figures["start-up, s"] = time.perf_counter() - started
    wait_until(lambda: suite.get("/api/gateway/tickers"), "tickers")
    time.sleep(5)
    for name, megabytes in sorted(memory(suite).items()):
        figures[f"idle memory of {name}, MB PSS"] = megabytes
    figures["idle memory of the largest service, MB PSS"] = max(
        value for name, value in figures.items() if "memory" in name and "server" not in name
    )
    for what, run in (
        ("orders", orders),
        ("risk check over HTTP", risk_over_http),
        ("risk check over NATS", risk_over_nats),
    ):
        outcome = asyncio.run(run(suite))
        figures[f"{what} at 200/s, p50 ms"] = outcome["p50"]
        figures[f"{what} at 200/s, p99 ms"] = outcome["p99"]
        figures[f"{what} at 200/s, share answered well"] = outcome["well"]
    path = folder / "ticks.parquet"
    make_ticks(path)
    started = time.perf_counter()
    figures["ticks/s, replay to bars on NATS"] = asyncio.run(ticks_to_bars(suite, path))
    figures["ticks/s, replay onto the tape"] = ticks_to_tape(suite, started)
    return figures


def show(figures: dict[str, float]) -> None:
    table = Table(title="Trade2026 on this machine")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("target")
    for name, value in figures.items():
        reached = TARGETS[name](value) if name in TARGETS else None
        table.add_row(name, f"{value:,.2f}", {True: "reached", False: "MISSED", None: ""}[reached])
    Console(width=110).print(table)
    Path("bench.json").write_text(json.dumps(figures, indent=1) + "\n")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="trade2026-bench-") as folder:
        suite = Suite(Path(folder) / "var", {})
        try:
            figures = measure(suite, Path(folder))
        finally:
            suite.down()
    show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
