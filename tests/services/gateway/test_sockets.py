"""Reading along at `/ws/ticks`: a snapshot, then every change, numbered market by market."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import orjson
import pytest

from services.gateway.core.audience import TICKS_IN_MESSAGE, Audience
from shared.contract.errors import NotFound, Refused
from shared.contract.market import FeedStatus
from shared.contract.ticks import TickColumns
from shared.kit.fakes import FakeClock
from shared.kit.web import to_json
from tests.services.gateway.running import RunningGateway, running_gateway


class Reader:
    """Keeps what it is given, as it would be sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def put(self, message: Any) -> None:
        self.got.append(orjson.loads(to_json(message)))

    async def closed(self) -> None:
        await asyncio.Event().wait()


class Room:
    """A gateway, and those who read along."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self._read = next(row for row in gateway.service.serves if row.path == "/ws/ticks").handler
        self._tasks: list[asyncio.Task[None]] = []

    async def reader(self, symbols: str, **words: Any) -> Reader:
        reader = Reader()
        task = asyncio.create_task(self._read(reader, symbols, **words))
        self._tasks.append(task)
        while not reader.got:
            await asyncio.sleep(0)
            if task.done():
                await task
        return reader

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    clock = FakeClock()
    with running_gateway(clock) as gateway:
        await gateway.step(50)
        room = Room(gateway)
        yield room
        await room.leave()


async def test_a_reader_has_the_markets_as_they_stand_and_then_every_change(room: Room) -> None:
    reader = await room.reader("btc-usdt, ETHUSDT", depth=3)
    await room.gateway.step(30)

    snapshot, *changes = reader.got
    assert snapshot["type"] == "snapshot"
    assert [(one["symbol"], one["sequence"]) for one in snapshot["markets"]] == [("BTCUSDT", 0), ("ETHUSDT", 0)]
    assert [len(one["book"]["bids"]) for one in snapshot["markets"]] == [3, 3]
    assert {one["feed"]["status"] for one in snapshot["markets"]} == {"LIVE"}
    assert snapshot["markets"][0]["ticker"]["bid"]
    for symbol in ("BTCUSDT", "ETHUSDT"):
        mine = [change for change in changes if change["symbol"] == symbol]
        assert [change["sequence"] for change in mine] == list(range(1, len(mine) + 1))
    assert {change["type"] for change in changes} == {"ticks", "quote"}
    tick = next(change for change in changes if change["type"] == "ticks")["ticks"][0]
    assert (tick["venue"], tick["side"] in (1, -1), float(tick["price"]) > 0) == ("sim", True, True)


async def test_a_second_reader_begins_where_the_first_one_is(room: Room) -> None:
    first = await room.reader("SPY")
    await room.gateway.step(30)
    second = await room.reader("SPY", venue="SIM")
    told = len(first.got) - 1
    assert second.got[0]["markets"][0]["sequence"] == told
    await room.gateway.step(30)

    assert first.got[told + 1 :] == second.got[1:]
    assert room.gateway.service.stats()["readers"] == 2
    await room.leave()
    assert room.gateway.service.stats()["readers"] == 0


async def test_a_change_of_status_is_told(room: Room) -> None:
    reader = await room.reader("SPY")
    room.gateway.kit.clock.advance(6)  # type: ignore[attr-defined]
    await room.gateway.retell()

    assert [(one["type"], one["feed"]["status"]) for one in reader.got[1:]] == [("feed", FeedStatus.STALE)]


async def test_books_are_told_when_they_change_to_who_asked_for_them(room: Room) -> None:
    plain, deep, deeper = await room.reader("SPY"), await room.reader("SPY", depth=3), await room.reader("SPY", depth=5)
    elsewhere = await room.reader("BTCUSDT", venue="sim", depth=3)
    await room.gateway.tell_books()
    assert [len(reader.got) for reader in (plain, deep, deeper, elsewhere)] == [1, 1, 1, 1]
    await room.gateway.step(30)
    await room.gateway.tell_books()
    await room.gateway.tell_books()

    assert {message["type"] for message in plain.got[1:]} == {"ticks", "quote"}
    for reader, depth in ((deep, 3), (deeper, 5)):
        assert [message for message in reader.got[1:] if message["type"] != "book"] == plain.got[1:]
        (told,) = [message for message in reader.got if message["type"] == "book"]
        assert told == reader.got[-1]
        assert (told["venue"], told["symbol"], told["sequence"]) == ("sim", "SPY", plain.got[-1]["sequence"])
        assert len(told["book"]["bids"]) == len(told["book"]["asks"]) == depth
        shown = (await room.gateway.request("GET", "/book/SPY", params={"depth": depth})).json()
        assert (told["book"]["bids"], told["book"]["asks"]) == (shown["bids"], shown["asks"])
    assert elsewhere.got[-1]["book"]["symbol"] == "BTCUSDT"


@pytest.mark.parametrize("symbols", ["", " , ", ",".join(f"X{n}" for n in range(201))])
async def test_an_empty_question_is_refused_with_an_example(room: Room, symbols: str) -> None:
    with pytest.raises(Refused, match=r"\?symbols=BTCUSDT,ETHUSDT"):
        await room.reader(symbols)


async def test_what_is_not_known_is_named(room: Room) -> None:
    with pytest.raises(NotFound, match="symbol NOPE is not known here; GET /symbols"):
        await room.reader("SPY,NOPE")
    with pytest.raises(NotFound, match="SPY is not known at binance, but at sim"):
        await room.reader("SPY", venue="binance")
    with pytest.raises(Refused, match="depth: must be between 0 and 100, not 101"):
        await room.reader("SPY", depth=101)
    answer = await room.gateway.request("GET", "/book/SPY", params={"venue": "binance"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (404, "venue")


async def test_many_ticks_come_in_messages_that_a_reader_can_take() -> None:
    audience, reader, count = Audience(), Reader(), 2 * TICKS_IN_MESSAGE + 1
    reading = asyncio.create_task(audience.read(reader, ["X"], None, 0, dict))
    await asyncio.sleep(0)
    ones = np.ones(count)
    columns = TickColumns(
        venue="sim",
        symbols=("Y", "X"),
        codes=np.ones(count, np.int32),
        event_ns=np.arange(1, count + 1),
        receive_ns=np.arange(1, count + 1),
        price=ones * 1e-7,
        quantity=ones,
        side=np.ones(count, np.int8),
        trade_id=[str(n) for n in range(count)],
        sequence=np.arange(count),
    )
    audience.ticks(columns)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    sizes = [len(message["ticks"]) for message in reader.got[1:]]
    assert sizes == [TICKS_IN_MESSAGE, TICKS_IN_MESSAGE, 1]
    ticks = [tick for message in reader.got[1:] for tick in message["ticks"]]
    assert [tick["trade_id"] for tick in ticks] == [str(n) for n in range(count)]
    assert (ticks[0]["price"], ticks[0]["event_ns"], ticks[0]["event_at"]) == (
        "0.0000001",
        "1",
        "1970-01-01T00:00:00.000000001Z",
    )
