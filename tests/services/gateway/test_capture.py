"""Captured words: whole files whatever happens, a bound on all of them, and the same ticks when they are read back."""

from __future__ import annotations

import asyncio
import errno
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.mirror import Mirror, Terms
from services.gateway.feeds import capture as captures
from services.gateway.feeds.capture import Capture, Room, Shelf
from services.gateway.feeds.live.words import as_columns
from services.gateway.feeds.venues import DIALECTS
from shared.contract.feeds import Channel, Trade
from shared.contract.ticks import TickColumns
from shared.kit.clock import SystemClock
from shared.kit.frames import encode_frame
from shared.kit.meter import Meter
from tests.services.gateway.files import TRADE
from tests.services.gateway.running import eventually, running_gateway
from tests.services.gateway.venue_recordings import said

DAY_NS = 86_400_000_000_000
NOW_NS = 1_700_000_000_000_000_000


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jsonl.gz"), key=lambda path: path.name)


def words(folder: Path) -> list[bytes]:
    """Every line of every file, in order."""
    return [line for path in files(folder) for line in gzip.decompress(path.read_bytes()).split(b"\n")[:-1]]


class Desk:
    """A capture of Kraken's words."""

    def __init__(self, folder: Path, **room: int) -> None:
        self.folder = folder / "kraken"
        self.meter = Meter("test")
        self.capture = Capture("kraken", folder, Room(**room), SystemClock(), self.meter, structlog.get_logger())

    def count(self, what: str) -> Any:
        return self.meter.totals.get(what, 0)


async def test_what_is_taken_is_written_line_by_line_with_its_time(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.capture.take([b'{"a":1}', b'{"b":\n2}'], [NOW_NS, NOW_NS + 1])
    desk.capture.take([b"\xffgarbage"], [NOW_NS + 2])
    await desk.capture.close()

    (path,) = files(desk.folder)
    assert path == desk.folder / "2023-11-14" / f"{NOW_NS}.jsonl.gz"
    assert words(desk.folder) == [
        b'%d {"a":1}' % NOW_NS,
        b'%d {"b": 2}' % (NOW_NS + 1),
        b"%d \xffgarbage" % (NOW_NS + 2),
    ]
    assert desk.count("captured") == 3


async def test_it_is_on_disk_without_being_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "GATHER_S", 0.001)
    desk = Desk(tmp_path)
    for n in range(3):
        desk.capture.take([b"{}"], [NOW_NS + n])
        await eventually(lambda n=n: desk.count("captured") == n + 1)
        assert len(words(desk.folder)) == n + 1
    await desk.capture.close()
    assert len(files(desk.folder)) == 1


def test_a_file_is_followed_by_another_when_it_is_full_or_the_day_is_over(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Room(file_bytes_max=1024))
    for n in range(6):
        shelf.write(NOW_NS + n, os.urandom(600))
    shelf.write(NOW_NS + DAY_NS, b"x")
    shelf.close()
    assert [path.parent.name for path in files(tmp_path)] == ["2023-11-14"] * 3 + ["2023-11-15"]


