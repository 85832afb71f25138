"""The stores at one moment: real servers that go on being written to while they are saved."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig
from redis import Redis

from shared.cli.backups import valkey as valkey_dumps
from shared.cli.backups.jetstream import JetStream, copied
from shared.cli.backups.questdb import QuestLook, check_empty, put_back
from shared.cli.backups.tape import FileLook
from shared.cli.backups.valkey import LateError, Valkey
from shared.cli.trouble import Trouble
from shared.contract.subjects import STREAMS
from shared.contract.tables import FILLS, QUOTES, TABLES, Table
from shared.kit.columns import Row
from shared.kit.questdb_tape import QuestTape
from shared.kit.tape import Tape
from tests.questdb_server import QuestServer
from tests.servers import Server, nats_server, valkey_server

# Valkey.


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    one = valkey_server(tmp_path / "source").start()
    yield one
    one.stop()


class Writer(threading.Thread):
    """Adds one after the other, and notes how far it has come and how long the longest took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.redis = Redis(port=port)
        self.count = 0
        self.longest_s = 0.0
        self.stopping = False
        self.start()

    def run(self) -> None:
        while not self.stopping:
            began_s = time.monotonic()
            self.redis.rpush("written", self.count)
            self.count += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began_s)

    def stop(self) -> None:
        self.stopping = True
        self.join(10)
        self.redis.close()


async def dumped(port: int, folder: Path) -> Valkey:
    async with Valkey(f"redis://127.0.0.1:{port}") as valkey:
        await valkey.prepare()
        async with valkey.paused():
            await valkey.dump()
        await valkey.receive(folder)
        return valkey


async def test_a_dump_is_what_was_there_in_the_pause_and_a_server_with_a_log_comes_up_with_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(valkey_dumps, "PAUSE_MS", 20_000)
    with closing(Redis(port=server.port)) as redis:
        redis.mset({f"key{n}": "x" * 100 for n in range(20_000)})
    writer = Writer(server.port)
    async with Valkey(f"redis://127.0.0.1:{server.port}") as valkey:
        await valkey.prepare()
        async with valkey.paused():
            before = writer.count
            await valkey.dump()
            within = writer.count
        await valkey.receive(tmp_path / "restored" / "valkey")
    await asyncio.to_thread(writer.stop)
    assert valkey.paused_ms < valkey_dumps.PAUSE_MS
    restored = valkey_server(tmp_path / "restored").start()
    try:
        with closing(Redis(port=restored.port)) as redis:
            there = [int(one) for one in redis.lrange("written", 0, -1)]
            # One that was carried out just before the pause may not have been answered yet.
            assert there == list(range(len(there)))
            assert before <= len(there) <= within + 1
            assert writer.count > within
            assert redis.dbsize() == valkey.keys == 20_001
            redis.set("later", "1")
            restored.kill()
            restored.start()
            assert (redis.dbsize(), redis.get("later")) == (20_002, b"1")
    finally:
        restored.stop()


async def test_an_empty_store_is_saved_and_the_servers_settings_are_left_as_they_were(
    server: Server, tmp_path: Path
) -> None:
    with closing(Redis(port=server.port)) as redis:
        before = redis.config_get()
        assert (await dumped(server.port, tmp_path / "valkey")).keys == 0
        assert redis.config_get() == before


async def test_a_moment_that_took_too_long_is_none(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey_dumps, "PAUSE_MS", 0)
    async with Valkey(f"redis://127.0.0.1:{server.port}") as valkey:
        await valkey.prepare()
        with pytest.raises(LateError):
            async with valkey.paused():
                await valkey.dump()


def test_a_dump_that_is_cut_off_or_lacks_a_key_is_not_trusted(server: Server, tmp_path: Path) -> None:
    with closing(Redis(port=server.port)) as redis:
        redis.mset({f"key{n}": "x" * 100 for n in range(100)})
    asyncio.run(dumped(server.port, tmp_path / "valkey"))
    dump = tmp_path / "valkey" / "appendonlydir" / valkey_dumps.BASE
    with pytest.raises(Trouble, match="100 keys in it, 101 wanted"):
        valkey_dumps.check(dump, 101)
    dump.write_bytes(dump.read_bytes()[:-20])
    with pytest.raises(Trouble, match="cannot be trusted"):
        valkey_dumps.check(dump, 100)


# JetStream.

SOURCES = {
    "ORDERS": "orders.a.new",
    "OPS": "alerts.oms",
    "TICKS": "ticks.sim.SPY",
    "BARS": "ohlcv.1m.SPY",
    "ALT": "alt.norm.x",
}


