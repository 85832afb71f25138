"""Ticks: two million of them from a file, to bars on NATS and onto the tape."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.journeys.rig import Suite

TICKS = 2_000_000
SYMBOLS = 200


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


async def ticks_to_bars(suite: Suite, path: Path) -> float:
    """Ticks a second from the request to replay until the last bar was heard on NATS."""
    client = await suite.nats()
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


def measure(suite: Suite, folder: Path) -> dict[str, float]:
    path = folder / "ticks.parquet"
    make_ticks(path)
    started = time.perf_counter()
    to_bars = asyncio.run(ticks_to_bars(suite, path))
    return {"ticks/s, replay to bars on NATS": to_bars, "ticks/s, replay onto the tape": ticks_to_tape(suite, started)}
