"""`python -m tests.bench [part …]`: start a suite of its own, measure it, print one table, write bench.json.

Parts: start, risk, orders, feeds, sinks, ticks, peers; all of them when none is named. `--long` runs the steady load
for five minutes and the saturated one for one, as the targets ask; without it they run for a tenth of that.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench import feeds, orders, peers, risk, sinks, ticks
from tests.journeys.rig import Suite
from tests.servers import wait_until

# Targets are stated where the suite promises a figure; the others are there to be compared from run to run.
TARGETS: dict[str, Callable[[float], bool]] = {
    "start-up, s": lambda value: value <= 5,
    "idle memory of the largest service, MB PSS": lambda value: value <= 35,
    "orders at 1,000/s, p50 ms": lambda value: value <= 2,
    "orders at 1,000/s, p99 ms": lambda value: value <= 15,
    "orders at 1,000/s, share answered well": lambda value: value == 1,
    "orders as fast as they are answered, per s": lambda value: value >= 3000,
    "risk checks at 1,000/s, p50 ms": lambda value: value <= 0.3,
    "risk checks at 1,000/s, p99 ms": lambda value: value <= 1,
    "risk checks, 256 under way, per s": lambda value: value >= 20_000,
    "oms back after kill -9, s": lambda value: value <= 3,
    "fold, 1 symbols, M ticks/s of one core": lambda value: value >= 100,
    "fold, 200 symbols, M ticks/s of one core": lambda value: value >= 100,
    "fold, 2,000 symbols, M ticks/s of one core": lambda value: value >= 100,
    "replay to bars on NATS, 1 symbols, ticks/s": lambda value: value >= 1_500_000,
    "replay to bars on NATS, 20 symbols, ticks/s": lambda value: value >= 1_500_000,
    "replay to bars on NATS, 200 symbols, ticks/s": lambda value: value >= 1_500_000,
    "replay to bars on NATS, 2,000 symbols, ticks/s": lambda value: value >= 1_500_000,
    "memory of the normalizer after 2,000 symbols, MB PSS": lambda value: value <= 200,
    "single JSON ticks to bars, ticks/s": lambda value: value >= 60_000,
    "tick to bar at 50,000 ticks/s, 200 symbols, p50 ms": lambda value: value <= 3,
    "tick to bar at 50,000 ticks/s, 200 symbols, p99 ms": lambda value: value <= 15,
    "fold / polars at 200 symbols": lambda value: value >= 20,
    "fold / polars at 1 symbols": lambda value: value >= 20,
    "fold / TimeBarAggregator": lambda value: value >= 20,
    "fold / TickBarAggregator": lambda value: value >= 20,
    "Binance spot to frames and book, as fast as it goes, messages/s": lambda value: value >= 150_000,
    "Binance USD-M to frames and book, as fast as it goes, messages/s": lambda value: value >= 150_000,
    "rows/s into SQLite": lambda value: value >= 200_000,
    "rows/s into Delta": lambda value: value >= 500_000,
    "rows/s into QuestDB": lambda value: value >= 400_000,
}

ALONE: dict[str, Callable[[], dict[str, float]]] = {
    "feeds": feeds.measure,
    "sinks": sinks.measure,
    "ticks": ticks.measure,
    "peers": peers.measure,
}
"""Parts that want no suite."""


def memory(suite: Suite) -> dict[str, float]:
    """MB PSS by process."""
    return {name: psutil.Process(row["pid"]).memory_full_info().pss / 1e6 for name, row in suite.processes().items()}


def idle(suite: Suite, took_s: float) -> dict[str, float]:
    time.sleep(5)
    figures = {"start-up, s": took_s}
    held = memory(suite)
    figures |= {f"idle memory of {name}, MB PSS": megabytes for name, megabytes in sorted(held.items())}
    services = [megabytes for name, megabytes in held.items() if "server" not in name]
    return {**figures, "idle memory of the largest service, MB PSS": max(services)}


def measure(suite: Suite, parts: list[str], long: bool) -> dict[str, float]:
    started = time.perf_counter()
    suite.up()
    suite.await_ready()
    took_s = time.perf_counter() - started
    wait_until(lambda: suite.get("/api/gateway/tickers"), "tickers")
    share = 1 if long else 10
    by_part: dict[str, list[Callable[[], dict[str, float]]]] = {
        "start": [lambda: idle(suite, took_s)],
        "risk": [lambda: risk.steady(suite, 60 / share), lambda: risk.pipelined(suite, 60 / share)],
        "orders": [
            lambda: orders.steady(suite, 300 / share),
            lambda: orders.sustained(suite, 60 / share),
            lambda: orders.over_accounts(suite, 10),
            lambda: orders.with_resting(suite, 10),
            lambda: orders.restarted(suite),
        ],
    }
    figures: dict[str, float] = {}
    for part in parts or by_part:
        for run in by_part[part]:
            figures |= run()
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
    Path("bench.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")


def main(arguments: list[str]) -> int:
    parts = [word for word in arguments if word != "--long"]
    figures: dict[str, float] = {}
    for part, measured in ALONE.items():
        if part in parts or not parts:
            figures |= measured()
    if together := [part for part in parts if part not in ALONE] or not parts:
        with tempfile.TemporaryDirectory(prefix="trade2026-bench-") as folder:
            suite = Suite(Path(folder) / "var", {})
            try:
                figures |= measure(suite, together if parts else [], "--long" in arguments)
            finally:
                suite.down()
    show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
