"""The sink over the twins and the real SQLite tape: everything heard is on the tape once, or set aside and counted."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from services.sink_ticks.service import wire
from services.sink_ticks.settings import Settings
from services.sink_ticks.store.looks import time_of
from shared.contract import tables
from shared.contract.base import Message
from shared.contract.errors import NotFound, Refused, Unavailable
from shared.contract.market import Bar, Frame, Interval, Quote, Tick
from shared.contract.orders import Fill, Order, OrderEvent, OrderStatus, OrderType, Side, TimeInForce
from shared.contract.records import OrderRecord
from shared.contract.subjects import BAR, FRAME, ORDER_RECORD, QUOTE, TICK, Subject
from shared.contract.tables import TICKS, Table
from shared.contract.ticks import TickColumns
from shared.kit import Heard, Tape, Unheard
from shared.kit.columns import Columns
from shared.kit.fakes import FakeKit, fake_kit
from shared.kit.frames import encode_frame
from shared.kit.service import Batch
from tests.conftest import Closer

T0 = 1_700_000_000_000_000_000
SUBJECTS: dict[type[Message], Subject[Any]] = {
    Tick: TICK,
    Frame: FRAME,
    Quote: QUOTE,
    Bar: BAR,
    OrderRecord: ORDER_RECORD,
}


def heard(*messages: Message, first: int = 1) -> list[Heard[Any]]:
    subjects = [SUBJECTS[type(message)] for message in messages]
    return [
        Heard(subject, message, at, subject.address(message))
        for at, (subject, message) in enumerate(zip(subjects, messages, strict=True), first)
    ]


def tick(trade_id: str = "", at_ns: int = T0) -> Tick:
    return Tick(
        venue="sim",
        symbol="SPY",
        event_ns=at_ns,
        receive_ns=at_ns,
        price=Decimal("100.5"),
        quantity=Decimal(2),
        trade_id=trade_id,
    )


def frame(ids: Sequence[str], first: int = 0) -> Frame:
    count = len(ids)
    columns = TickColumns(
        venue="sim",
        symbols=["SPY", "AAPL"],
        codes=(np.arange(count) % 2).astype(np.int32),
        event_ns=T0 + first + np.arange(count),
        receive_ns=T0 + first + np.arange(count),
        price=100.0 + np.arange(count),
        quantity=np.ones(count),
        side=np.ones(count, np.int8),
        trade_id=ids,
        sequence=np.arange(count),
    )
    return Frame(venue="sim", payload=encode_frame(columns))


def bar(revision: int, close: float) -> Bar:
    return Bar(
        venue="sim",
        symbol="SPY",
        interval=Interval.m1,
        start_ns=T0 // 60_000_000_000 * 60_000_000_000,
        end_ns=T0 // 60_000_000_000 * 60_000_000_000 + 60_000_000_000,
        open=1,
        high=9,
        low=1,
        close=close,
        volume=3,
        vwap=2,
        count=3,
        revision=revision,
    )


QUOTE_ONE_SIDED = Quote(
    venue="sim",
    symbol="SPY",
    event_ns=T0,
    receive_ns=T0 + 5,
    bid=Decimal("99.5"),
    bid_quantity=Decimal(3),
    ask=None,
    ask_quantity=None,
    sequence=7,
)

ORDER = Order(
    order_id="o1",
    account="default",
    client_order_id="c1",
    symbol="SPY",
    side=Side.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal("0.1"),
    price=None,
    time_in_force=TimeInForce.IOC,
    venue="paper",
    status=OrderStatus.ACCEPTED,
    version=3,
    created_ns=T0,
    updated_ns=T0 + 9,
)

A_FILL = Fill(
    fill_id="f1",
    account="default",
    order_id="o1",
    symbol="SPY",
    side=Side.BUY,
    price=Decimal("100.10"),
    quantity=Decimal("0.1"),
    fee=Decimal("0.005"),
    venue="paper",
    maker=False,
    event_ns=T0 + 3,
    committed_ns=T0 + 4,
)


class FlakyTape:
    """The real tape, which can be away for so many appends."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.away = 0
        self.appends = 0

    async def append(self, table: Table, columns: Columns) -> None:
        self.appends += 1
        if self.appends <= self.away:
            raise Unavailable("the tape is away")
        await self._tape.append(table, columns)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tape, name)


