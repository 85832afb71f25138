"""Ticks to bars: the fold by itself, single ticks, a replayed file, and how long a bar takes; by NATS, Valkey, the
gateway and the normalizer alone, so that no sink competes with them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import numpy as np
import orjson
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from shared.contract.market import Interval
from shared.contract.texts import Texts
from shared.contract.ticks import TickColumns
from shared.domain.bars import INTERVALS, BarFold, warm
from shared.kit.frames import encode_frame
from shared.kit.nats_line import Line
from tests.journeys.copies import Copy, World, await_ready, world
from tests.servers import wait_until

START_NS = 1_700_006_400_000_000_000
SPAN_NS = 600_000_000_000
TICKS = 2_000_000
REPLAYED = 8_000_000
FRAME = 4096
LOOKS_S = 0.1
"""How often it is looked how far a service has come: each look takes a millisecond of its time."""
LONGER = tuple(interval for interval in INTERVALS if interval is not Interval.s1)
"""What the normalizer says where nothing else is asked for."""


def made(count: int, symbols: int, span_ns: int = SPAN_NS, *, ids: bool) -> TickColumns:
    """Ticks of many symbols in the order of their times, from a fixed seed."""
    chance = np.random.default_rng(2026)
    event_ns = START_NS + np.sort(chance.integers(0, span_ns, count))
    return TickColumns(
        venue="bench",
        symbols=tuple(f"SYM{n:04d}" for n in range(symbols)),
        codes=chance.integers(0, symbols, count).astype(np.int32),
        event_ns=event_ns,
        receive_ns=event_ns,
        price=np.round(100 + np.cumsum(chance.normal(0, 0.001, count)), 4),
        quantity=chance.integers(1, 1000, count).astype(np.float64),
        side=chance.integers(-1, 2, count).astype(np.int8),
        trade_id=Texts.of([str(n) for n in range(1, count + 1)]) if ids else Texts.blank(count),
        sequence=np.arange(count),
    )


def cut(ticks: TickColumns, rows: int = FRAME) -> Iterator[TickColumns]:
    """The same in frames."""
    ids = Texts.of(ticks.trade_id)
    for begin in range(0, len(ticks), rows):
        part = slice(begin, min(begin + rows, len(ticks)))
        yield TickColumns(
            venue=ticks.venue,
            symbols=ticks.symbols,
            codes=ticks.codes[part],
            event_ns=ticks.event_ns[part],
            receive_ns=ticks.receive_ns[part],
            price=ticks.price[part],
            quantity=ticks.quantity[part],
            side=ticks.side[part],
            trade_id=Texts(ids.offsets[part.start : part.stop + 1], ids.data),
            sequence=ticks.sequence[part],
        )


# The fold by itself.


def folded(frames: Sequence[TickColumns], intervals: Sequence[Interval] = LONGER) -> float:
    """Millions of ticks in a second of one core's time, the best of five."""
    took_s: list[float] = []
    for _ in range(5):
        fold = BarFold(10_000_000_000, intervals)
        fold.take(next(cut(frames[0], 1)))
        began_s = time.process_time()
        for frame in frames:
            fold.take(frame)
        took_s.append(time.process_time() - began_s)
    return sum(map(len, frames)) / min(took_s) / 1e6


def fold_alone() -> dict[str, float]:
    warm()
    figures: dict[str, float] = {}
    for ids in (False, True):
        for symbols in (1, 20, 200, 2000):
            ticks = made(TICKS, symbols, ids=ids)
            name = f"fold, {symbols:,} symbols{', with ids' if ids else ''}, M ticks/s of one core"
            figures[name] = folded([ticks] if not ids else list(cut(ticks)))
            if not ids:
                name = f"fold, {symbols:,} symbols, in frames of {FRAME:,}, M ticks/s of one core"
                figures[name] = folded(list(cut(ticks)))
    return figures


# With NATS and Valkey.


@contextmanager
def normalizer(folder: Path, *others: str) -> Iterator[tuple[World, Copy]]:
    folder.mkdir()
    with world(folder) as made_world:
        copies = [made_world.start(name) for name in ("normalizer", *others)]
        await_ready(*copies)
        yield made_world, copies[0]


