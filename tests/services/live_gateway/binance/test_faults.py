"""Requests that go wrong: at most one order per id, and unknown stays unknown until there is proof."""

from __future__ import annotations

import asyncio
import logging
import random
from decimal import Decimal
from typing import Any

import pytest

from services.live_gateway.venues.binance_rest import BinanceTerms
from shared.contract.dealing import Absent, Accepted, Found, Leg, Rejected, Throttled, Unsure, client_id
from shared.contract.errors import Unavailable
from shared.contract.orders import OrderStatus
from tests.mock_binance import KEY, SECRET, MockBinance
from tests.services.live_gateway.binance.conftest import ORDER, Dealing, leg, until

D = Decimal
SUBMIT = "POST /api/v3/order"
CANCEL = "DELETE /api/v3/order"
ASK = "GET /api/v3/order"
OURS = client_id(ORDER, 0)


def sent(dealing: Dealing, request: str = SUBMIT) -> int:
    return sum(name == request for name, _ in dealing.market.requests)


DONE_UNSAID: list[tuple[str, dict[str, Any]]] = [
    ("no_reply", {}),
    ("reset", {}),
    ("error", {"status": 502}),
    ("error", {"status": 504, "body": {"code": -1007, "msg": "Timeout waiting for response from backend server."}}),
    ("error", {"status": 400, "body": {"code": -1006, "msg": "An unexpected response was received."}}),
    ("error", {"status": 500, "body": "<html>"}),
    ("error", {"status": 403, "body": "<html>"}),
]
NEVER_DONE = [("timeout", {}), ("reset_before", {}), ("error_before", {"status": 503})]


@pytest.mark.parametrize(("kind", "words"), DONE_UNSAID)
async def test_an_order_done_but_not_said_to_be_is_unsure_and_then_found(
    dealing: Dealing, kind: str, words: dict[str, Any]
) -> None:
    dealing.market.fault(SUBMIT, kind, **words)
    assert isinstance(await dealing.venue.submit(leg()), Unsure)
    found = await dealing.venue.find(leg())
    assert isinstance(found, Found)
    assert found.word.status is OrderStatus.WORKING
    assert sent(dealing) == 1, "the venue sent the order again by itself"
    assert dealing.market.accepted(OURS) == 1


@pytest.mark.parametrize(("kind", "words"), NEVER_DONE)
async def test_an_order_never_done_is_unsure_until_it_can_no_longer_be_on_its_way(
    dealing: Dealing, kind: str, words: dict[str, Any]
) -> None:
    dealing.market.fault(SUBMIT, kind, **words)
    assert isinstance(await dealing.venue.submit(leg()), Unsure)
    assert isinstance(await dealing.venue.find(leg()), Unsure)
    dealing.clock.passed_s += 2.5
    assert isinstance(await dealing.venue.find(leg()), Unsure)
    dealing.clock.passed_s += 0.5
    assert await dealing.venue.find(leg()) == Absent()
    assert isinstance(await dealing.venue.submit(leg()), Accepted)
    assert dealing.market.accepted(OURS) == 1


async def test_an_order_that_was_on_its_way_for_long_is_found_when_it_has_come(dealing: Dealing) -> None:
    dealing.market.fault(SUBMIT, "late", after_s=0.5)
    assert isinstance(await dealing.venue.submit(leg()), Unsure)
    assert isinstance(await dealing.venue.find(leg()), Unsure)
    await until(lambda: dealing.market.accepted(OURS) == 1)
    assert isinstance(await dealing.venue.find(leg()), Found)
    await until(lambda: dealing.said() == ["WORKING"])


async def test_an_order_that_comes_after_its_window_is_never_done(market: MockBinance) -> None:
    dealing = Dealing(market, window_ms=300)
    await dealing.begin()
    market.fault(SUBMIT, "late", after_s=0.6)
    assert isinstance(await dealing.venue.submit(leg()), Unsure)
    await until(lambda: not market._late)
    assert market.accepted(OURS) == 0
    await dealing.venue.close()


async def test_a_second_order_of_the_same_id_is_the_first_one(dealing: Dealing) -> None:
    assert isinstance(await dealing.venue.submit(leg()), Accepted)
    assert isinstance(await dealing.venue.submit(leg()), Accepted)
    assert dealing.market.accepted(OURS) == 1


async def test_a_cancel_done_but_not_said_to_be_is_unsure_and_then_proven(dealing: Dealing) -> None:
    await dealing.venue.submit(leg())
    dealing.market.fault(CANCEL, "error", status=504)
    assert isinstance(await dealing.venue.cancel(leg()), Unsure)
    found = await dealing.venue.find(leg())
    assert isinstance(found, Found)
    assert found.word.status is OrderStatus.CANCELED


async def test_a_throttled_request_was_not_done_and_the_stated_wait_is_kept(dealing: Dealing) -> None:
    dealing.market.fault(SUBMIT, "limited", retry_after=7)
    outcome = await dealing.venue.submit(leg())
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == 7
    dealing.clock.passed_s += 6
    outcome = await dealing.venue.submit(leg())
    assert isinstance(outcome, Throttled)
    assert 0 < outcome.retry_after_s <= 1
    assert sent(dealing) == 1, "we spoke while told to wait"
    dealing.clock.passed_s += 1
    assert isinstance(await dealing.venue.submit(leg()), Accepted)


async def test_a_ban_is_waited_out_likewise(dealing: Dealing) -> None:
    dealing.market.fault(CANCEL, "limited", status=418, retry_after=120)
    assert isinstance(await dealing.venue.cancel(leg()), Throttled)
    assert isinstance(await dealing.venue.find(leg()), Unsure)
    with pytest.raises(Unavailable):
        await dealing.venue.open_orders()