class Desk:
    """A sink as the life of a process would drive it."""

    def __init__(self, kit: FakeKit, settings: Settings | None = None) -> None:
        self.kit = kit
        self.tape = FlakyTape(kit.tape)
        kit.__dict__["tape"] = self.tape
        self.service = wire(kit, settings or Settings())
        self.set_aside: Unheard = []

    async def hear(self, *messages: Message, first: int = 1) -> None:
        delivery = heard(*messages, first=first)
        row = next(row for row in self.service.hears if isinstance(row, Batch) and delivery[0].subject in row.subjects)
        self.set_aside += await row.handler(delivery)

    def written(self) -> Any:
        return self.service.stats()["written"]

    async def ask(self, path: str, *args: Any, **query: Any) -> dict[str, Any]:
        return await next(route for route in self.service.serves if route.path == path).handler(*args, **query)

    async def rows(self, table: Table) -> list[dict[str, Any]]:
        return await self.tape.read(table, limit=10_000)


@pytest.fixture
def desk(closing: Closer) -> Desk:
    desk = Desk(fake_kit("sink-ticks"))
    closing(desk.tape.close)
    return desk


async def test_ticks_of_both_kinds_and_quotes_are_written(desk: Desk) -> None:
    await desk.hear(tick("t1"), frame(["a", "b", "c"], first=10), QUOTE_ONE_SIDED)

    ticks = await desk.rows(TICKS)
    assert [(row["symbol"], row["trade_id"], row["price"]) for row in ticks] == [
        ("SPY", "t1", 100.5),
        ("SPY", "a", 100.0),
        ("AAPL", "b", 101.0),
        ("SPY", "c", 102.0),
    ]
    (quote,) = await desk.rows(tables.QUOTES)
    assert (quote["bid"], quote["ask"], quote["ask_quantity"], quote["receive_ns"]) == (99.5, None, None, T0 + 5)
    assert desk.written() == {"ticks": 4, "quotes": 1}


async def test_bars_orders_and_fills_are_written_with_every_digit(desk: Desk) -> None:
    await desk.hear(bar(0, 5))
    event = OrderEvent(account="default", order=ORDER, fill=A_FILL)
    await desk.hear(OrderRecord.decode(event.encode()))

    (written,) = await desk.rows(tables.BARS[Interval.m1])
    assert (written["timestamp"], written["close"], written["count"]) == (bar(0, 5).start_ns, 5.0, 3)
    (order,) = await desk.rows(tables.ORDERS)
    assert (order["timestamp"], order["order_id"], order["version"]) == (T0 + 9, "o1", 3)
    assert (order["quantity"], order["price"], order["status"]) == ("0.1", None, "ACCEPTED")
    (fill,) = await desk.rows(tables.FILLS)
    assert (fill["price"], fill["fee"], fill["fill_id"]) == ("100.1", "0.005", "f1")


async def test_a_corrected_bar_replaces_the_one_before_it(desk: Desk) -> None:
    await desk.hear(bar(0, 5), bar(1, 6), bar(2, 7))

    assert [(row["revision"], row["close"]) for row in await desk.rows(tables.BARS[Interval.m1])] == [(2, 7.0)]


async def test_what_comes_again_is_on_the_tape_once(desk: Desk) -> None:
    for _ in range(2):
        await desk.hear(tick(), tick("t1"), frame(["", "", "x"], first=10), first=5)

    ids = [row["trade_id"] for row in await desk.rows(TICKS)]
    assert sorted(ids) == ["5", "7.0", "7.1", "t1", "x"]


