"""Our books held against a statement: what differs, what would mend it, and what proves nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.oms.core.reconciling.comparing import GRACE_NS, compare
from services.oms.core.reconciling.differences import Adopt, Finding, Kind, Ours, external_name
from services.oms.core.reconciling.findings import Reconciliation, is_news, standing
from services.oms.core.reconciling.tally import Tally, added, beyond, check_holdings, check_positions, filled, moved
from shared.contract.accounts import Position
from shared.contract.market import Instrument
from shared.contract.orders import (
    CancelOrder,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Replacement,
    Report,
    RouteOrder,
    Side,
    VenueFill,
)
from shared.contract.venue import StatedOrder, StatedTrade, Statement
from shared.domain.identity import order_id

D = Decimal
SECOND = 1_000_000_000
NOW = 1_000 * SECOND


def order(status: str = "WORKING", name: str = "c1", **words: Any) -> Order:
    given = {
        "order_id": f"default-{name}",
        "account": "default",
        "client_order_id": name,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "order_type": "LIMIT",
        "quantity": D(3),
        "price": D(100),
        "venue": "binance",
        "status": status,
        "version": 2,
        "created_ns": 1,
        "updated_ns": NOW - 60 * SECOND,
    }
    return Order.model_validate(given | words)


def external(**words: Any) -> Order:
    name = external_name("binance", "BTCUSDT", "77")
    return order(client_order_id=name, order_id=order_id("default", name), strategy="external", **words)


def stated(name: str | None = "c1", number: str = "77", **words: Any) -> StatedOrder:
    given = {
        "order_id": name and f"default-{name}",
        "venue_order_id": number,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "order_type": "LIMIT",
        "price": D(100),
        "quantity": D(3),
        "cumulative_quantity": D(0),
        "created_ns": 1,
    }
    return StatedOrder.model_validate(given | words)


def trade(
    id: str = "e1", quantity: str = "1", name: str | None = "c1", number: str = "77", **words: Any
) -> StatedTrade:
    fill = VenueFill(
        execution_id=id,
        price=D(100),
        quantity=D(quantity),
        fee=D("0.1"),
        event_ns=words.pop("event_ns", NOW - 30 * SECOND),
    )
    given = {
        "order_id": name and f"default-{name}",
        "venue_order_id": number,
        "symbol": "BTCUSDT",
        "side": "BUY",
        "fill": fill,
    }
    return StatedTrade.model_validate(given | words)


def statement(*lines: StatedOrder | StatedTrade) -> Statement:
    return Statement(
        account="default",
        venue="binance",
        at_ns=NOW + 1,
        orders=tuple(line for line in lines if isinstance(line, StatedOrder)),
        trades=tuple(line for line in lines if isinstance(line, StatedTrade)),
    )


def ours(*orders: Order, fills: tuple[str, ...] = (), began_ns: int = 0) -> Ours:
    return Ours({one.order_id: one for one in orders}, set(fills), {"BTCUSDT"}, NOW, began_ns)


def only(findings: list[Finding]) -> tuple[Kind, list[Any]]:
    [finding] = findings
    steps = [step.order if isinstance(step, Adopt) else step.words for step in finding.steps]
    return finding.difference.kind, steps


def test_nothing_on_either_side_is_no_difference() -> None:
    assert compare(ours(), statement()) == []


def test_what_is_the_same_on_both_sides_is_no_difference() -> None:
    here = order("PARTIALLY_FILLED", filled_quantity=D(1))
    there = statement(stated(cumulative_quantity=D(1)), trade())

    assert compare(ours(here, fills=("binance:e1",)), there) == []


def test_an_order_that_the_venue_does_not_list_is_asked_for_and_its_end_not_guessed() -> None:
    kind, [words] = only(compare(ours(order()), statement()))

    assert (kind, words) == (Kind.MISSING, words)
    assert isinstance(words, RouteOrder)
    assert words.order_id == "default-c1"


@pytest.mark.parametrize("status", ["PENDING_CANCEL", "PENDING_UNKNOWN"])
def test_of_an_order_that_is_to_end_the_end_is_asked_for(status: str) -> None:
    _, [words] = only(compare(ours(order(status, leaving="cancelled on request")), statement()))

    assert isinstance(words, CancelOrder)


def test_an_order_in_doubt_stays_in_doubt_while_the_venue_does_not_list_it() -> None:
    _, [words] = only(compare(ours(order("PENDING_UNKNOWN")), statement()))

    assert isinstance(words, RouteOrder)


@pytest.mark.parametrize(
    "untold",
    [
        order("NEW"),
        order("PENDING_RISK"),
        order("ACCEPTED", order_type="STOP", stop_price=D(110), price=None),
    ],
)
def test_an_order_that_no_venue_was_told_of_is_not_missed(untold: Order) -> None:
    assert compare(ours(untold), statement()) == []


def test_an_order_that_changed_a_moment_before_the_statement_proves_nothing() -> None:
    fresh = order(updated_ns=NOW - GRACE_NS)

    assert compare(ours(fresh), statement()) == []
    assert compare(ours(fresh), statement(stated(cumulative_quantity=D(2)))) == []


def test_an_event_that_crossed_the_statement_proves_nothing() -> None:
    over = order("CANCELED", updated_ns=NOW + 1)

    assert compare(ours(over), statement(stated())) == []


def test_an_order_that_is_over_here_and_open_there_is_cancelled_there() -> None:
    kind, [words] = only(compare(ours(order("CANCELED")), statement(stated())))

    assert kind is Kind.REVIVED
    assert isinstance(words, CancelOrder)


def test_a_trade_that_is_not_entered_is_entered_by_a_report() -> None:
    kind, [words] = only(compare(ours(order()), statement(stated(cumulative_quantity=D(1)), trade())))

    assert kind is Kind.FILL
    assert isinstance(words, Report)
    assert (words.order_id, words.fill and words.fill.execution_id) == ("default-c1", "e1")


def test_a_trade_of_an_order_that_is_over_is_entered_too() -> None:
    kind, [words] = only(compare(ours(order("CANCELED")), statement(trade())))

    assert (kind, words.cumulative_quantity) == (Kind.FILL, D(1))


def test_a_trade_that_went_to_paper_instead_goes_by_that_name() -> None:
    assert compare(ours(order("FILLED"), fills=("paper:e1",)), statement(trade(venue="paper"))) == []
    _, [words] = only(compare(ours(order("CANCELED")), statement(trade(venue="paper"))))
    assert words.venue == "paper"


def test_a_filled_quantity_without_its_trades_is_asked_for() -> None:
    kind, [words] = only(compare(ours(order()), statement(stated(cumulative_quantity=D(2)))))

    assert kind is Kind.FILLED
    assert isinstance(words, RouteOrder)


def test_terms_that_were_changed_at_the_venue_are_taken_over() -> None:
    kind, [words] = only(compare(ours(order()), statement(stated(price=D(99), quantity=D(2)))))

    assert kind is Kind.TERMS
    assert (words.replaced, words.price, words.quantity) == (1, D(99), D(2))


def test_terms_that_are_on_their_way_are_no_difference() -> None:
    replacing = order(replacing=Replacement(number=1, price=D(99), quantity=D(3)), replacements=1)

    assert compare(ours(replacing), statement(stated(price=D(99)))) == []


def test_an_order_of_other_hands_is_adopted_for_what_is_left_of_it() -> None:
    kind, [adopted] = only(compare(ours(), statement(stated(None, cumulative_quantity=D("0.5")))))

    assert kind is Kind.EXTERNAL
    assert (adopted.external, adopted.strategy, adopted.status) == (True, "external", OrderStatus.WORKING)
    assert (adopted.quantity, adopted.price, adopted.side) == (D("2.5"), D(100), Side.BUY)
    assert adopted.client_order_id == "venue:binance:BTCUSDT:77"


def test_it_is_adopted_with_those_of_its_trades_that_are_not_entered() -> None:
    lines = stated(None, cumulative_quantity=D("0.5")), trade("e1", "0.4", None)
    _, [adopted, report] = only(compare(ours(), statement(*lines)))

    assert (adopted.quantity, report.order_id) == (D("2.9"), adopted.order_id)


def test_fills_of_an_order_of_other_hands_that_is_over_already_are_adopted_in_their_order() -> None:
    later = trade("e1", "1", None, event_ns=NOW - SECOND)
    kind, [adopted, *reports] = only(compare(ours(), statement(later, trade("e2", "2", None))))

    assert (kind, adopted.quantity, adopted.order_type) == (Kind.EXTERNAL, D(3), OrderType.MARKET)
    assert [report.fill.execution_id for report in reports] == ["e2", "e1"]
    assert [report.cumulative_quantity for report in reports] == [D(2), D(3)]


def test_what_other_hands_did_before_is_history() -> None:
    assert compare(ours(began_ns=NOW), statement(trade("e1", "1", None))) == []
    assert compare(ours(began_ns=NOW), statement(trade("e1", "1"))) != []


def test_an_order_of_ours_that_nobody_here_knows_is_adopted_under_its_own_id() -> None:
    _, [adopted] = only(compare(ours(), statement(stated("lost"))))

    assert (adopted.order_id, adopted.external) == ("default-lost", True)


def test_what_is_not_listed_is_told_of_and_left_alone() -> None:
    kind, steps = only(compare(ours(), statement(stated(None, symbol="XYZUSDT"))))

    assert (kind, steps) == (Kind.EXTERNAL, [])


def test_an_adopted_order_is_no_difference_any_more() -> None:
    assert (
        compare(ours(external(quantity=D(2))), statement(stated(None, quantity=D(5), cumulative_quantity=D(3)))) == []
    )


def test_an_adopted_order_follows_the_terms_there() -> None:
    kind, [words] = only(compare(ours(external()), statement(stated(None, price=D(90)))))

    assert (kind, words.price, words.quantity) == (Kind.TERMS, D(90), D(3))


def test_an_adopted_order_that_is_gone_there_is_closed_here() -> None:
    kind, [words] = only(compare(ours(external()), statement()))

    assert (kind, words.status) == (Kind.ENDED, OrderStatus.CANCELED)


def test_an_adopted_order_that_comes_back_is_nothing_to_cancel() -> None:
    kind, steps = only(compare(ours(external(status="CANCELED")), statement(stated(None))))

    assert (kind, steps) == (Kind.REVIVED, [])


def test_orders_of_two_symbols_may_have_one_number() -> None:
    assert external_name("binance", "BTCUSDT", "7") != external_name("binance", "ETHUSDT", "7")


# How often it was seen.


def _round(before: Reconciliation | None, findings: list[Finding], at_ns: int) -> Reconciliation:
    found = standing(before, findings, at_ns)
    differences = tuple(finding.difference for finding in found)
    return Reconciliation(account="default", venue="binance", at_ns=at_ns, agrees=not found, differences=differences)


def test_a_difference_counts_when_two_statements_some_time_apart_show_it() -> None:
    findings = compare(ours(order()), statement())
    first = _round(None, findings, NOW)
    at_once = _round(first, findings, NOW + 1)
    later = _round(at_once, findings, NOW + SECOND)

    assert [one.differences[0].rounds for one in (first, at_once, later)] == [1, 1, 2]


def test_a_difference_that_was_away_begins_anew() -> None:
    findings = compare(ours(order()), statement())
    first = _round(None, findings, NOW)
    away = _round(first, [], NOW + SECOND)

    assert _round(away, findings, NOW + 2 * SECOND).differences[0].rounds == 1


def test_an_order_that_moved_on_is_another_difference() -> None:
    first = _round(None, compare(ours(order()), statement()), NOW)
    second = _round(first, compare(ours(order(version=3)), statement()), NOW + SECOND)

    assert second.differences[0].rounds == 1


def test_people_are_told_of_a_silent_venue_later_than_of_anything_else() -> None:
    fill = compare(ours(order("CANCELED")), statement(trade()))
    silent = compare(ours(order()), statement())
    gone = compare(ours(external()), statement())
    told: dict[Kind, list[bool]] = {}
    for findings in (fill, silent, gone):
        before = None
        for n in range(5):
            before = _round(before, findings, NOW + n * SECOND)
            told.setdefault(before.differences[0].kind, []).append(is_news(before.differences[0]))

    assert {kind: news.index(True) for kind, news in told.items() if True in news} == {Kind.FILL: 1, Kind.MISSING: 3}


def test_people_are_told_once_for_as_long_as_it_stands() -> None:
    first = _round(None, compare(ours(order("CANCELED")), statement(trade())), NOW)
    told = first.model_copy(update={"differences": (first.differences[0].model_copy(update={"told": True}),)})
    later = _round(told, compare(ours(order("CANCELED")), statement(trade())), NOW + SECOND)

    assert not is_news(later.differences[0])


# Sums.


def fill(number: int, quantity: str, side: str = "BUY", venue: str = "binance", **words: Any) -> Fill:
    given = {
        "fill_id": f"{venue}:{number}",
        "account": "default",
        "order_id": "o",
        "symbol": "BTCUSDT",
        "side": side,
        "price": "100",
        "quantity": quantity,
        "fee": "0",
        "venue": venue,
        "maker": False,
        "event_ns": 1,
        "committed_ns": number * 1000,
    }
    return Fill.model_validate(given | words)


def position(quantity: str, version: int) -> Position:
    return Position(account="default", symbol="BTCUSDT", quantity=D(quantity), version=version)


def instrument(symbol: str, currency: str = "USDT") -> Instrument:
    steps = {"price_tick": "0.01", "lot": "0.001", "quantity_min": "0.001", "quantity_max": "1000"}
    return Instrument.model_validate({"symbol": symbol, "currency": currency} | steps)


LISTED = {one.symbol: one for one in (instrument("BTCUSDT"), instrument("BNBUSDT"), instrument("SPY", "USD"))}


def test_fills_add_up_by_venue_and_over_all_of_them() -> None:
    tally = added(Tally(account="default"), [fill(1, "3"), fill(2, "1", "SELL", "paper")])
    tally = added(tally, [fill(3, "0.5")])

    assert tally.quantities == {"binance": {"BTCUSDT": D("3.5")}, "paper": {"BTCUSDT": D(-1)}}
    assert (filled(tally, "BTCUSDT"), tally.counts, tally.cursor_us) == (D("2.5"), {"BTCUSDT": 3}, 3)
    assert Tally.decode(tally.encode()) == tally


def test_a_position_is_the_sum_of_its_fills() -> None:
    tally = added(Tally(account="default"), [fill(1, "3"), fill(2, "1", "SELL", "paper")])

    assert check_positions(tally, [position("2", 2)]) == []
    assert [one.difference.about for one in check_positions(tally, [position("2.5", 2)])] == ["BTCUSDT"]


def test_a_position_that_moved_on_meanwhile_is_looked_at_the_next_time() -> None:
    tally = added(Tally(account="default"), [fill(1, "3"), fill(2, "1")])

    assert check_positions(tally, [position("3", 1)]) == []


def test_a_position_with_fills_that_are_not_on_record_is_a_difference() -> None:
    [finding] = check_positions(added(Tally(account="default"), [fill(1, "3")]), [position("4", 2)])

    assert (finding.difference.kind, finding.steps) == (Kind.POSITION, ())


def test_holdings_are_what_was_there_and_our_fills_less_what_was_charged() -> None:
    bought = fill(1, "1", fee_asset="BTC", fee_charged="0.001")
    sold = fill(2, "2", "SELL", symbol="BNBUSDT", fee_asset="BNB", fee_charged="0.5")
    baseline = beyond({"BTC": D(10), "BNB": D(5)}, moved(Tally(account="default"), "binance", LISTED))
    moves = moved(added(Tally(account="default"), [bought, sold]), "binance", LISTED)

    assert moves == {"BTC": D("0.999"), "BNB": D("-2.5")}
    assert check_holdings(baseline, {"BTC": D("10.999"), "BNB": D("2.5"), "USDT": D(7)}, moves) == []
    [finding] = check_holdings(baseline, {"BTC": D("10.999"), "BNB": D("2.4")}, moves)
    assert (finding.difference.about, finding.difference.mark) == ("BNB", "-0.1")


def test_fills_at_another_venue_do_not_move_what_this_one_holds() -> None:
    tally = added(Tally(account="default"), [fill(1, "1", venue="paper")])

    assert set(moved(tally, "binance", LISTED).values()) == {D(0)}
