"""Brackets and pairs: exits never close more than was opened, siblings end together and once; what else is found."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.chaos.byhand import D, S, broken, fill, moves
from tests.chaos.evidence import Bound, Evidence
from tests.chaos.invariants import violations


@pytest.fixture
def grouped(clean: Evidence) -> Evidence:
    """The bought order was the entry of a bracket, what was sold took its profit, and its stop ended with that."""
    clean.asked[:2] = []
    stop = moves("stop", "SELL", "NEW", "ACCEPTED", "CANCELED", first=11)
    stop[-1]["order"]["leaving"] = "its sibling was filled"
    clean.events["a-stop"], clean.tape_orders = stop, None
    roles = {"a-buy": {"role": "ENTRY"}, "a-sell": {"role": "EXIT", "reduce_only": True}}
    roles["a-stop"] = {"role": "EXIT", "reduce_only": True, "order_type": "STOP", "stop_price": "90"}
    for order_id, role in roles.items():
        for event in clean.events[order_id]:
            event["order"] |= {"group": "a-buy", **role}
        clean.orders[order_id] = clean.events[order_id][-1]["order"]
    return clean


def test_a_bracket_that_went_as_it_should_breaks_nothing(grouped: Evidence) -> None:
    assert violations(grouped) == []


def test_exits_that_close_more_than_the_entry_opened_are_found(grouped: Evidence) -> None:
    for record in ("venue", "journal"):
        if record == "venue":
            grouped.executions[1] = replace(grouped.executions[1], quantity=D("0.4"))
        else:
            grouped.events["a-buy"][-1]["fill"]["quantity"] = "0.2"
        assert "I6" in broken(grouped)


def test_an_exit_that_fills_before_its_entry_is_found(grouped: Evidence) -> None:
    grouped.executions[1] = replace(grouped.executions[1], event_ns=S)
    assert broken(grouped) == {"I6"}


def test_a_sibling_that_outlives_its_group_is_found(grouped: Evidence) -> None:
    grouped.events["a-stop"].pop()
    grouped.orders["a-stop"] = grouped.events["a-stop"][-1]["order"]
    grouped.open.add("a-stop")
    grouped.reserved["a-stop"] = {"order_id": "a-stop", "quantity": "0.3"}
    assert broken(grouped) == {"I9"}


def test_a_sibling_ended_twice_is_found(grouped: Evidence) -> None:
    first = grouped.events["a-stop"]
    again = copy.deepcopy(first[-1])
    first[-1]["order"] |= {"leaving": "its sibling was filled", "status": "ACCEPTED"}
    first[0]["order"]["leaving"] = "its sibling was reached"
    again["order"] |= {"version": 4}
    first.append(again)
    grouped.orders["a-stop"] = again["order"]
    assert "a sibling was ended more than once" in {one.what for one in violations(grouped)}


def pair(evidence: Evidence, *, other: str) -> None:
    """What rests becomes a leg of a pair with a stop to buy as much, or with another limit order."""
    legs = moves("other", "BUY", "ACCEPTED", first=21)
    legs[0]["order"] |= {"order_type": other} | ({"stop_price": "110"} if other == "STOP" else {})
    evidence.events["a-other"], evidence.tape_orders = legs, None
    for order_id in ("a-rests", "a-other"):
        for event in evidence.events[order_id]:
            event["order"] |= {"group": "a-rests", "role": "LEG", "pair_quantity": "0.3"}
        evidence.orders[order_id] = evidence.events[order_id][-1]["order"]
    evidence.open.add("a-other")
    evidence.reserved["a-other"] = {"order_id": "a-other", "quantity": "0.3"}


def test_of_a_pair_only_one_counts_when_only_one_can_be_at_the_venue(clean: Evidence) -> None:
    clean.bounds = {"BTCUSDT": Bound(D("0.3"), D("0.3"), D("0.3"))}
    pair(clean, other="STOP")
    assert broken(clean) == set()
    pair(clean, other="LIMIT")
    assert "a limit was breached at a moment of the journal" in {one.what for one in violations(clean)}


def test_what_one_leg_filled_is_not_counted_again_as_what_the_other_may(clean: Evidence) -> None:
    clean.bounds = {"BTCUSDT": Bound(D("0.3"), D("0.3"), D("0.3"))}
    pair(clean, other="STOP")
    filled = copy.deepcopy(clean.events["a-rests"][-1])
    filled["order"] |= {"version": 3, "filled_quantity": "0.1", "updated_ns": 30 * S}
    filled["fill"] = fill("rests", "BUY", "100") | {"quantity": "0.1"}
    clean.events["a-rests"].append(filled)  # the stop is still as large as it was
    assert "a limit was breached at a moment of the journal" not in {one.what for one in violations(clean)}


def test_a_leg_that_was_not_shrunk_by_its_siblings_fill_is_found(clean: Evidence) -> None:
    pair(clean, other="STOP")
    clean.orders["a-rests"]["filled_quantity"] = "0.1"
    assert "a sibling stands that should not, or for more than is left" in {one.what for one in violations(clean)}
    clean.orders["a-other"]["quantity"] = "0.2"
    assert "a sibling stands that should not, or for more than is left" not in {one.what for one in violations(clean)}