async def test_while_the_tape_is_away_nothing_is_acknowledged_counted_or_set_aside(desk: Desk) -> None:
    delivery = (tick("t1"), Frame(venue="sim", payload=b"noise"), QUOTE_ONE_SIDED)
    desk.tape.away = 2
    for _ in range(2):
        with pytest.raises(Unavailable):
            await desk.hear(*delivery)
    assert desk.set_aside == []
    assert desk.written() == {}

    await desk.hear(*delivery)

    assert (len(desk.set_aside), len(await desk.rows(TICKS))) == (1, 1)
    assert desk.written() == {"ticks": 1, "quotes": 1}


async def test_what_was_produced_is_stored_or_refused_with_the_reason_and_set_aside(desk: Desk) -> None:
    produced = [tick(f"t{n}") for n in range(5)]
    await desk.hear(*produced, tick("far", 2**63 - 1), Frame(venue="sim", payload=b"noise"))

    stored = (await desk.ask("/count/{table}", "ticks"))["count"]
    assert desk.written() == {"ticks": 5}
    assert [one.sequence for one, _ in desk.set_aside] == [6, 7]
    assert stored + len(desk.set_aside) == 7


async def test_many_rows_are_written_in_several_goes(closing: Closer) -> None:
    desk = Desk(fake_kit("sink-ticks"), Settings(rows_at_once=1000))
    closing(desk.tape.close)
    await desk.hear(*(frame([f"{n}-{at}" for at in range(300)], first=300 * n) for n in range(10)))

    assert desk.tape.appends == 3
    assert (await desk.ask("/count/{table}", "ticks"))["count"] == 3000


async def test_an_empty_frame_writes_nothing(desk: Desk) -> None:
    await desk.hear(frame([]))

    assert await desk.rows(TICKS) == []


async def test_ticks_are_found_by_symbol_venue_and_time(desk: Desk) -> None:
    await desk.hear(frame([str(n) for n in range(20)]))

    found = await desk.ask(
        "/ticks/{symbol}", "SPY", venue="sim", start=str(T0 + 4), end="2023-11-14T22:13:21Z", limit=3
    )

    assert [row["trade_id"] for row in found["ticks"]] == ["4", "6", "8"]
    assert found["ticks"][0]["timestamp"] == "2023-11-14T22:13:20.000000004Z"
    assert found["ticks"][0]["event_ns"] == str(T0 + 4)
    assert (await desk.ask("/ticks/{symbol}", "SPY", venue="other"))["count"] == 0


async def test_flush_says_what_was_written_and_what_is_unread(desk: Desk) -> None:
    desk.kit.bus.lags["TICKS"] = 3
    await desk.hear(tick("t1"))

    flushed = await desk.ask("/flush")

    assert flushed["unread"] == {"TICKS": 3, "BARS": 0, "ORDERS": 0}
    assert flushed["written"] == {"ticks": 1}


async def test_an_unknown_table_is_not_found_and_the_known_ones_are_named(desk: Desk) -> None:
    with pytest.raises(NotFound, match="ohlcv_1m"):
        await desk.ask("/count/{table}", "prices")


@pytest.mark.parametrize("text", ["yesterday", "2023-11-14", "2023-11-14T22:13:21", "-5", "1" * 30, "1" * 5000, ""])
def test_a_time_that_is_none_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(Refused) as caught:
        time_of(text, "start")

    assert (caught.value.status, caught.value.field) == (422, "start")


def test_a_time_may_be_written_in_two_ways() -> None:
    assert time_of("2023-11-14T22:13:20.000001Z", "start") == time_of(str(T0 + 1000), "start") == T0 + 1000
    assert time_of("9999-12-31T23:59:59Z", "end") == 2**63 - 1
    assert time_of("1600-01-01T00:00:00Z", "start") == 0
    assert time_of(None, "start") is None
