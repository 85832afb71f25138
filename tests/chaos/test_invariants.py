"""A check that cannot fail proves nothing: each of them finds what is planted, and nothing in clean records."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.chaos.byhand import D, S, asked, broken, moves
from tests.chaos.evidence import (
    Attempt,
    AtVenue,
    Bound,
    Evidence,
    Killed,
    Replace,
    Sweep,
    Words,
)
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
from tests.chaos.invariants.kills import last_out_ns


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


def test_a_replacement_that_was_acknowledged_and_forgotten_is_found(clean: Evidence) -> None:
    wanted = Replace("a-rests", {"quantity": "0.30", "price": "100"}, [Attempt(3 * S, 4 * S, 200)], {})
    clean.asked[2].replaces = [wanted]
    assert broken(clean) == set()
    wanted.body["price"] = "101"
    assert broken(clean) == {"I1"}
    wanted.answer = None
    assert broken(clean) == set()


@pytest.mark.parametrize("narrower", [{}, {"strategy": "s"}, {"symbol": "BTCUSDT"}])
def test_a_cancel_all_that_left_an_order_of_its_scope_is_found(clean: Evidence, narrower: dict[str, str]) -> None:
    clean.sweeps = [Sweep({"account": "a", **narrower}, [Attempt(3 * S, 4 * S, None), Attempt(5 * S, 6 * S, 200)])]
    assert broken(clean) == {"I1"}
    clean.sweeps[0].attempts[-1].sent_ns = S  # before the order was acknowledged
    assert broken(clean) == set()
    clean.sweeps[0].told = {"a-rests"}
    assert broken(clean) == {"I1"}


def test_a_cancel_all_of_others_breaks_nothing(clean: Evidence) -> None:
    scopes = ({"account": "b"}, {"account": "a", "strategy": "t"}, {"account": "a", "symbol": "ETHUSDT"})
    clean.sweeps = [Sweep(scope, [Attempt(5 * S, 6 * S, 200)]) for scope in scopes]
    clean.sweeps.append(Sweep({"account": "a"}, [Attempt(5 * S, 6 * S, None)]))
    assert broken(clean) == set()


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
    assert broken(clean) == {"I3", "I4", "I9"}  # more than was asked for, too


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


def test_more_filled_at_the_venue_than_any_replacement_asked_for_is_found(clean: Evidence) -> None:
    clean.asked[0].body["quantity"] = "0.2"
    assert {one.what for one in violations(clean)} == {"the venue filled more than was ever asked for"}
    clean.asked[0].replaces = [Replace("a-buy", {"quantity": "0.3"}, [Attempt(S, 2 * S, None)])]
    assert broken(clean) == set()


@pytest.mark.parametrize(
    "moves_on",
    [
        [{"order_type": "STOP"}, {"order_type": "STOP", "status": "WORKING"}],
        [{"order_type": "STOP", "triggered_ns": 5}, {"order_type": "STOP", "status": "ROUTED", "triggered_ns": 6}],
        [{"replacements": 1}, {"replacements": 0}],
        [{"replacing": {"number": 1, "quantity": "0.2"}}, {"replacing": {"number": 2, "quantity": "0.1"}}],
    ],
)
def test_a_stop_or_a_replacement_out_of_turn_is_found(clean: Evidence, moves_on: list[Words]) -> None:
    events = moves("x", "BUY", "ACCEPTED", "ACCEPTED", first=50)
    for event, changed in zip(events, moves_on, strict=True):
        event["order"] |= changed
    clean.events["a-x"], clean.orders["a-x"] = events, events[-1]["order"]
    assert "an order moved as it may not" in {one.what for one in violations(clean)}


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


@pytest.mark.parametrize(
    "statuses",
    [("ROUTED", "PENDING_UNKNOWN", "WORKING"), ("ROUTED", "PENDING_UNKNOWN", "REJECTED"), ("ROUTED", "CANCELED")],
)
def test_an_order_out_of_doubt_or_ended_without_the_venues_word_is_found(
    clean: Evidence, statuses: tuple[str, ...]
) -> None:
    clean.events["a-x"] = moves("x", "BUY", *statuses, first=50)
    clean.orders["a-x"] = clean.events["a-x"][-1]["order"]
    what = "ended, or out of doubt, without a word of the venue"
    assert what not in {one.what for one in violations(clean)}
    for report in (None, {"order_id": "a-another"}):
        clean.events["a-x"][-1]["report"] = report
        assert what in {one.what for one in violations(clean)}


def test_new_terms_that_nobody_ever_answered_are_found(clean: Evidence) -> None:
    clean.orders["a-rests"]["replacing"] = {"number": 1, "quantity": "0.3", "price": "101"}
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


def test_the_last_order_out_too_late_is_found_where_it_is_promised(clean: Evidence) -> None:
    clean.venue["a-gone"] = replace(clean.venue["a-gone"], out_ns=9 * S + 300_000_000)
    clean.killed = [Killed("account.a", 9 * S, lifted_ns=10 * S)]
    assert last_out_ns(clean.killed[0], clean) == 300_000_000
    assert broken(clean) == set()
    clean.killed = [replace(clean.killed[0], out_within_ns=250_000_000)]
    assert broken(clean) == {"I11"}
    clean.killed = [replace(clean.killed[0], acknowledged_ns=9 * S + 50_000_000)]
    assert broken(clean) == set()
    assert last_out_ns(replace(clean.killed[0], scope="account.b"), clean) == 0


def test_a_fill_under_a_kill_is_found(clean: Evidence) -> None:
    clean.executions[1] = replace(clean.executions[1], event_ns=10 * S)
    clean.killed = [Killed("firm", 9 * S, lifted_ns=11 * S)]
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


def test_an_answer_out_of_order_to_anything_else_is_found() -> None:
    bad = Attempt(0, S, 500)
    one = asked("x", "BUY")
    one.replaces = [Replace("a-x", {"price": "1"}, [bad])]
    assert i12_answers_are_orderly([one])
    assert i12_answers_are_orderly([], [Sweep({"account": "a"}, [bad])])


def test_a_service_that_grows_without_end_is_found() -> None:
    assert i12_what_is_used_is_bounded([Sample("oms", MEMORY_MAX, FILES_MAX)]) == []
    assert i12_what_is_used_is_bounded([Sample("oms", MEMORY_MAX + 1, 1)])
    assert i12_what_is_used_is_bounded([Sample("oms", 1, FILES_MAX + 1)])


def test_a_recovery_that_took_too_long_is_found() -> None:
    assert i13_recovered_in_time([Recovery("F1", "oms", 6.0, 3.0)]) == []
    assert i13_recovered_in_time([Recovery("F1", "oms", 6.1, 3.0)])