async def test_a_limit_on_orders_states_no_time_and_is_waited_out_for_ten_seconds(dealing: Dealing) -> None:
    dealing.market.fault(SUBMIT, "limited")
    outcome = await dealing.venue.submit(leg())
    assert isinstance(outcome, Throttled)
    assert outcome.retry_after_s == 10


async def test_an_overloaded_venue_did_nothing(dealing: Dealing) -> None:
    busy = {"code": -1008, "msg": "Server is currently overloaded with other requests."}
    dealing.market.fault(SUBMIT, "error_before", status=503, body=busy)
    assert isinstance(await dealing.venue.submit(leg()), Throttled)


@pytest.mark.parametrize("wrong_s", [-60.0, 60.0])
async def test_a_wrong_clock_is_set_right_and_nothing_was_done(dealing: Dealing, wrong_s: float) -> None:
    dealing.clock.wrong_s = wrong_s
    assert isinstance(await dealing.venue.submit(leg()), Throttled)
    assert dealing.market.accepted(OURS) == 0
    assert isinstance(await dealing.venue.submit(leg()), Accepted)
    assert abs(float(str(dealing.venue.details()["clock_ahead_ms"])) - wrong_s * 1000) < 500


async def test_a_clock_that_is_wrong_from_the_start_does_not_matter(market: MockBinance) -> None:
    dealing = Dealing(market)
    dealing.clock.wrong_s = 3600
    await dealing.begin()
    assert isinstance(await dealing.venue.submit(leg()), Accepted)
    await dealing.venue.close()


async def test_a_key_that_is_not_taken_is_told(market: MockBinance) -> None:
    dealing = Dealing(market, secret="wrong")
    await dealing.venue.connect(dealing.words.append)
    assert await dealing.venue.submit(leg()) == Rejected("-1022 Signature for this request is not valid.")
    assert "does not take our key" in str(dealing.venue.trouble)
    assert dealing.venue.down_since_ns > 0
    await dealing.venue.close()


async def test_a_venue_that_is_not_there_keeps_nobody_waiting_at_the_start(market: MockBinance) -> None:
    dealing = Dealing(market)
    await market.stop()
    await asyncio.wait_for(dealing.venue.connect(dealing.words.append), 10)
    assert isinstance(await dealing.venue.submit(leg()), Unsure)
    assert dealing.venue.trouble is not None
    await market.start()
    await until(lambda: dealing.venue.trouble is None)
    await dealing.venue.close()


@pytest.mark.parametrize("kind", ["timeout", "error_before", "reset"])
async def test_listings_that_fail_are_unavailable(dealing: Dealing, kind: str) -> None:
    for request in ("GET /api/v3/openOrders", "GET /api/v3/myTrades", "GET /api/v3/account"):
        # A request that may be repeated is, once, when its connection was cut.
        dealing.market.fault(request, kind, count=2)
    with pytest.raises(Unavailable):
        await dealing.venue.open_orders()
    with pytest.raises(Unavailable):
        await dealing.venue.trades(frozenset({"BTCUSDT"}), 0)
    with pytest.raises(Unavailable):
        await dealing.venue.holdings()


async def test_nothing_secret_is_logged_or_said(
    market: MockBinance, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    dealing = Dealing(market)
    await dealing.begin()
    said: list[object] = [dealing.terms, dealing.venue.details(), dealing.venue.trouble]
    said.append(await dealing.venue.submit(leg()))
    for kind in ("timeout", "reset", "error", "limited"):
        market.fault(ASK, kind, count=2)
        said.append(await dealing.venue.find(leg()))
        market.fault("GET /api/v3/account", kind, count=2)
        with pytest.raises(Unavailable) as raised:
            await dealing.venue.holdings()
        said.append(repr(raised.value))
    await dealing.venue.close()
    text = f"{said} {caplog.text} {capsys.readouterr()}"
    for secret in (KEY, SECRET, "signature="):
        assert secret not in text


def test_the_venue_leaves_its_terms_unsaid() -> None:
    terms = BinanceTerms(key=KEY, secret=SECRET)
    assert repr(terms) == "BinanceTerms(https://testnet.binance.vision/api/v3)"
    assert "binance.com" in repr(BinanceTerms(key=KEY, secret=SECRET, testnet=False))


async def cleared_up(dealing: Dealing, order: Leg) -> None:
    """Asked for until it is known what became of it, and sent again if it is absent."""
    while True:
        dealing.clock.passed_s += 4
        found = await dealing.venue.find(order)
        if found == Absent():
            found = await dealing.venue.submit(order)
        if not isinstance(found, Unsure):
            return


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_goes_wrong_no_order_is_doubled_and_every_fill_is_said(market: MockBinance, seed: int) -> None:
    chance = random.Random(seed)
    dealing = Dealing(market, timeout_s=0.1)
    await dealing.begin()
    for number in range(60):
        kind, words = chance.choice([*DONE_UNSAID, *NEVER_DONE, *[("", {})] * 6, ("disconnect", {})])
        if kind:
            market.fault(SUBMIT, kind, **words)
        order = leg("0.01", number=number)
        if isinstance(await dealing.venue.submit(order), Unsure):
            await cleared_up(dealing, order)
        if chance.random() < 0.2:
            await market.streams.play(cut=True, repeat=chance.choice([1, 2]))
        if chance.random() < 0.5:
            market.market("BTCUSDT", "SELL", "0.015", "60000", rest=False)
    ids = [entry["client_id"] for entry in market.engine.log if entry["what"] == "accepted"]
    assert sorted(set(ids)) == sorted(ids), "an order was doubled"
    assert len(ids) == 60
    await market.streams.cut()
    await until(lambda: dealing.fills() == dealing.fills_made())
    await dealing.venue.close()
