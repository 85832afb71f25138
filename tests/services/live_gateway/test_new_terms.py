"""Replacement and post_only at the paper venue."""

from __future__ import annotations

import pytest

from shared.contract.orders import OrderStatus
from tests.services.live_gateway.conftest import NOW_NS, Desk, route


def test_the_same_price_for_less_keeps_its_place_in_the_queue(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.trade("99", "7")
    desk.submit("b", "BUY", "5", "99")

    assert desk.replace("a", 1, "99", "4") == [("a", "WORKING", "", "")]
    assert desk.queue("a") == 3
    assert desk.trade("99", "5") == [("a", "PARTIALLY_FILLED", "2", "99")]


@pytest.mark.parametrize(("price", "quantity"), [("99", "6"), ("98.5", "5")])
def test_more_or_another_price_goes_to_the_end_of_the_queue(desk: Desk, price: str, quantity: str) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.submit("b", "BUY", "5", "99")
    desk.trade("99", "10")

    desk.replace("a", 1, price, quantity)

    assert desk.trade("98", "6")[0] == ("b", "FILLED", "5", "99")


def test_what_is_filled_is_kept(desk: Desk) -> None:
    desk.submit("a", "BUY", "15", "101")

    assert desk.replace("a", 1, "100", "12") == [("a", "PARTIALLY_FILLED", "", "")]
    assert desk.trade("99.5", "50") == [("a", "FILLED", "2", "100")]
    assert desk.report("a").cumulative_quantity == 12


def test_a_new_price_that_is_marketable_takes_what_is_displayed(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")

    assert desk.replace("a", 1, "101", "12") == [("a", "WORKING", "", ""), ("a", "PARTIALLY_FILLED", "10", "101")]
    report = desk.report("a")
    assert (report.replaced, report.price, report.quantity, report.fill and report.fill.maker) == (1, 101, 12, False)
    assert desk.trade("100", "9") == [("a", "FILLED", "2", "101")]


@pytest.mark.parametrize(
    ("price", "quantity", "why"),
    [
        ("99.001", "5", "price 99.001 is not a multiple of 0.01"),
        ("99", "5.0005", "quantity 5.0005 is not a multiple of 0.001"),
        ("99", "2", "2 of it is filled already"),
    ],
)
def test_terms_that_cannot_be_are_refused_and_the_order_stands(desk: Desk, price: str, quantity: str, why: str) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.trade("99", "12")

    assert desk.replace("a", 1, price, quantity) == [("a", "PARTIALLY_FILLED", "", "")]
    assert (desk.report("a").refused, desk.report("a").reason) == (1, why)
    assert desk.trade("98", "9") == [("a", "FILLED", "3", "99")]


def test_a_number_is_answered_once(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99")
    desk.replace("a", 2, "98", "5")

    assert desk.replace("a", 2, "97", "5") == []
    assert desk.replace("a", 1, "97", "5") == []


def test_a_waiting_market_order_can_be_made_smaller_and_has_no_price() -> None:
    desk = Desk()
    desk.submit("a", "BUY", "25", None)

    desk.replace("a", 1, "100", "5")
    assert desk.report("a").refused == 1
    desk.replace("a", 2, None, "5")
    assert desk.quote() == [("a", "FILLED", "5", "101")]


def test_an_order_that_must_not_take_is_rejected_when_it_would(desk: Desk) -> None:
    assert desk.submit("a", "BUY", "5", "101", post_only=True) == [("a", "REJECTED", "", "")]
    assert desk.submit("b", "BUY", "5", "100.99", post_only=True) == [("b", "WORKING", "", "")]
    assert desk.submit("c", "SELL", "5", "99", post_only=True) == [("c", "REJECTED", "", "")]
    assert "would have taken" in desk.report("c").reason


def test_an_order_that_must_not_take_rests_where_nothing_is_displayed() -> None:
    desk = Desk()
    assert desk.submit("a", "BUY", "5", "101", post_only=True) == [("a", "WORKING", "", "")]


def test_a_price_that_would_take_is_refused_where_the_order_must_not(desk: Desk) -> None:
    desk.submit("a", "BUY", "5", "99", post_only=True)
    desk.trade("99", "4")

    assert desk.replace("a", 1, "101", "5") == [("a", "WORKING", "", "")]
    assert desk.report("a").refused == 1
    assert desk.queue("a") == 6, "its place is kept"


def test_an_order_that_has_not_joined_stands_nowhere(desk: Desk) -> None:
    changes = desk.venue.arrive(route("a", "BUY", "5", "99"), NOW_NS)

    assert desk.trade("90", "50") == []
    assert desk.venue.known("a") is None
    assert changes[-1].report.status is OrderStatus.WORKING
    assert desk.venue.join(changes, NOW_NS) == []
    assert desk.trade("90", "50") == [("a", "FILLED", "5", "99")]