def stats(copy: Copy) -> dict[str, int]:
    return copy.http.get("/stats").json()


def replayed(folder: Path, symbols: int) -> dict[str, float]:
    """Ticks a second from the request to replay a file until the last bar of it was heard on NATS."""
    path = folder / f"ticks{symbols}.parquet"
    ticks = made(REPLAYED, symbols, ids=True)
    columns = {
        "symbol": pa.DictionaryArray.from_arrays(pa.array(ticks.codes), pa.array(ticks.symbols)),
        "event_ns": pa.array(ticks.event_ns),
        "price": pa.array(ticks.price),
        "quantity": pa.array(ticks.quantity),
        "trade_id": pa.array(list(ticks.trade_id)),
    }
    pq.write_table(pa.table(columns), path)
    pq.write_table(pa.table(columns).slice(0, FRAME), path.with_suffix(".first"))
    with normalizer(folder / f"replay{symbols}", "gateway") as (made_world, copy):
        gateway = made_world.copies[1]
        took_s = asyncio.run(_until_the_last_bar(made_world, gateway, copy, path))
        held = psutil.Process(copy.process.pid).memory_full_info().pss / 1e6
    return {
        f"replay to bars on NATS, {symbols:,} symbols, ticks/s": REPLAYED / took_s,
        f"memory of the normalizer after {symbols:,} symbols, MB PSS": held,
    }


async def _until_the_last_bar(made_world: World, gateway: Copy, copy: Copy, path: Path) -> float:
    client = await nats.connect(made_world.url)
    last = [0.0]

    async def heard(_message: Any) -> None:
        last[0] = time.perf_counter()

    # The first that a process reads of a file has it import a second's worth of libraries.
    await _replay(gateway, copy, path.with_suffix(".first"), "first", FRAME)
    await client.subscribe("ohlcv.>", cb=heard)
    await client.flush()
    began = time.perf_counter()
    # The end of the source has the open bars said: the last of them is the one that counts.
    await _replay(gateway, copy, path, "bench", FRAME + REPLAYED)
    seen = 0.0
    while seen != last[0] or not seen:
        seen = last[0]
        await asyncio.sleep(1.0)
    await client.close()
    return last[0] - began


async def _replay(gateway: Copy, copy: Copy, path: Path, venue: str, ticks: int) -> None:
    """Until all of it is folded; so many ticks are by then."""
    words = {"path": str(path), "format": "parquet", "speed": "max", "venue": venue}
    answer = (await asyncio.to_thread(lambda: gateway.http.post("/replay", json=words))).json()
    while gateway.http.get(f"/replays/{answer['id']}").json()["state"] == "RUNNING":
        await asyncio.sleep(LOOKS_S)
    while stats(copy)["ticks"] < ticks:
        await asyncio.sleep(LOOKS_S)


SINGLE = 200_000


