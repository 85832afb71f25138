"""What the venue does with orders when nothing goes wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shared.contract.dealing import Absent, Accepted, Found, Rejected, client_id
from shared.contract.orders import OrderType, Side, TimeInForce
from tests.mock_binance import KEY
from tests.services.live_gateway.binance.conftest import ORDER, Dealing, leg, until

D = Decimal


async def test_a_limit_order_works_and_fills_in_parts(dealing: Dealing) -> None:
    outcome = await dealing.venue.submit(leg("1"))
    assert isinstance(outcome, Accepted)
    assert outcome.venue_order_id
    dealing.market.market("BTCUSDT", "SELL", "0.4", "60000")
    dealing.market.market("BTCUSDT", "SELL", "0.6", "59000")
    await until(lambda: dealing.said() == ["WORKING", "PARTIALLY_FILLED", "FILLED"])
    assert [word.cumulative_quantity for word in dealing.words] == [D(0), D("0.4"), D(1)]
    assert dealing.fills() == dealing.fills_made()


async def test_a_market_order_takes_what_stands_there(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "0.3", "60000")
    dealing.market.market("BTCUSDT", "SELL", "5", "60001")
    await dealing.venue.submit(leg("1", price=None))
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert [word.fill.price for word in dealing.words if word.fill] == [D(60000), D(60001)]
    assert dealing.words[0].price is None
    assert dealing.words[0].order_type is OrderType.MARKET


async def test_a_fee_taken_in_the_base_asset_is_stated_in_the_currency(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await dealing.venue.submit(leg("1"))
    await until(dealing.fills)
    fill = next(word.fill for word in dealing.words if word.fill)
    assert (fill.fee, fill.fee_asset, fill.fee_charged) == (D(60), "BTC", D("0.001"))


async def test_a_fee_taken_in_the_currency_is_passed_on_as_it_is(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "BUY", "1", "60000")
    await dealing.venue.submit(leg("1", side="SELL"))
    await until(dealing.fills)
    fill = next(word.fill for word in dealing.words if word.fill)
    assert (fill.fee, fill.fee_asset, fill.fee_charged) == (D(60), "", D(0))


async def test_a_fee_taken_in_a_third_asset_is_converted_at_its_price(dealing: Dealing) -> None:
    dealing.market.engine.pays_in_bnb.add(KEY)
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await dealing.venue.submit(leg("1"))
    await until(dealing.fills)
    fill = next(word.fill for word in dealing.words if word.fill)
    assert (fill.fee, fill.fee_asset, fill.fee_charged) == (D(60), "BNB", D("0.1"))


async def test_a_fee_without_a_price_holds_no_fill_up(dealing: Dealing) -> None:
    dealing.market.engine.pays_in_bnb.add(KEY)
    dealing.market.fault("GET /api/v3/ticker/price", "error_before")
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await dealing.venue.submit(leg("1"))
    await until(dealing.fills)
    fill = next(word.fill for word in dealing.words if word.fill)
    assert (fill.fee, fill.fee_asset, fill.fee_charged) == (D(0), "BNB", D("0.1"))


@pytest.mark.parametrize(
    ("force", "said"),
    [(TimeInForce.IOC, ["WORKING", "PARTIALLY_FILLED", "EXPIRED"]), (TimeInForce.FOK, ["WORKING", "EXPIRED"])],
)
async def test_what_may_not_rest_expires(dealing: Dealing, force: TimeInForce, said: list[str]) -> None:
    dealing.market.market("BTCUSDT", "SELL", "0.4", "60000")
    await dealing.venue.submit(leg("1", time_in_force=force))
    await until(lambda: dealing.said() == said)
    assert "expired at the venue" in dealing.words[-1].reason


@pytest.mark.parametrize("force", [TimeInForce.DAY, TimeInForce.GTD])
async def test_what_ends_by_a_calendar_rests_until_we_cancel_it(dealing: Dealing, force: TimeInForce) -> None:
    assert isinstance(await dealing.venue.submit(leg(time_in_force=force)), Accepted)
    assert [order.force for order in dealing.market.engine.orders.values()] == ["GTC"]


async def test_a_post_only_order_that_would_take_is_rejected(dealing: Dealing) -> None:
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    outcome = await dealing.venue.submit(leg(post_only=True))
    assert outcome == Rejected("-2010 Order would immediately match and take.")
    assert isinstance(await dealing.venue.submit(leg(price="59000", post_only=True)), Accepted)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"quantity": "50"}, "-2010 Account has insufficient balance for requested action."),
        ({"quantity": "0.000001"}, "-1013 Filter failure: LOT_SIZE"),
        ({"price": "60000.001"}, "-1013 Filter failure: PRICE_FILTER"),
        ({"symbol": "AAPL"}, "-1121 Invalid symbol."),
    ],
)
async def test_a_refusal_of_the_venue_is_a_rejection_in_its_words(
    dealing: Dealing, words: dict[str, str], reason: str
) -> None:
    assert await dealing.venue.submit(leg(**words)) == Rejected(reason)


async def test_quantities_and_prices_travel_as_they_are(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("0.12345", price="59999.99"))
    sent = next(words for name, words in dealing.market.requests if name == "POST /api/v3/order")
    assert (sent["quantity"], sent["price"]) == ("0.12345", "59999.99")
    await until(lambda: dealing.words)
    assert (dealing.words[0].quantity, dealing.words[0].price) == (D("0.12345"), D("59999.99"))


async def test_a_cancelled_order_is_told_under_its_own_id(dealing: Dealing) -> None:
    await dealing.venue.submit(leg())
    assert isinstance(await dealing.venue.cancel(leg()), Accepted)
    await until(lambda: dealing.said() == ["WORKING", "CANCELED"])
    assert isinstance(await dealing.venue.cancel(leg()), Rejected)


async def test_less_of_an_order_is_amended_in_its_place(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.market("BTCUSDT", "SELL", "0.2", "60000")
    assert dealing.venue.replaces(leg("1"), D(60000), D("0.5"))
    assert isinstance(await dealing.venue.replace(leg("1"), D(60000), D("0.5")), Accepted)
    dealing.market.market("BTCUSDT", "SELL", "9", "60000")
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    assert sum(dealing.fills().values()) == D("0.5")
    assert len(dealing.market.engine.by_client) == len({ORDER}) + 2, "no second order of ours"


async def test_an_amendment_that_came_too_late_is_refused(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.market("BTCUSDT", "SELL", "0.6", "60000")
    assert isinstance(await dealing.venue.replace(leg("1"), D(60000), D("0.5")), Rejected)


@pytest.mark.parametrize(("price", "quantity"), [("60001", "0.5"), ("60000", "2"), ("60000", "1")])
def test_other_terms_are_another_order(price: str, quantity: str) -> None:
    from services.live_gateway.venues.binance import BinanceVenue

    assert not BinanceVenue.replaces(None, leg("1"), D(price), D(quantity))  # type: ignore[arg-type]


async def test_an_order_is_found_with_all_its_fills(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    for quantity in ("0.1", "0.2"):
        dealing.market.market("BTCUSDT", "SELL", quantity, "60000")
    found = await dealing.venue.find(leg())
    assert isinstance(found, Found)
    assert [fill.quantity for fill in found.fills] == [D("0.1"), D("0.2")]
    await until(lambda: len(dealing.fills()) == 2)
    assert {fill.execution_id for fill in found.fills} == set(dealing.fills())


async def test_an_order_never_sent_is_absent_once_nothing_can_be_on_its_way(dealing: Dealing) -> None:
    dealing.clock.passed_s += 10
    assert await dealing.venue.find(leg()) == Absent()


async def test_all_orders_of_a_symbol_are_cancelled_at_once(dealing: Dealing) -> None:
    for number in range(3):
        await dealing.venue.submit(leg("0.1", number=number))
    by_hand = dealing.market.by_hand(quantity="0.1", price="50000")
    assert await dealing.venue.cancel_all(frozenset({"BTCUSDT", "ETHUSDT", "AAPL"})) == Accepted()
    assert await dealing.venue.open_orders() == []
    assert by_hand.status == "CANCELED"


async def test_the_venue_lists_what_it_has(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    dealing.market.by_hand(symbol="ETHUSDT", quantity="2", price="2500")
    dealing.market.market("BTCUSDT", "SELL", "0.5", "60000")
    orders = {order.symbol: order for order in await dealing.venue.open_orders()}
    assert orders["BTCUSDT"].cumulative_quantity == D("0.5")
    assert orders["ETHUSDT"].client_id.startswith("web_")
    trades = await dealing.venue.trades(frozenset({"BTCUSDT", "ETHUSDT", "AAPL"}), 0)
    assert [(trade.symbol, trade.side, trade.fill.quantity) for trade in trades] == [("BTCUSDT", Side.BUY, D("0.5"))]
    holdings = await dealing.venue.holdings()
    assert holdings["BTC"] == D("100.4995")
    assert holdings["USDT"] == D(970000)


async def test_long_lists_of_trades_are_read_page_by_page(dealing: Dealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.live_gateway.venues.binance_account.PAGE", 2)
    await dealing.venue.submit(leg("1"))
    for _ in range(5):
        dealing.market.market("BTCUSDT", "SELL", "0.1", "60000")
    trades = await dealing.venue.trades(frozenset({"BTCUSDT"}), 0)
    assert {trade.fill.execution_id for trade in trades} == set(dealing.fills_made())


async def test_trades_name_the_order_they_are_of_also_after_a_restart(dealing: Dealing) -> None:
    await dealing.venue.submit(leg("1"))
    by_hand = dealing.market.by_hand(quantity="0.5", price="60000")
    dealing.market.market("BTCUSDT", "SELL", "1.5", "60000")
    await until(lambda: dealing.said()[-1:] == ["FILLED"])
    expected = {client_id(ORDER, 0), by_hand.client_id}
    assert {trade.client_id for trade in await dealing.venue.trades(frozenset({"BTCUSDT"}), 0)} == expected

    again = Dealing(dealing.market)
    await again.begin()
    assert {trade.client_id for trade in await again.venue.trades(frozenset({"BTCUSDT"}), 0)} == expected
    await again.venue.close()


async def test_orders_by_hand_are_told_too(dealing: Dealing) -> None:
    dealing.market.by_hand(quantity="1", price="60000")
    dealing.market.market("BTCUSDT", "SELL", "1", "60000")
    await until(lambda: len(dealing.words) == 2)
    assert dealing.words[1].client_id.startswith("web_")
    assert dealing.fills() == dealing.fills_made()
