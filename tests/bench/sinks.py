"""Sinks: ticks in frames, as they come out of a stream, into each store, until a SELECT counts them all."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import duckdb
from deltalake import DeltaTable

from services.sink_ticks.core.sheets import Sheet
from services.sink_ticks.settings import Settings
from shared.contract.tables import LAKE_TICKS, TICKS
from shared.kit.frames import decode_frame
from shared.kit.lake import Lake, Span, Where
from shared.kit.questdb_tape import QuestTape
from shared.kit.sqlite_tape import SqliteTape
from shared.kit.tape import Tape
from tests.questdb_server import QuestServer
from tests.servers import wait_until
from tests.services.sink_ticks.alone import alone, frame

ROWS = 2_000_000
FRAME_ROWS = 4096
SETTINGS = Settings()


def measure() -> dict[str, float]:
    """Rows a second, store by store, and then of the whole sink with both of its stores at once."""
    frames = [frame(first, FRAME_ROWS) for first in range(0, ROWS, FRAME_ROWS)]
    runs: dict[str, Callable[[Path], Awaitable[float]]] = {
        "rows/s into SQLite": lambda folder: into_sqlite(frames, folder),
        "rows/s into Delta": lambda folder: into_delta(frames, folder),
        "rows/s through the sink, SQLite and Delta at once": lambda folder: through_the_sink(frames, folder),
    }
    if jar := os.environ.get("TRADE2026_QUESTDB_JAR"):
        runs["rows/s into QuestDB"] = lambda folder: into_questdb(frames, jar, folder)
    figures: dict[str, float] = {}
    for name, run in runs.items():
        with tempfile.TemporaryDirectory(prefix="trade2026-bench-") as folder:
            figures[name] = asyncio.run(_timed(run, Path(folder)))
    return figures


async def _timed(run: Callable[[Path], Awaitable[float]], folder: Path) -> float:
    return await run(folder)


def sheets(frames: list[bytes], rows_max: int) -> Iterator[tuple[int, Sheet]]:
    """As the sink gathers them, each with the number of its last frame."""
    sheet = Sheet(TICKS)
    for number, payload in enumerate(frames, 1):
        sheet.add_ticks(decode_frame(payload, "sim"), number)
        if len(sheet) >= rows_max or number == len(frames):
            yield number, sheet
            sheet = Sheet(TICKS)


async def into_sqlite(frames: list[bytes], folder: Path) -> float:
    tape = SqliteTape(folder / "tape.db")
    try:
        return await _onto(tape, frames)
    finally:
        await tape.close()


async def into_questdb(frames: list[bytes], jar: str, folder: Path) -> float:
    """After a first run into the same server: what is timed is a server that has been running for a while."""
    server = QuestServer(jar, folder).start()
    tape = QuestTape(server.http, server.pg)
    try:
        await _onto(tape, frames[: len(frames) // 2])
        return await _onto(tape, frames[len(frames) // 2 :])
    finally:
        await tape.close()
        server.kill()


async def _onto(tape: Tape, frames: list[bytes]) -> float:
    before = await tape.count(TICKS)
    rows = len(frames) * FRAME_ROWS
    began_s = time.perf_counter()
    for _, sheet in sheets(frames, SETTINGS.rows_at_once):
        await tape.append(TICKS, sheet.columns())
    await _until(lambda: _counts(tape, before + rows))
    return rows / (time.perf_counter() - began_s)


async def _counts(tape: Tape, rows: int) -> bool:
    return await tape.count(TICKS) == rows


async def into_delta(frames: list[bytes], folder: Path) -> float:
    """From the start of the process that writes on."""
    lake = Lake(Where(str(folder)))
    try:
        began_s, after = time.perf_counter(), 0
        for number, sheet in sheets(frames, SETTINGS.lake_rows):
            after = await lake.append(LAKE_TICKS, sheet.columns(), span=Span("TICKS", after, number))
        rows = len(frames) * FRAME_ROWS
        assert _selected(folder) == rows
        return rows / (time.perf_counter() - began_s)
    finally:
        await lake.close()


def _selected(folder: Path) -> int:
    with duckdb.connect() as connection:
        connection.register("ticks", DeltaTable(folder / "ticks").to_pyarrow_dataset())
        [(count,)] = connection.execute("SELECT count(*) FROM ticks").fetchall()
        return count


async def through_the_sink(frames: list[bytes], folder: Path) -> float:
    """All of them wait in their stream when the sink starts to hear; until both stores have them."""
    with alone(folder) as sink:
        wait_until(sink.ready, "the sink", 60)
        sink.kill()
        await sink.publish(("frames.sim", payload) for payload in frames)
        sink.start()
        began_s, rows = time.perf_counter(), len(frames) * FRAME_ROWS
        await asyncio.to_thread(wait_until, lambda: sink.counted("/count/ticks") == rows, "the tape", 300)
        await asyncio.to_thread(wait_until, lambda: sink.in_lake("ticks") == rows, "the lake", 300)
        return rows / (time.perf_counter() - began_s)


async def _until(true: Callable[[], Awaitable[bool]]) -> None:
    while not await true():
        await asyncio.sleep(0.02)
