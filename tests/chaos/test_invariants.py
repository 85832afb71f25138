"""A check that cannot fail proves nothing: each of them finds what is planted, and nothing in clean records."""

from __future__ import annotations

import copy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.evidence import Asked, Attempt, AtVenue, Bound, Evidence, Execution, Killed, Words, digest
from tests.chaos.invariants import violations
from tests.chaos.invariants.bounds import (
    FILES_MAX,
    MEMORY_MAX,
    Recovery,
    Sample,
    i12_answers_are_orderly,
    i12_what_is_used_is_bounded,
    i13_recovered_in_time,
)

D = Decimal
S = 1_000_000_000


def order(client: str, side: str, status: str, filled: str = "0", version: int = 1, **more: Any) -> Words:
    words = {"account": "a", "client_order_id": client, "symbol": "BTCUSDT", "side": side, "quantity": "0.3"}
    words |= {"order_type": "LIMIT", "price": "100", "time_in_force": "GTC", "strategy": "s", "reason": ""}
    words |= {"order_id": f"a-{client}", "status": status, "filled_quantity": filled, "version": version}
    return words | {"updated_ns": version * S} | more


def fill(client: str, side: str, price: str) -> Words:
    words = {"fill_id": f"paper:a-{client}-1", "account": "a", "order_id": f"a-{client}", "symbol": "BTCUSDT"}
    return words | {"side": side, "price": price, "quantity": "0.3", "fee": "0.01"}


def entry(client: str, cash: str, quantity: str) -> Words:
    lines = [("position", "BTCUSDT", quantity), ("market", "BTCUSDT", format(-D(quantity), "f"))]
    lines += [("cash", "USD", cash), ("conversion", "USD", format(-D(cash), "f"))]
    postings = [dict(zip(("ledger", "unit", "amount"), line, strict=True)) for line in lines]
    return {"account": "a", "fill_id": f"paper:a-{client}-1", "postings": postings}


def asked(client: str, side: str) -> Asked:
    body = {name: order(client, side, "")[name] for name in ("account", "client_order_id", "symbol", "side")}
    body |= {"order_type": "LIMIT", "quantity": "0.30", "price": "100", "strategy": "s"}
    attempts = [Attempt(0, S, None), Attempt(S, 2 * S, 200)]
    return Asked("a", client, body, digest(body), attempts, [{"order_id": f"a-{client}"}])


def moves(client: str, side: str, *statuses: str, filled: str = "0", first: int = 0) -> list[Words]:
    made: list[Words] = []
    for version, status in enumerate(statuses, 1):
        last = version == len(statuses)
        one = order(client, side, status, filled if last else "0", version, updated_ns=(first + version) * S)
        made.append({"account": "a", "order": one, "fill": fill(client, side, "100") if last and D(filled) else None})
    return made


@pytest.fixture
def clean() -> Evidence:
    """A bought order, a sold one, one that rests, one denied, one cancelled; everything in agreement."""
    evidence = Evidence(bounds={"BTCUSDT": Bound(D("0.6"), D("0.6"), D("0.3"))})
    evidence.events = {
        "a-buy": moves("buy", "BUY", "ACCEPTED", "FILLED", filled="0.3"),
        "a-sell": moves("sell", "SELL", "ACCEPTED", "WORKING", "FILLED", filled="0.3", first=10),
        "a-rests": moves("rests", "BUY", "ACCEPTED", "WORKING", first=20),
        "a-denied": moves("denied", "BUY", "DENIED", first=30),
        "a-gone": moves("gone", "SELL", "ACCEPTED", "WORKING", "PENDING_CANCEL", "CANCELED", first=40),
    }
    evidence.orders = {id: events[-1]["order"] for id, events in evidence.events.items()}
    evidence.asked = [asked(c, s) for c, s in (("buy", "BUY"), ("sell", "SELL"), ("rests", "BUY"), ("gone", "SELL"))]
    evidence.asked[3].cancel = [Attempt(3 * S, 4 * S, 200)]
    denied = asked("denied", "BUY")
    evidence.asked.append(replace(denied, answers=[], denial={"order_id": "a-denied"}))
    evidence.fills = [fill("buy", "BUY", "100"), fill("sell", "SELL", "100")]
    evidence.positions = [{"account": "a", "symbol": "BTCUSDT", "quantity": "0.0"}]
    evidence.balances = {"a": {"account": "a", "cash": "999999.98"}}
    evidence.entries = {"a": [entry("buy", "-30.01", "0.3"), entry("sell", "29.99", "-0.3")]}
    evidence.open = {"a-rests"}
    evidence.reserved = {"a-rests": {"order_id": "a-rests", "quantity": "0.3"}}
    for client, status in (("buy", "FILLED"), ("sell", "FILLED"), ("rests", "WORKING"), ("gone", "CANCELED")):
        filled = D("0.3") if status == "FILLED" else D(0)
        evidence.venue[f"a-{client}"] = AtVenue(f"a-{client}", "a", status, status == "WORKING", filled, S)
    evidence.executions = [
        Execution("a-buy-1", "a-buy", "BTCUSDT", "BUY", D(100), D("0.3"), D("0.01"), 2 * S),
        Execution("a-sell-1", "a-sell", "BTCUSDT", "SELL", D(100), D("0.3"), D("0.01"), 3 * S),
    ]
    evidence.tape_fills = copy.deepcopy(evidence.fills)
    evidence.tape_orders = [
        {"order_id": id, "version": event["order"]["version"], "status": event["order"]["status"]}
        for id, events in evidence.events.items()
        for event in events
    ]
    return evidence


