"""The venue's own words when their stream is disturbed: every fill is said at least once, under one id for ever."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from shared.contract.dealing import Accepted, Unsure
from shared.contract.orders import OrderStatus
from tests.mock_binance import MockBinance
from tests.services.live_gateway.binance.conftest import Dealing, leg, until

D = Decimal
SUBMIT = "POST /api/v3/order"
CANCEL = "DELETE /api/v3/order"


def told_everything(dealing: Dealing) -> bool:
    return dealing.fills() == dealing.fills_made()


async def test_repeated_words_bear_the_same_ids(dealing: Dealing) -> None:
    dealing.market.streams.repeat = 3
    await dealing.venue.submit(leg("1"))
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: dealing.said().count("FILLED") == 3)
    assert told_everything(dealing)


async def test_a_fill_may_come_before_the_order_was_acknowledged(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    dealing.market.streams.hold(4)
    await dealing.venue.submit(leg("1"))
    await until(lambda: dealing.said() == ["FILLED", "WORKING"])
    assert [word.cumulative_quantity for word in dealing.words] == [D(1), D(0)]
    assert told_everything(dealing)


async def test_a_fill_may_come_after_the_cancel_that_it_forestalled(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    await until(lambda: dealing.said() == ["WORKING"])
    dealing.market.fault(CANCEL, "fill_first", quantity="0.3")
    assert isinstance(await dealing.venue.cancel(leg()), Accepted)
    await until(lambda: dealing.said() == ["WORKING", "CANCELED", "PARTIALLY_FILLED"])
    assert dealing.words[1].cumulative_quantity == D("0.3")
    assert told_everything(dealing)


async def test_what_happened_while_the_stream_was_cut_is_said_afterwards(dealing: Dealing) -> None:
    for number in range(4):
        await dealing.venue.submit(leg("1", number=number))
    await until(lambda: len(dealing.words) == 4)
    await dealing.market.streams.cut()
    dealing.market.market("BTCUSDT", "SELL", "1.5", "60000")
    third = next(order for order in dealing.market.engine.orders.values() if order.client_id.endswith("-2"))
    dealing.market.engine.cancel(third)
    await until(lambda: dealing.market.streams.joined == 2 and dealing.venue.down_since_ns == 0)
    assert dealing.said(0) == ["WORKING", "FILLED"]
    assert dealing.said(1)[-1] == "PARTIALLY_FILLED"
    assert dealing.said(2)[-1] == "CANCELED"
    assert dealing.said(3)[-1] == "WORKING"
    assert told_everything(dealing)


async def test_the_stream_may_be_cut_in_the_middle_of_an_order(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "0.4", "60000")
    dealing.market.fault(SUBMIT, "disconnect")
    assert isinstance(await dealing.venue.submit(leg("1")), Accepted)
    await until(lambda: told_everything(dealing) and dealing.said()[-1:] == ["PARTIALLY_FILLED"])


async def test_an_order_unanswered_and_unheard_is_told_by_the_next_stream(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    dealing.market.streams.drop = True
    dealing.market.fault(SUBMIT, "no_reply")
    assert isinstance(await dealing.venue.submit(leg("1")), Unsure)
    assert dealing.words == []
    dealing.market.streams.drop = False
    await dealing.market.streams.cut()
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert told_everything(dealing)


async def test_a_connection_that_is_open_but_dead_is_found_out(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.streams.silent = True
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: dealing.venue.down_since_ns > 0)
    assert "stream" in str(dealing.venue.trouble)
    dealing.market.streams.silent = False
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert told_everything(dealing)
    assert dealing.venue.trouble is None


async def test_a_subscription_that_the_venue_ends_is_renewed(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    await dealing.market.streams.terminate()
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert dealing.venue.details()["reconnects"] == 1


async def test_what_was_missed_is_said_although_the_first_attempts_fail(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.fault("GET /api/v3/openOrders", "error_before", count=3)
    await dealing.market.streams.cut()
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert told_everything(dealing)


async def test_catching_up_does_not_begin_anew_with_each_question_that_goes_wrong(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.fault("GET /api/v3/openOrders", "error_before", count=3)
    dealing.market.fault("GET /api/v3/myTrades", "error_before", count=2)
    await dealing.market.streams.cut()
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert dealing.market.streams.joined == 2
    assert told_everything(dealing)


async def test_a_venue_that_forgot_our_orders_is_listened_to_all_the_same(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.engine.orders.clear()
    await dealing.market.streams.cut()
    await until(lambda: dealing.market.streams.joined == 2 and dealing.venue.trouble is None)


async def test_after_a_restart_the_venue_says_what_is_open(market: MockBinance) -> None:
    first = Dealing(market)
    await first.begin()
    await first.venue.submit(leg("1"))
    await first.venue.close()
    second = Dealing(market)
    await second.begin()
    assert [(word.status, word.quantity) for word in second.words] == [(OrderStatus.WORKING, D(1))]
    await second.venue.close()


async def test_fills_by_hand_while_the_stream_was_cut_are_said_too(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("0.1", price="50000"))
    await dealing.market.streams.cut()
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    dealing.market.by_hand(quantity="1", price="60000")
    await until(lambda: told_everything(dealing))
    assert "web_" in {word.client_id[:4] for word in dealing.words if word.fill}


async def test_closing_leaves_no_task_and_no_connection(market: MockBinance) -> None:
    before = asyncio.all_tasks()
    dealing = Dealing(market)
    await dealing.begin()
    await dealing.venue.submit(leg("1"))
    await dealing.venue.close()
    await until(lambda: not market.streams._queues)
    left = {task for task in asyncio.all_tasks() - before if "binance" in repr(task) or "ccxt" in repr(task)}
    assert {task for task in left if "mock_binance" not in repr(task)} == set()


async def test_closing_while_the_venue_is_away_works_too(market: MockBinance) -> None:
    dealing = Dealing(market)
    await market.stop()
    await dealing.venue.connect(dealing.words.append)
    await asyncio.wait_for(dealing.venue.close(), 10)