@pytest.fixture
async def streams(tmp_path: Path) -> AsyncIterator[tuple[str, JetStreamContext]]:
    """A server with every stream, ten messages in each, and a hearer that has finished four of ORDERS."""
    server = nats_server(tmp_path / "source").start()
    url = f"nats://127.0.0.1:{server.port}"
    line = await nats.connect(url)
    js = line.jetstream()
    for stream in STREAMS:
        await js.add_stream(StreamConfig(name=stream.name, subjects=list(stream.subjects), max_bytes=1 << 26))
        for n in range(10):
            await js.publish(SOURCES[stream.name], b"%d" % n, headers={"Nats-Msg-Id": f"{stream.name}-{n}"})
    await hear(js, 4)
    yield url, js
    await line.close()
    server.stop()


async def hear(js: JetStreamContext, count: int) -> list[int]:
    """What the hearer is given next, finished with at once."""
    config = ConsumerConfig(ack_wait=3, max_ack_pending=100, filter_subjects=["orders.*.new"])
    subscription = await js.pull_subscribe("orders.*.new", "hearer", stream="ORDERS", config=config)
    messages = await subscription.fetch(count, timeout=5)
    for message in messages:
        await message.ack_sync()
    await subscription.unsubscribe()
    return [int(message.data) for message in messages]


async def test_streams_are_saved_as_they_were_at_the_moment_however_much_was_said_since(
    streams: tuple[str, JetStreamContext], tmp_path: Path
) -> None:
    url, js = streams
    async with JetStream(url) as source:
        places = await source.places()
        for name, subject in SOURCES.items():
            await js.publish(subject, b"10", headers={"Nats-Msg-Id": f"{name}-10"})
        assert await hear(js, 4) == [4, 5, 6, 7]
        await copied(source, places, tmp_path / "restored" / "nats")
    assert places["ORDERS"].finished == {"hearer": 4}
    restored = nats_server(tmp_path / "restored").start()
    line = await nats.connect(f"nats://127.0.0.1:{restored.port}")
    try:
        again = line.jetstream()
        counts = {name: (await again.stream_info(name)).state.messages for name in SOURCES}
        assert counts == {"ORDERS": 10, "OPS": 10, "TICKS": 11, "BARS": 11, "ALT": 11}
        assert await hear(again, 6) == [4, 5, 6, 7, 8, 9]
        # What is said again is known; what was taken out is not, so that others may be said under its id.
        twice = await again.publish(SOURCES["ORDERS"], b"9", headers={"Nats-Msg-Id": "ORDERS-9"})
        later = await again.publish(SOURCES["ORDERS"], b"other", headers={"Nats-Msg-Id": "ORDERS-10"})
        assert (twice.duplicate, later.duplicate, later.seq) == (True, None, 12)
    finally:
        await line.close()
        restored.stop()


async def test_a_stream_of_many_chunks_is_copied_whole(tmp_path: Path, streams: tuple[str, JetStreamContext]) -> None:
    url, js = streams
    for n in range(400):
        await js.publish("ticks.sim.SPY", b"%06d" % n * 20_000)
    async with JetStream(url) as source:
        places = await source.places()
        await copied(source, places, tmp_path / "restored" / "nats")
    restored = nats_server(tmp_path / "restored").start()
    line = await nats.connect(f"nats://127.0.0.1:{restored.port}")
    try:
        state: Any = (await line.jetstream().stream_info("TICKS")).state
        assert (state.messages, state.bytes) == (places["TICKS"].messages, places["TICKS"].bytes)
    finally:
        await line.close()
        restored.stop()


async def test_a_server_without_the_streams_is_told_in_one_line(tmp_path: Path) -> None:
    server = nats_server(tmp_path).start()
    try:
        async with JetStream(f"nats://127.0.0.1:{server.port}") as source:
            with pytest.raises(Trouble, match=r"refused .*: stream not found"):
                await source.places()
    finally:
        server.stop()


# The tape.