def test_beyond_its_bound_the_oldest_files_are_deleted_and_counted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, Room(file_bytes_max=1024, kept_bytes_max=5000))
    for n in range(20):
        shelf.write(NOW_NS + n * DAY_NS // 4, os.urandom(1024))
    shelf.close()
    kept = files(tmp_path)
    assert sum(path.stat().st_size for path in kept) <= 5000
    assert kept[-1].name == f"{NOW_NS + 19 * DAY_NS // 4}.jsonl.gz"
    assert shelf.deleted == 20 - len(kept)
    assert len(list(tmp_path.iterdir())) == len({path.parent for path in kept})


async def test_what_cannot_wait_is_dropped_and_counted_and_the_feed_goes_on(tmp_path: Path) -> None:
    desk = Desk(tmp_path, waiting_bytes_max=100)
    for n in range(50):
        desk.capture.take([b"x" * 10], [NOW_NS + n])
    await desk.capture.close()
    assert (desk.count("captured"), desk.count("capture_dropped")) == (10, 40)
    assert len(words(desk.folder)) == 10


async def test_a_full_disk_loses_what_it_cannot_hold_and_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "GATHER_S", 0.001)
    desk, write, full = Desk(tmp_path), os.write, False

    def half(file: int, given: bytes) -> int:
        if not full:
            return write(file, given)
        write(file, given[: len(given) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(captures.os, "write", half)
    for n in range(9):
        full = n % 3 == 1
        desk.capture.take([b"{}"], [NOW_NS + n])
        await eventually(lambda n=n: desk.count("captured") + desk.count("capture_dropped") == n + 1)
    await desk.capture.close()
    assert (desk.count("captured"), desk.count("capture_dropped")) == (6, 3)
    assert words(desk.folder) == [b"%d {}" % (NOW_NS + n) for n in (0, 2, 3, 5, 6, 8)]


KILLED = """
import asyncio, sys, time
from pathlib import Path
import structlog
from services.gateway.feeds import capture
from shared.kit.clock import SystemClock
from shared.kit.meter import Meter

async def main():
    capture.GATHER_S, meter, n = 0.001, Meter("x"), 0
    taking = capture.Capture("kraken", Path(sys.argv[1]), capture.Room(), SystemClock(), meter, structlog.get_logger())
    while True:
        numbers, n = range(n, n + 100), n + 100
        taking.take([b'{"n":%d}' % at for at in numbers], [1_700_000_000_000_000_000 + at for at in numbers])
        await asyncio.sleep(0)
        print(meter.totals.get("captured", 0), flush=True)

asyncio.run(main())
"""


def test_a_kill_leaves_everything_that_was_written_and_nothing_torn(tmp_path: Path) -> None:
    running = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        written = next(int(line) for line in running.stdout if int(line) > 5000)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait(10)
        running.stdout.close()  # type: ignore[union-attr]
    found = words(tmp_path)
    assert len(found) >= written
    assert found == [b'%d {"n":%d}' % (NOW_NS + n, n) for n in range(len(found))]


# Read back.


def trades_of(venue: str, pairs: list[tuple[int, bytes]]) -> list[Trade]:
    """What is said live of these messages, each heard by itself."""
    dialect = DIALECTS[venue](None)
    mirror, reader = Mirror(Terms(), dialect.depth_max, dialect.checksum), dialect.reader()
    batches = [reader.read([message], [at_ns]) for at_ns, message in pairs]
    for symbol in {trade.symbol for batch in batches for trade in batch.trades}:
        mirror.want(symbol, Channel.TRADES)
    return [trade for batch in batches for trade in mirror.take(batch, 1).trades]


def whole(frames: list[TickColumns]) -> dict[str, list[Any]]:
    """The columns of many frames as one, and symbols by name."""
    rows = [
        (frame.symbols[code], *row)
        for frame in frames
        for code, row in zip(
            frame.codes,
            zip(frame.event_ns, frame.price, frame.quantity, frame.side, frame.trade_id, strict=True),
            strict=True,
        )
    ]
    names = ("symbol", "event_ns", "price", "quantity", "side", "trade_id")
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


async def captured(folder: Path, venue: str, pairs: list[tuple[int, bytes]], **room: int) -> Path:
    log = structlog.get_logger()
    capture = Capture(venue, folder, Room(waiting_bytes_max=1 << 30, **room), SystemClock(), Meter("x"), log)
    for at in range(0, len(pairs), 100):
        capture.take([message for _, message in pairs[at : at + 100]], [at_ns for at_ns, _ in pairs[at : at + 100]])
    await capture.close()
    return folder / venue


async def replayed(folder: Path) -> list[TickColumns]:
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(str(folder), "max")
        assert status.error is None
        return [frame for frame in gateway.frames() if len(frame)]


@pytest.mark.recorded
@pytest.mark.parametrize("venue", ["coinbase", "binance"])
async def test_a_capture_holds_the_ticks_that_were_said_byte_for_byte(
    recorded: Path, tmp_path: Path, venue: str
) -> None:
    if venue == "binance":
        with gzip.open(recorded / "binance" / "spot_btcusdt_20240809.jsonl.gz", "rb") as lines:
            split = (line.rstrip(b"\n").partition(b" ") for line in lines)
            pairs = [(int(at_ns), message) for at_ns, _, message in split]
    else:
        pairs = said(recorded, venue)
    pairs = pairs + pairs[-500:]  # as after a reconnection, some of it comes again
    live = trades_of(venue, pairs)
    folder = await captured(tmp_path, venue, pairs)

    read_back = [(int(at_ns), message) for at_ns, _, message in (line.partition(b" ") for line in words(folder))]
    assert read_back == pairs
    again = trades_of(venue, read_back)
    cuts = [(at, at + 1000) for at in range(0, len(live), 1000)]
    frames, frames_again = (
        [encode_frame(as_columns(venue, some[first:last])) for first, last in cuts] for some in (live, again)
    )
    assert frames == frames_again
    assert len(live) > 90
    said_again = await replayed(folder)
    assert whole(said_again) == whole([as_columns(venue, live)])


MESSAGES = st.lists(
    st.one_of(
        st.integers(1, 40).map(lambda n: TRADE.replace(b"5266583935", str(n).encode())),
        st.binary(max_size=20),
        st.just(b'{"stream":"x","data":{}}'),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(MESSAGES)
def test_whatever_a_venue_says_is_said_alike_by_its_capture(messages: list[bytes]) -> None:
    pairs = [(NOW_NS + n, message) for n, message in enumerate(messages)]
    with running_gateway() as gateway:  # for a folder of its own
        folder = gateway.kit.suite.var
        asyncio.run(captured(folder, "binance", pairs))
        live = trades_of("binance", pairs)
        if live:
            assert whole(asyncio.run(replayed(folder / "binance"))) == whole([as_columns("binance", live)])


async def test_a_day_is_replayed_file_after_file(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "binance", Room(file_bytes_max=1))
    for n in range(5):
        shelf.write(NOW_NS + n, b"%d %b\n" % (NOW_NS + n, TRADE.replace(b"5266583935", str(n + 1).encode())))
    shelf.close()
    assert len(files(tmp_path)) == 5
    frames = await replayed(tmp_path / "binance" / "2023-11-14")
    assert whole(frames)["trade_id"] == ["1", "2", "3", "4", "5"]


async def test_a_folder_without_captures_is_refused(tmp_path: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        answer = await gateway.request("POST", "/replay", json={"path": str(tmp_path), "venue": "binance"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "path")
    assert "holds no captured files" in answer.json()["detail"]