def broken(evidence: Evidence) -> set[str]:
    return {violation.invariant for violation in violations(evidence)}


def test_clean_records_break_nothing(clean: Evidence) -> None:
    assert violations(clean) == []


# I1


def test_an_acknowledged_order_that_is_not_stored_is_found(clean: Evidence) -> None:
    clean.asked.append(asked("lost", "BUY"))
    assert broken(clean) == {"I1"}


def test_a_denial_that_is_not_stored_is_found(clean: Evidence) -> None:
    clean.asked.append(replace(asked("unseen", "BUY"), answers=[], denial={"order_id": "a-unseen"}))
    assert broken(clean) == {"I1"}


def test_an_order_stored_with_another_quantity_is_found(clean: Evidence) -> None:
    clean.events["a-rests"][0]["order"]["quantity"] = "0.2"
    assert broken(clean) == {"I1"}


def test_an_order_answered_for_under_two_ids_is_found(clean: Evidence) -> None:
    clean.asked[0].answers.append({"order_id": "a-another"})
    assert broken(clean) == {"I1"}


def test_a_cancel_that_was_acknowledged_and_forgotten_is_found(clean: Evidence) -> None:
    clean.asked[2].cancel = [Attempt(0, S, 200)]
    assert broken(clean) == {"I1"}


# I2


def test_two_venue_orders_for_one_client_order_id_are_found(clean: Evidence) -> None:
    for order_id in ("a-gone", "a-sell"):
        clean.venue[order_id] = replace(clean.venue[order_id], client_order_id="same")
    assert broken(clean) == {"I2"}


def test_two_orders_for_one_client_order_id_are_found(clean: Evidence) -> None:
    clean.orders["a-denied"]["client_order_id"] = "gone"
    assert "I2" in broken(clean)


def test_a_venue_order_that_nobody_sent_is_found(clean: Evidence) -> None:
    clean.venue["a-ghost"] = AtVenue("a-ghost", "a", "CANCELED", False, D(0), S)
    assert broken(clean) == {"I2"}


# I3


def test_a_lost_execution_is_found(clean: Evidence) -> None:
    clean.executions.append(replace(clean.executions[0], execution_id="a-buy-2"))
    assert broken(clean) == {"I3", "I4"}


def test_an_invented_fill_is_found(clean: Evidence) -> None:
    clean.executions.pop()
    assert broken(clean) == {"I3", "I4"}


def test_a_fill_committed_twice_is_found(clean: Evidence) -> None:
    again = copy.deepcopy(clean.events["a-buy"][-1])
    again["order"] |= {"version": 3}
    clean.events["a-buy"].append(again)
    clean.orders["a-buy"] = again["order"]
    clean.tape_orders = None
    assert "I3" in broken(clean)


def test_a_fill_at_another_price_than_its_execution_is_found(clean: Evidence) -> None:
    clean.executions[0] = replace(clean.executions[0], price=D(101))
    assert broken(clean) == {"I3"}


def test_an_order_that_says_it_filled_more_than_its_fills_is_found(clean: Evidence) -> None:
    clean.orders["a-rests"]["filled_quantity"] = "0.1"
    assert "I3" in broken(clean)


