"""What was published is stored or set aside, each message once, on the tape and in the lake, whatever is killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.chaos.waiting import until
from tests.questdb_server import QuestServer
from tests.seaweedfs_server import Seaweed
from tests.servers import wait_until
from tests.services.sink_ticks.alone import T0, Alone, alone, frame

pytestmark = pytest.mark.suite

TURNS = 40
ROWS = 500
MANY = 400_000
AT_ONCE = 50_000
"""The lake takes so many ticks in one commit; at the most twice as many may wait for it."""


def turn(number: int) -> Iterator[tuple[str, bytes]]:
    """Ticks of both kinds, a quote and a bar, and among them one of each kind of nonsense, which nobody says twice."""
    at_ns = T0 + number * 1_000_000_000
    words = {"venue": "sim", "symbol": "SPY", "event_ns": at_ns, "receive_ns": at_ns}
    tick = {**words, "price": "1.5", "quantity": "2", "trade_id": f"one-{number}"}
    yield "frames.sim", frame(number * ROWS, ROWS)
    yield "ticks.sim.SPY", orjson.dumps(tick)
    yield "frames.sim", b"noise %d" % number
    yield "ticks.sim.SPY", b'{"price": %d' % number
    yield "ticks.sim.SPY", orjson.dumps({**tick, "symbol": "AAPL"})
    yield "ticks.sim.SPY", orjson.dumps({**tick, "event_ns": 2**63 - 1})
    sides = {"bid": "1.4", "bid_quantity": "1", "ask": "1.6", "ask_quantity": "1", "sequence": number}
    yield "quotes.sim.SPY", orjson.dumps({**words, **sides})
    prices = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 1.5)
    start_ns = at_ns // 10**9 * 10**9
    bar = {**prices, "venue": "sim", "symbol": "SPY", "interval": "1s", "count": 1, "revision": 0}
    yield "ohlcv.1s.SPY", b'{"count": %d}' % number
    yield "ohlcv.1s.SPY", orjson.dumps({**bar, "start_ns": str(start_ns), "end_ns": str(start_ns + 10**9)})


BAD = {"ticks.sim.SPY": 3, "frames.sim": 1, "ohlcv.1s.SPY": 1}
"""In a turn."""


async def test_each_message_is_stored_or_set_aside_once_though_the_sink_is_killed_again_and_again(
    tmp_path: Path,
) -> None:
    with alone(tmp_path, SINK_TICKS_LAKE_COMMIT_S="0.3", SINK_TICKS_LAKE_ROWS="2000") as sink:
        wait_until(sink.ready, "the sink", 30)
        for number in range(TURNS):
            await sink.publish(turn(number))
            if number % 10 == 5:
                await asyncio.to_thread(sink.kill)
            if number % 10 == 8:
                await asyncio.to_thread(sink.start)

        await asyncio.to_thread(_wait_for_all, sink, TURNS * (ROWS + 1))
        for table, count in (("quotes", TURNS), ("ohlcv_1s", TURNS)):
            await until(lambda t=table, c=count: sink.counted(f"/count/{t}") == c, table, 120)
        for table, count in (("quotes", TURNS), ("bars", TURNS)):
            await until(lambda t=table, c=count: sink.in_lake(t) == c, table, 120)

        async def aside() -> Counter[str]:
            """Each once, though what is parked again after two minutes is there twice."""
            return Counter(subject for subject, _ in {(one["subject"], one["payload"]) for one in await sink.parked()})

        expected = Counter({subject: TURNS * count for subject, count in BAD.items()})
        await until(lambda: _is(aside(), expected), "every bad message to be set aside", 120)
        assert await aside() == expected
        assert set(sink.metrics("messages_lost_total").values()) == {0.0}
        assert sink.counted("/count/ticks") == sink.in_lake("ticks") == TURNS * (ROWS + 1)


async def test_what_it_counts_is_what_became_of_each_message(tmp_path: Path) -> None:
    with alone(tmp_path, SINK_TICKS_LAKE_COMMIT_S="0.3") as sink:
        wait_until(sink.ready, "the sink", 30)
        for number in range(3):
            await sink.publish(turn(number))

        tables = {"ticks": 3 * (ROWS + 1), "quotes": 3}
        written = ({**tables, "ohlcv_1s": 3}, {**tables, "bars": 3})
        unreadable = 3 * (sum(BAD.values()) - 1)
        refused = {
            **{(store, "unreadable"): unreadable for store in ("tape", "lake")},
            **{(store, "time_out_of_range"): 3 for store in ("tape", "lake")},
        }
        await until(lambda: _written(sink) == written and _aside(sink) == refused, "every message to be counted", 120)


def _written(sink: Alone) -> tuple[dict[str, int], dict[str, int]]:
    stats = sink.get("/stats")
    return stats["written"], stats["lake_written"]


def _aside(sink: Alone) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for labels, count in sink.metrics("messages_set_aside_total").items():
        found["lake" if "-lake" in labels else "tape", labels.split('why="')[1][:-2]] += int(count)
    return found


async def _is(found: Awaitable[object], wanted: object) -> bool:
    return await found == wanted


def _wait_for_all(sink: Alone, ticks: int) -> None:
    wait_until(lambda: sink.counted("/count/ticks") == ticks, "every tick on the tape", 300)
    wait_until(lambda: sink.in_lake("ticks") == ticks, "every tick in the lake", 300)


@pytest.mark.questdb
async def test_while_the_tape_is_away_the_lake_goes_on_and_nothing_is_lost(questdb_jar: str, tmp_path: Path) -> None:
    server = QuestServer(questdb_jar, tmp_path / "questdb").start()
    words = {"TRADE2026_QUESTDB_HTTP": server.http, "TRADE2026_QUESTDB_PG": server.pg}
    try:
        with alone(tmp_path, SINK_TICKS_LAKE_ROWS=str(AT_ONCE), **words) as sink:
            wait_until(sink.ready, "the sink", 30)
            server.kill()
            await _many_ticks(sink, lambda: sink.in_lake("ticks"))
            assert not sink.ready()
            server.start()
            await asyncio.to_thread(_wait_for_all, sink, MANY)
            wait_until(sink.ready, "the sink", 30)
    finally:
        server.kill()


async def test_while_the_lake_is_away_the_tape_goes_on_and_nothing_is_lost(tmp_path: Path) -> None:
    server = Seaweed(tmp_path / "seaweedfs").start()
    there = server.suite(tmp_path)
    named = {"LAKE": there.lake, "LAKE_ENDPOINT": there.lake_endpoint, "SECRETS": str(there.secrets)}
    words = {f"TRADE2026_{name}": word for name, word in named.items()}
    try:
        with alone(tmp_path, SINK_TICKS_LAKE_ROWS=str(AT_ONCE), **words) as sink:
            wait_until(sink.ready, "the sink", 30)
            server.kill()
            await _many_ticks(sink, lambda: sink.counted("/count/ticks"))
            assert sink.get("/stats")["lake_waiting"]["TICKS"] < 3 * AT_ONCE
            server.start()
            await asyncio.to_thread(_wait_for_all, sink, MANY)
    finally:
        server.kill()


async def _many_ticks(sink: Alone, other: object) -> None:
    """At once, with a look at what the sink holds in memory until the store that is there has them all."""
    publishing = asyncio.create_task(sink.publish(("frames.sim", frame(first, 500)) for first in range(0, MANY, 500)))
    largest = 0.0
    assert callable(other)

    def has_all() -> bool:
        nonlocal largest
        largest = max(largest, sink.megabytes())
        return other() == MANY

    await publishing
    await asyncio.to_thread(wait_until, has_all, "the other store to have every tick", 300)
    assert largest < 700, f"{largest:.0f} MB"
