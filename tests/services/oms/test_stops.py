"""Stops that are held here until the market reaches them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.oms.core.stops import Stops, traded
from shared.contract import subjects
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Tick
from shared.contract.orders import Order, OrderStatus, OrderType, Side
from shared.contract.ticks import TickColumns
from shared.kit.fakes import deliver, fake_kit
from tests.services.oms.running import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


async def test_a_stop_is_reserved_and_held_and_the_venue_hears_nothing_of_it(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")

    assert (stop.status, stop.held) == (OrderStatus.ACCEPTED, True)
    assert desk.reserved() == {stop.order_id: 3}
    desk.advance(60)
    await desk.each("ask_again")
    assert await desk.told(subjects.ORDER_NEW) == []
    assert await desk.status(stop) == "ACCEPTED"


async def test_a_stop_to_buy_goes_out_as_a_market_order_when_the_ask_reaches_it(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    await desk.market("109.98", "109.99")
    assert await desk.told(subjects.ORDER_NEW) == []

    await desk.market("109.99", "110")
    await desk.market("111", "112")

    (route,) = await desk.said(subjects.ORDER_NEW)
    assert (route.order_id, route.order_type, route.price) == (stop.order_id, "MARKET", None)
    after = await desk.now(stop)
    assert (after.status, after.held, after.version) == (OrderStatus.ROUTED, False, 2)
    assert after.triggered_ns
    await desk.report(stop, "FILLED", ("e1", "3", "111"))
    assert (await desk.status(stop), desk.reserved()) == ("FILLED", {})


async def test_a_stop_limit_to_sell_goes_out_as_a_limit_order_when_the_bid_reaches_it(desk: Desk) -> None:
    await desk.submit(side="SELL", type="STOP_LIMIT", stop_price="90", price="89")
    await desk.market("90.01", "91")
    await desk.market("90", "91")

    (route,) = await desk.said(subjects.ORDER_NEW)
    assert (route.order_type, route.price) == ("LIMIT", 89)


async def test_a_crossed_or_one_sided_quote_reaches_only_what_it_speaks_of(desk: Desk) -> None:
    await desk.submit("buy", type="STOP", stop_price="110")
    await desk.submit("sell", side="SELL", type="STOP", stop_price="90")

    await desk.market("120", "80")
    assert await desk.told(subjects.ORDER_NEW) == []
    await desk.market("80", None)
    assert [route.side for route in await desk.said(subjects.ORDER_NEW)] == ["SELL"]


async def test_a_stop_that_the_market_has_reached_already_goes_out_at_once(desk: Desk) -> None:
    await desk.market("111", "112")
    await desk.submit(type="STOP", stop_price="110")

    assert len(await desk.said(subjects.ORDER_NEW)) == 1


async def test_after_a_restart_a_stop_is_reached_by_the_first_quote_and_once(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    desk = await desk.restarted()
    await desk.market("111", "112")
    await desk.market("111", "112")
    desk = await desk.restarted()
    await desk.market("111", "112")

    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]
    assert desk.reserved() == {stop.order_id: 3}


async def test_a_stop_whose_going_out_could_not_be_committed_goes_out_after_recovery(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    desk.kit.valkey.away = True
    with pytest.raises(Unavailable):
        await desk.market("111", "112")
    desk.kit.valkey.away = False
    await desk.kit.journal.recall()
    await desk.service.recovers()
    desk.kit.journal.mend()
    await desk.market("111", "112")

    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]


async def test_a_cancelled_stop_is_over_at_once_and_never_goes_out(desk: Desk) -> None:
    stop = await desk.order(type="STOP", stop_price="110")
    gone = await desk.cancel(stop.order_id)
    await desk.market("111", "112")

    assert (gone.status, gone.reason) == (OrderStatus.CANCELED, "cancelled on request")
    assert desk.reserved() == {}
    assert await desk.said(subjects.ORDER_NEW) == await desk.said(subjects.ORDER_CANCEL) == []


async def test_a_trailing_stop_follows_the_bid_up_and_is_reached_on_the_way_down(desk: Desk) -> None:
    await desk.market("100", "101")
    stop = await desk.order(side="SELL", type="TRAILING_STOP", trail="5")
    assert stop.stop_price == 95

    await desk.market("110", "111")
    await desk.market("106", "107")
    assert (await desk.now(stop)).stop_price == 95, "written down once a second"
    await desk.each("follow_market")
    assert (await desk.now(stop)).stop_price == 105
    await desk.market("105", "106")

    after = await desk.now(stop)
    assert (after.status, after.stop_price) == (OrderStatus.ROUTED, 105)
    assert [route.order_type for route in await desk.said(subjects.ORDER_NEW)] == ["MARKET"]


async def test_a_trailing_stop_to_buy_follows_the_ask_down_by_its_share(desk: Desk) -> None:
    await desk.market("199", "200")
    stop = await desk.order(type="TRAILING_STOP", trail="10%")
    assert stop.stop_price == 220
    await desk.market("99", "100")
    await desk.market("108", "109.99")
    assert await desk.told(subjects.ORDER_NEW) == []
    await desk.market("108", "110")

    assert (await desk.now(stop)).stop_price == 110


async def test_where_a_trailing_stop_has_followed_to_outlives_a_restart(desk: Desk) -> None:
    stop = await desk.order(side="SELL", type="TRAILING_STOP", trail="5%")
    assert stop.stop_price is None, "there is no market yet"
    await desk.market("100", "101")
    await desk.market("200", "201")
    await desk.each("follow_market")
    versions = (await desk.now(stop)).version
    await desk.each("follow_market")
    assert (await desk.now(stop)).version == versions, "it stands where it stood"

    desk = await desk.restarted()
    await desk.market("191", "192")
    assert await desk.told(subjects.ORDER_NEW) == []
    await desk.market("190", "191")
    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]


async def test_a_stop_that_only_reduces_is_cut_to_what_is_left_to_reduce(desk: Desk) -> None:
    held = await desk.order("long", quantity="2")
    await desk.report(held, "FILLED", ("e1", "2", "100"))
    stop = await desk.order("stop", side="SELL", type="STOP", stop_price="90", quantity="3", reduce_only=True)
    await desk.market("89", "90")

    assert [route.quantity for route in await desk.said(subjects.ORDER_NEW)] == [2, 2]
    assert ((await desk.now(stop)).quantity, desk.reserved()) == (2, {stop.order_id: 2})


async def test_a_stop_that_has_nothing_left_to_reduce_is_denied_when_reached(desk: Desk) -> None:
    stop = await desk.order(side="SELL", type="STOP", stop_price="90", reduce_only=True)
    await desk.market("89", "90")

    after = await desk.now(stop)
    assert (after.status, after.reason[:16]) == (OrderStatus.DENIED, "RISK_REDUCE_ONLY")
    assert (await desk.said(subjects.ORDER_NEW), desk.reserved()) == ([], {})


async def test_a_trail_of_the_whole_price_is_refused(desk: Desk) -> None:
    with pytest.raises(Refused, match="less than 100%"):
        await desk.submit(type="TRAILING_STOP", trail="100%")


async def test_a_trail_longer_than_the_price_waits_for_a_higher_one(desk: Desk) -> None:
    await desk.market("100", "101")
    stop = await desk.order(side="SELL", type="TRAILING_STOP", trail="150")
    assert stop.stop_price is None
    await desk.market("200", "201")
    await desk.each("follow_market")

    assert (await desk.now(stop)).stop_price == 50


async def test_stops_can_be_reached_by_trades_instead_of_quotes() -> None:
    desk = Desk(fake_kit("oms"), stop_trigger="TRADE")
    stop = await desk.order(side="SELL", type="STOP", stop_price="90")
    for price in ("91", "90"):
        assert await desk.told(subjects.ORDER_NEW) == []
        tick = {"venue": "sim", "symbol": "BTCUSDT", "timestamp": 1, "price": price, "quantity": "1"}
        await deliver(desk.service, subjects.TICK, Tick.model_validate(tick))

    assert await desk.told(subjects.ORDER_NEW) == [stop.order_id]


async def test_a_day_order_expires_at_the_end_of_its_session_and_a_held_one_at_once(desk: Desk) -> None:
    day = await desk.order("day", type="STOP", stop_price="110", time_in_force="DAY")
    gtd = await desk.order("gtd", time_in_force="GTD", expire_at="2023-11-14T23:00:00Z", type="LIMIT", price="90")
    assert day.expire_ns == 1_700_006_400_000_000_000, "midnight, UTC"
    await desk.each("expire")
    assert await desk.status(day) == "ACCEPTED"

    desk = await desk.restarted()
    desk.advance(86_400)
    await desk.each("expire")
    await desk.each("expire")

    assert (await desk.status(day), (await desk.now(day)).reason) == ("EXPIRED", "its day is over")
    assert (await desk.status(gtd), await desk.told(subjects.ORDER_CANCEL)) == ("PENDING_CANCEL", [gtd.order_id])
    await desk.report(gtd, "CANCELED")
    assert (await desk.status(gtd), (await desk.now(gtd)).reason) == ("EXPIRED", "its time is over")
    assert desk.reserved() == {}


async def test_a_time_in_the_past_is_refused_unless_the_order_is_known(desk: Desk) -> None:
    words = {"time_in_force": "GTD", "expire_at": "2023-11-14T23:00:00Z"}
    await desk.submit(**words)
    desk.advance(7200)
    desk = await desk.restarted()

    assert (await desk.submit(**words)).headers == {"Idempotency-Replayed": "true"}
    with pytest.raises(Refused, match="lies in the past"):
        await desk.submit("c2", **words)


# How they are kept.

prices = st.integers(50, 150).map(Decimal)
trails = st.one_of(st.integers(1, 30).map(str), st.integers(1, 30).map(lambda n: f"{n}%"))
moves = st.lists(st.one_of(st.tuples(st.sampled_from(Side), trails), prices), max_size=40)


def trailing(number: int, side: Side, trail: str) -> Order:
    return Order(
        order_id=str(number),
        account="a",
        client_order_id=str(number),
        symbol="X",
        side=side,
        order_type=OrderType.TRAILING_STOP,
        quantity=Decimal(1),
        trail=trail,
        status=OrderStatus.ACCEPTED,
        created_ns=number,
        updated_ns=number,
    )


def plainly(moves: list[tuple[Side, str] | Decimal]) -> list[tuple[int, set[tuple[str, Decimal]]]]:
    """Which trailing stops each price reaches, worked out one by one."""
    waiting: dict[str, tuple[Side, str, Decimal]] = {}
    last: Decimal | None = None
    out: list[tuple[int, set[tuple[str, Decimal]]]] = []
    for number, move in enumerate(moves):
        if not isinstance(move, Decimal):
            waiting[str(number)] = (*move, last if last is not None else Decimal(-1))
            continue
        last = move
        reached: set[tuple[str, Decimal]] = set()
        for id, (side, trail, before) in list(waiting.items()):
            best = max if side is Side.SELL else min
            mark = last if before < 0 else best(before, last)
            waiting[id] = (side, trail, mark)
            distance = mark * Decimal(trail[:-1]) / 100 if trail.endswith("%") else Decimal(trail)
            level = mark - distance if side is Side.SELL else mark + distance
            if (level >= last) if side is Side.SELL else (level <= last):
                reached.add((id, level))
                del waiting[id]
        out.append((number, reached))
    return out


@given(moves)
def test_trailing_stops_are_reached_where_each_on_its_own_would_be(moves: list[tuple[Side, str] | Decimal]) -> None:
    stops = Stops()
    out: list[tuple[int, set[tuple[str, Decimal]]]] = []
    for number, move in enumerate(moves):
        if isinstance(move, Decimal):
            out.append((number, set(stops.seen("X", move, move))))
        else:
            stops.put(trailing(number, *move))

    assert out == plainly(moves)


def test_a_frame_gives_every_price_of_what_is_followed_and_the_last_of_the_rest() -> None:
    codes = np.array([0, 1, 0, 0, 1], dtype=np.int32)
    price = np.array([1.1, 5.0, 1.1, 1.3, 5.5])
    nothing = np.zeros(5, dtype=np.int64)
    columns = TickColumns(
        "sim", ("A", "B"), codes, nothing, nothing, price, price, nothing.astype(np.int8), [""] * 5, nothing
    )

    assert list(traded(columns, {"A"})) == [("A", Decimal("1.1")), ("A", Decimal("1.3")), ("B", Decimal("5.5"))]
