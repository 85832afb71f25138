"""Messages survive the wire, and every subject finds its address."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from shared.contract import subjects
from shared.contract.base import normal_symbol, rfc3339
from shared.contract.market import Bar, Interval, Quote, Tick
from shared.contract.orders import OrderType, Side, SubmitOrder
from shared.contract.risk import RiskCheck
from shared.contract.subjects import STREAMS, Subject

TICK = Tick.model_validate_json(
    '{"exchange": "Binance", "symbol": "btc-usdt", "timestamp": 1700000000123, "last": "1.5", "qty": 2, "side": "buy"}'
)
BAR = Bar(
    venue="sim",
    symbol="BTCUSDT",
    interval=Interval.m1,
    start_ns=1_723_161_240_000_000_000,
    end_ns=1_723_161_300_000_000_000,
    open=1,
    high=2,
    low=0.5,
    close=1.5,
    volume=3,
    vwap=1.2,
    count=4,
)


def test_a_tick_is_taken_under_the_names_others_use() -> None:
    assert (TICK.venue, TICK.symbol, TICK.price, TICK.quantity, TICK.side) == (
        "binance",
        "BTCUSDT",
        Decimal("1.5"),
        2,
        1,
    )
    assert TICK.event_ns == TICK.receive_ns == 1_700_000_000_123_000_000


def test_a_message_survives_the_wire() -> None:
    for message in (TICK, BAR):
        assert type(message).decode(message.encode()) == message


def test_a_bar_says_its_times_so_that_javascript_keeps_them() -> None:
    words = BAR.model_dump(mode="json")

    assert words["timestamp"] == "2024-08-08T23:54:00Z"
    assert (words["start_ns"], words["interval"]) == ("1723161240000000000", "1m")


def test_when_both_names_of_the_type_come_order_type_wins() -> None:
    words = {"symbol": "A", "side": "BUY", "quantity": 1, "price": 1, "type": "MARKET", "order_type": "limit"}

    assert SubmitOrder.model_validate(words).order_type is OrderType.LIMIT


@pytest.mark.parametrize(
    ("given", "normal"),
    [("BTC/USDT", "BTCUSDT"), ("btc-usdt", "BTCUSDT"), (" spy ", "SPY"), ("brk.b", "BRK_B")],
)
def test_a_symbol_has_one_spelling(given: str, normal: str) -> None:
    assert normal_symbol(given) == normal


@pytest.mark.parametrize("symbol", ["", "*", ">", "A B*", "ü", "A" * 40, "a.>", "_"])
def test_a_symbol_that_could_break_a_subject_is_refused(symbol: str) -> None:
    with pytest.raises(ValidationError):
        SubmitOrder.model_validate({"symbol": symbol, "side": "BUY", "quantity": 1})


@pytest.mark.parametrize(
    ("given", "written"),
    [("0.00010000", "0.0001"), ("1E+2", "100"), ("1E-7", "0.0000001"), ("100", "100"), ("5.0", "5"), ("10.50", "10.5")],
)
def test_an_amount_is_written_without_exponent_and_trailing_zeros(given: str, written: str) -> None:
    order = SubmitOrder(symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(given))

    assert f'"quantity":"{written}"'.encode() in order.encode()


@pytest.mark.parametrize(
    ("given", "trail"),
    [('"500"', "500"), ("500", "500"), ("0.5", "0.5"), ("1e2", "100.0"), ('"1.5%"', "1.5%"), ("1e-7", "0.0000001")],
)
def test_a_trail_is_a_number_as_a_price_is_or_a_share(given: str, trail: str) -> None:
    words = '{"symbol": "BTCUSDT", "side": "SELL", "quantity": 1, "order_type": "TRAILING_STOP", "trail": %s}'

    assert SubmitOrder.model_validate_json(words % given).trail == trail
    assert RiskCheck.model_validate_json(words % given).trail == trail


@pytest.mark.parametrize("given", ["-1", "0", "true", "1e30", "NaN", '"1e2"', '"x"', "[5]"])
def test_a_trail_that_is_no_distance_is_refused(given: str) -> None:
    words = '{"symbol": "BTCUSDT", "side": "SELL", "quantity": 1, "order_type": "TRAILING_STOP", "trail": %s}'

    with pytest.raises(ValidationError, match="trail"):
        SubmitOrder.model_validate_json(words % given)


def test_a_quote_says_when_it_is_crossed() -> None:
    words = {"venue": "v", "symbol": "S", "event_ns": 1, "receive_ns": 1, "bid_quantity": "1", "ask_quantity": "1"}

    assert Quote.model_validate({**words, "bid": "2", "ask": "2"}).crossed
    assert not Quote.model_validate({**words, "bid": "1", "ask": "2"}).crossed
    assert not Quote.model_validate({**words, "bid": "2", "ask": None}).crossed


@pytest.mark.parametrize(
    ("message", "field"),
    [(TICK, "sequence"), *((BAR, name) for name in ("count", "revision", "empty_before", "number"))],
)
def test_a_whole_number_fits_into_every_store(message: Tick | Bar, field: str) -> None:
    words = message.model_dump(mode="json")
    for fits in (2**63 - 1, -(2**63)):
        assert type(message).model_validate(words | {field: fits})
    for too_large in (2**63, -(2**63) - 1, 10**23):
        with pytest.raises(ValidationError, match=field):
            type(message).model_validate(words | {field: too_large})


def test_a_message_on_a_foreign_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"belongs on ticks\.binance\.BTCUSDT"):
        subjects.TICK.decode(TICK.encode(), "ticks.binance.ETHUSDT")


def test_every_kept_subject_lies_in_its_stream() -> None:
    for subject in [value for value in vars(subjects).values() if isinstance(value, Subject)]:
        if subject.stream is None:
            continue
        homes = [s for s in STREAMS if any(subject.pattern.startswith(p.rstrip(">")) for p in s.subjects)]
        assert homes == [subject.stream], subject.pattern


def test_a_time_is_shown_to_the_nanosecond() -> None:
    assert rfc3339(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