async def test_a_tape_is_saved_as_it_was_when_the_look_was_opened(tmp_path: Path) -> None:
    source = tmp_path / "tape.db"
    async with aclosing(FileLook(source)) as look:
        with closing(sqlite3.connect(source)) as tape:
            tape.execute("PRAGMA journal_mode=WAL")
            tape.execute("CREATE TABLE ticks (n INTEGER PRIMARY KEY, words TEXT)")
            tape.executemany("INSERT INTO ticks VALUES (?, ?)", [(n, "x" * 500) for n in range(2000)])
            tape.commit()
            assert await look.settle() > 0
            await look.pin()
            tape.executemany("INSERT INTO ticks VALUES (?, ?)", [(n, "y" * 500) for n in range(2000, 4000)])
            tape.commit()
            await look.copy(tmp_path / "saved" / "tape.db")
    with closing(sqlite3.connect(tmp_path / "saved" / "tape.db")) as saved:
        assert saved.execute("SELECT count(*), max(n) FROM ticks").fetchone() == (2000, 1999)
        assert saved.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["tape.db"]


# The tape in QuestDB.

T0 = 19_000 * 86_400 * 10**9
WORDS = ("BTCUSDT", "", "null", "ü \"',\n;=\\ ", "x" * 200)
NUMBERS: dict[str, tuple[Any, ...]] = {
    "float": (0.1, -0.0, None, 5e-324, 1.7976931348623157e308),
    "int": (1, 0, None, 2**63 - 1, -(2**63) + 1),
}


def strange(table: Table) -> dict[str, list[Any]]:
    """Rows with everything in them that could be lost on the way."""
    count = len(WORDS)
    words = {name: list(NUMBERS.get(kind, WORDS)) for name, kind in table.columns.items()}
    words |= {name: list(range(count)) for name in table.key if table.columns[name] == "int"}
    return {"timestamp": [T0 - 86_400 * 10**9 * (count - n) + 1 for n in range(count)], **words}


def quotes(count: int, *, bid: float) -> dict[str, Any]:
    times = list(range(T0, T0 + count))
    words = {"symbol": ["SPY"] * count, "venue": ["sim"] * count, "receive_ns": times, "sequence": list(range(count))}
    sides = {"bid": [bid] * count, "bid_quantity": [0.1] * count, "ask": [None] * count, "ask_quantity": [None] * count}
    return {"timestamp": times, **words, **sides}


def rows_of(columns: dict[str, list[Any]]) -> list[Row]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


async def every_row(tape: Tape) -> dict[str, list[Row]]:
    return {table.name: await tape.read(table, limit=100_000) for table in TABLES}


@pytest.fixture(scope="module")
def two_servers(
    questdb_jar: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[QuestServer, QuestServer]]:
    pair = tuple(QuestServer(questdb_jar, tmp_path_factory.mktemp("questdb")).start() for _ in range(2))
    yield pair[0], pair[1]
    for server in pair:
        server.kill()


@asynccontextmanager
async def opened(server: QuestServer) -> AsyncIterator[QuestTape]:
    tape = QuestTape(server.http, server.pg)
    try:
        yield tape
    finally:
        await tape.close()


@pytest.mark.questdb
async def test_a_tape_in_questdb_is_saved_as_it_was_and_is_the_same_in_an_empty_one(
    two_servers: tuple[QuestServer, QuestServer], tmp_path: Path
) -> None:
    source, target = two_servers
    saved = tmp_path / "tape.db"
    async with opened(source) as tape, aclosing(QuestLook(source.pg)) as look:
        for table in TABLES:
            await tape.append(table, strange(table))
        await tape.append(QUOTES, quotes(50_000, bid=1.0))
        assert await look.settle() > 50_000
        before = await every_row(tape)
        await look.pin()
        await tape.append(QUOTES, quotes(60_000, bid=2.0))
        async with asyncio.timeout(20):
            while await tape.count(QUOTES) < 60_000 + len(WORDS):
                await asyncio.sleep(0.02)
        await look.copy(saved)
    assert [len(rows) for rows in before.values()] == [len(WORDS) + 50_000 * (table is QUOTES) for table in TABLES]
    assert before["fills"] == rows_of(strange(FILLS))

    assert await put_back(saved, target.http, target.pg, "once") == []
    async with opened(target) as tape:
        assert await every_row(tape) == before
    with pytest.raises(Trouble, match=r"is not empty \(ticks, quotes, .*\); --replace moves it aside"):
        await check_empty(target.pg, replace=False)
    await check_empty(target.pg, replace=True)

    assert await put_back(saved, target.http, target.pg, "again") == [f"{table.name}_before_again" for table in TABLES]
    async with opened(target) as tape:
        assert await every_row(tape) == before


async def test_a_questdb_that_does_not_answer_is_told_in_one_line() -> None:
    with pytest.raises(Trouble, match=r"QuestDB does not answer at 127\.0\.0\.1:1: "):
        await QuestLook("127.0.0.1:1").settle()