# I4, I5


def test_a_position_that_is_not_its_fills_is_found(clean: Evidence) -> None:
    clean.positions[0]["quantity"] = "0.00001"
    assert broken(clean) == {"I4"}


def test_a_lost_position_is_found(clean: Evidence) -> None:
    clean.fills[1]["quantity"] = "0.1"
    clean.positions.clear()
    assert "I4" in broken(clean)


def test_a_missing_cent_is_found(clean: Evidence) -> None:
    clean.balances["a"]["cash"] = "999999.97"
    assert broken(clean) == {"I5"}


def test_an_entry_that_does_not_sum_to_zero_is_found(clean: Evidence) -> None:
    clean.entries["a"][0]["postings"][0]["amount"] = "0.31"
    assert broken(clean) == {"I5"}


def test_an_entry_made_twice_is_found(clean: Evidence) -> None:
    clean.entries["a"].append(clean.entries["a"][0])
    assert broken(clean) == {"I5"}


def test_a_fill_without_an_entry_is_found(clean: Evidence) -> None:
    clean.entries["a"].pop()
    assert broken(clean) == {"I5"}


# I6


def test_open_orders_that_could_fill_beyond_the_limit_are_found(clean: Evidence) -> None:
    clean.bounds = {"BTCUSDT": Bound(D("0.29"), D("0.6"), D("0.3"))}
    assert broken(clean) == {"I6"}


def test_an_order_larger_than_allowed_is_found(clean: Evidence) -> None:
    clean.bounds = {"BTCUSDT": Bound(D("0.6"), D("0.6"), D("0.29"))}
    assert broken(clean) == {"I6"}


def test_a_breach_that_only_the_venue_saw_is_found(clean: Evidence) -> None:
    clean.executions[0] = replace(clean.executions[0], quantity=D("0.7"))
    assert "a limit was breached in the venue's record" in {one.what for one in violations(clean)}


def test_a_reservation_of_an_order_that_is_over_is_found(clean: Evidence) -> None:
    clean.reserved["a-gone"] = {"order_id": "a-gone", "quantity": "0.3"}
    assert broken(clean) == {"I6"}


def test_an_open_order_with_too_little_set_aside_is_found(clean: Evidence) -> None:
    clean.reserved["a-rests"]["quantity"] = "0.1"
    assert broken(clean) == {"I6"}


def test_an_open_order_with_nothing_set_aside_is_found(clean: Evidence) -> None:
    clean.reserved.clear()
    assert broken(clean) == {"I6"}


# I8


def test_a_fill_that_the_tape_lacks_has_twice_or_altered_is_found(clean: Evidence) -> None:
    rows = clean.tape_fills
    assert rows is not None
    for wrong in (
        rows[:1],
        [*rows, rows[0]],
        [rows[0] | {"price": "99"}, rows[1]],
        [*rows, rows[0] | {"fill_id": "x"}],
    ):
        clean.tape_fills = wrong
        assert broken(clean) == {"I8"}


def test_a_change_that_the_tape_lacks_or_tells_otherwise_is_found(clean: Evidence) -> None:
    rows = clean.tape_orders
    assert rows is not None
    for wrong in (
        rows[1:],
        [*rows, rows[0]],
        [rows[0] | {"status": "NEW"}, *rows[1:]],
        [*rows, rows[0] | {"version": 9}],
    ):
        clean.tape_orders = wrong
        assert broken(clean) == {"I8"}


# I9


@pytest.mark.parametrize(
    ("statuses", "filled"),
    [
        (("ACCEPTED", "CANCELED", "WORKING"), "0"),
        (("DENIED", "ACCEPTED"), "0"),
        (("ACCEPTED", "WORKING", "ACCEPTED"), "0"),
        (("ACCEPTED", "WORKING", "NEW"), "0"),
        (("ACCEPTED", "CANCELED", "FILLED"), "0"),
    ],
)
def test_a_move_that_may_not_be_is_found(clean: Evidence, statuses: tuple[str, ...], filled: str) -> None:
    clean.events["a-x"] = moves("x", "BUY", *statuses, filled=filled, first=50)
    clean.orders["a-x"] = clean.events["a-x"][-1]["order"]
    assert "I9" in broken(clean)