def single(folder: Path) -> dict[str, float]:
    """Ticks a second out of the stream, each a message of its own in JSON, until all are folded and their bars said."""
    with normalizer(folder / "single") as (made_world, copy):
        copy.process.send_signal(signal.SIGSTOP)
        asyncio.run(_publish(made_world, SINGLE))
        copy.process.send_signal(signal.SIGCONT)
        wait_until(lambda: stats(copy)["ticks"] > SINGLE // 10, "the normalizer to be at it", 120)
        begun, began = stats(copy)["ticks"], time.perf_counter()
        while stats(copy)["ticks"] < SINGLE:
            time.sleep(LOOKS_S)
        return {"single JSON ticks to bars, ticks/s": (SINGLE - begun) / (time.perf_counter() - began)}


async def _publish(made_world: World, count: int) -> None:
    client = await nats.connect(made_world.url)
    ticks = made(count, 200, ids=True)
    for row, trade_id in enumerate(ticks.trade_id):
        symbol, at_ns = ticks.symbols[ticks.codes[row]], ticks.event_ns[row]
        words = (
            f'{{"venue":"bench","symbol":"{symbol}","event_ns":{at_ns},"receive_ns":{at_ns},'
            f'"price":"{ticks.price[row]}","quantity":"{ticks.quantity[row]:.0f}","side":1,"trade_id":"{trade_id}"}}'
        )
        await client.publish(f"ticks.bench.{symbol}", words.encode())
        if row % 1000 == 999:
            await client.flush()
    while (await client.jetstream().stream_info("TICKS")).state.messages < count:
        await asyncio.sleep(0.05)
    await client.close()


RATE, FRAME_S, LATENCY_S = 50_000, 0.005, 20
FASTER = 60
"""A second of the bench is a minute of its market, so that bars close every second."""


def latency(folder: Path, symbols: int) -> dict[str, float]:
    """At 50,000 ticks a second: from when the frame with the tick that closes a bar was due to be sent, until the bar
    was heard."""
    with normalizer(folder / f"latency{symbols}") as (made_world, _):
        waited_ms = np.array(asyncio.run(_latencies(made_world, symbols))) * 1000
    p50, p99 = np.percentile(waited_ms, [50, 99])
    name = f"tick to bar at {RATE:,} ticks/s, {symbols:,} symbols"
    return {f"{name}, p50 ms": float(p50), f"{name}, p99 ms": float(p99)}


async def _latencies(made_world: World, symbols: int) -> list[float]:
    line = Line("bench", made_world.url, failed=sys.stderr.write, reconnected=int)
    await line.connect()
    ticks = made(RATE * LATENCY_S, symbols, LATENCY_S * FASTER * 1_000_000_000, ids=True)
    frames = [(frame, encode_frame(frame)) for frame in cut(ticks, round(RATE * FRAME_S))]
    due: dict[tuple[str, int], float] = {}
    arrived: list[tuple[float, bytes]] = []
    line.subscribe("ohlcv.1m.*", lambda message: arrived.append((time.perf_counter(), message.data)))
    await line.flush()
    began = time.perf_counter() + 0.5
    minutes = np.full(symbols, START_NS // 60_000_000_000)
    for number, (frame, payload) in enumerate(frames):
        at_s = began + number * FRAME_S
        for code, minute in zip(frame.codes.tolist(), (frame.event_ns // 60_000_000_000).tolist(), strict=True):
            if minute > minutes[code]:
                minutes[code] = minute
                due[frame.symbols[code], minute * 60_000_000_000] = at_s
        await asyncio.sleep(max(0.0, at_s - time.perf_counter()))
        line.publish("frames.bench", payload)
    await asyncio.sleep(2.0)
    await line.close()
    waited: list[float] = []
    for at_s, words in arrived:
        bar = orjson.loads(words)
        if sent_s := due.get((bar["symbol"], int(bar["end_ns"]))):
            waited.append(at_s - sent_s)
    return waited[len(waited) // 10 :]


def measure() -> dict[str, float]:
    figures = fold_alone()
    # The simulated market of the gateway would say ticks of its own.
    os.environ["GATEWAY_SIMULATE"] = "false"
    with tempfile.TemporaryDirectory(prefix="trade2026-bench-") as name:
        folder = Path(name)
        for symbols in (1, 20, 200, 2000):
            figures |= replayed(folder, symbols)
        figures |= single(folder)
        for symbols in (20, 200):
            figures |= latency(folder, symbols)
    return figures


if __name__ == "__main__":  # one piece of it
    with tempfile.TemporaryDirectory(prefix="trade2026-bench-") as scratch:
        os.environ["GATEWAY_SIMULATE"] = "false"
        pieces: dict[str, Any] = {
            "fold": fold_alone,
            "replay": lambda: replayed(Path(scratch), int(sys.argv[2])),
            "single": lambda: single(Path(scratch)),
            "latency": lambda: latency(Path(scratch), int(sys.argv[2])),
        }
        for figure, value in pieces[sys.argv[1]]().items():
            sys.stdout.write(f"{figure}: {value:,.2f}\n")