def test_a_gap_in_the_versions_is_found(clean: Evidence) -> None:
    del clean.events["a-sell"][1]
    clean.tape_orders = None
    assert broken(clean) == {"I9"}


def test_an_order_whose_last_event_was_lost_is_found(clean: Evidence) -> None:
    clean.orders["a-rests"] = clean.orders["a-rests"] | {"version": 3}
    assert broken(clean) == {"I9"}


def test_fills_that_shrink_or_exceed_the_order_are_found(clean: Evidence) -> None:
    for before, after in (("0.2", "0.1"), ("0.2", "0.4")):
        events = moves("x", "BUY", "ACCEPTED", "WORKING", "WORKING", first=50)
        events[1]["order"]["filled_quantity"], events[2]["order"]["filled_quantity"] = before, after
        clean.events["a-x"], clean.orders["a-x"] = events, events[-1]["order"]
        assert "I9" in broken(clean)


# I10


@pytest.mark.parametrize(
    "there",
    [
        AtVenue("a-rests", "a", "CANCELED", False, D(0), S),
        AtVenue("a-rests", "a", "PARTIALLY_FILLED", True, D("0.1"), S),
        None,
    ],
)
def test_a_venue_that_sees_it_otherwise_is_found(clean: Evidence, there: AtVenue | None) -> None:
    clean.venue.pop("a-rests")
    if there is not None:
        clean.venue["a-rests"] = there
    assert broken(clean) == {"I10"}


def test_an_order_ended_here_that_works_on_there_is_found(clean: Evidence) -> None:
    clean.venue["a-gone"] = replace(clean.venue["a-gone"], is_open=True, status="WORKING")
    assert broken(clean) == {"I10"}


def test_an_order_whose_fate_stays_unknown_is_found(clean: Evidence) -> None:
    clean.orders["a-rests"]["status"] = "PENDING_UNKNOWN"
    clean.tape_orders = None
    assert broken(clean) == {"I10"}


def test_a_forgotten_member_of_the_open_orders_is_found(clean: Evidence) -> None:
    clean.open.clear()
    assert broken(clean) == {"I10"}


def test_a_denied_order_that_reached_the_venue_is_found(clean: Evidence) -> None:
    clean.venue["a-denied"] = AtVenue("a-denied", "a", "WORKING", True, D(0), S)
    assert "I10" in broken(clean)


# I11


@pytest.mark.parametrize("scope", ["firm", "account.a", "symbol.BTCUSDT", "strategy.s"])
def test_an_order_that_leaves_under_a_kill_is_found(clean: Evidence, scope: str) -> None:
    clean.killed = [Killed(scope, 0, lifted_ns=10 * S)]
    assert broken(clean) == {"I11"}


def test_a_kill_that_came_later_or_elsewhere_breaks_nothing(clean: Evidence) -> None:
    clean.killed = [Killed("firm", 4 * S, lifted_ns=5 * S), Killed("account.b", 0), Killed("symbol.ETHUSDT", 0)]
    assert broken(clean) == set()


def test_an_order_left_working_under_a_kill_is_found(clean: Evidence) -> None:
    clean.killed = [Killed("firm", 9 * S)]
    assert broken(clean) == {"I11"}


# I12, I13


@pytest.mark.parametrize(
    "attempt",
    [Attempt(0, S, 500), Attempt(0, S, 404), Attempt(0, S, 503, orderly=False), Attempt(0, 16 * S, None)],
)
def test_an_answer_out_of_order_is_found(attempt: Attempt) -> None:
    one = asked("x", "BUY")
    assert i12_answers_are_orderly([one]) == []
    one.attempts.append(attempt)
    assert [violation.invariant for violation in i12_answers_are_orderly([one])] == ["I12"]


def test_a_service_that_grows_without_end_is_found() -> None:
    assert i12_what_is_used_is_bounded([Sample("oms", MEMORY_MAX, FILES_MAX)]) == []
    assert i12_what_is_used_is_bounded([Sample("oms", MEMORY_MAX + 1, 1)])
    assert i12_what_is_used_is_bounded([Sample("oms", 1, FILES_MAX + 1)])


def test_a_recovery_that_took_too_long_is_found() -> None:
    assert i13_recovered_in_time([Recovery("F1", "oms", 6.0, 3.0)]) == []
    assert i13_recovered_in_time([Recovery("F1", "oms", 6.1, 3.0)])
