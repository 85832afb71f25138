"""What becomes of an order."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.oms.core import order as core
from services.oms.core.intent import same_intent
from shared.contract.errors import Conflict
from shared.contract.orders import Order, OrderStatus, Report, VenueFill
from shared.domain.identity import account_of, order_id
from shared.domain.lifecycle import TERMINAL


def order(quantity: str = "3", *, status: OrderStatus = OrderStatus.ACCEPTED, **words: Any) -> Order:
    terms = {"symbol": "BTCUSDT", "side": "BUY", "quantity": quantity, "order_type": "LIMIT", "price": 10}
    whose = {"order_id": order_id("default", "c1"), "account": "default", "client_order_id": "c1"}
    times = {"created_ns": 1, "updated_ns": 1}
    return Order.model_validate({"status": status} | terms | whose | times | words)


def report(status: str, n: int = 1, *, fill: tuple[str, str] | None = None, reason: str = "") -> Report:
    execution = None
    if fill is not None:
        id, quantity = fill
        execution = VenueFill(
            execution_id=id, price=Decimal(10), quantity=Decimal(quantity), fee=Decimal("0.1"), event_ns=1
        )
    return Report(
        account="default",
        order_id=order_id("default", "c1"),
        venue="paper",
        sequence=n,
        status=OrderStatus(status),
        cumulative_quantity=Decimal(0),
        fill=execution,
        reason=reason,
        event_ns=1,
    )


def told(*reports: Report, start: Order | None = None) -> Order:
    current, known = start or order(), set[str]()
    for one in reports:
        current, fill = core.apply(current, one, known, at_ns=5)
        if fill is not None:
            known.add(fill.fill_id)
    return current


def test_the_same_client_order_id_leads_to_the_same_order_and_its_account() -> None:
    assert order_id("desk-7", "c1") == order_id("desk-7", "c1")
    assert order_id("desk-7", "c1") != order_id("desk", "7-c1")
    assert account_of(order_id("desk-7", "c1")) == "desk-7"


def test_the_same_id_with_other_words_is_refused() -> None:
    with pytest.raises(Conflict, match="side differ"):
        same_intent(order(side="SELL"), order())


def test_fills_add_up_until_the_order_is_filled() -> None:
    after = told(
        report("WORKING"), report("PARTIALLY_FILLED", 2, fill=("e1", "1")), report("FILLED", 3, fill=("e2", "2"))
    )

    assert (after.status, after.filled_quantity, after.fees) == (OrderStatus.FILLED, 3, Decimal("0.2"))
    assert after.average_fill_price == 10


def test_hearing_a_fill_again_counts_it_once() -> None:
    once = told(report("PARTIALLY_FILLED", fill=("e1", "1")))
    known = {core.fill_id(report("PARTIALLY_FILLED", fill=("e1", "1")))}

    assert core.apply(once, report("PARTIALLY_FILLED", fill=("e1", "1")), known, at_ns=9) == (once, None)


def test_an_old_status_changes_nothing() -> None:
    partly = told(report("PARTIALLY_FILLED", 2, fill=("e1", "1")))

    assert told(report("WORKING", 1), start=partly) is partly


def test_a_claim_to_be_filled_waits_for_its_fills() -> None:
    claimed = told(report("FILLED", 3, fill=("e2", "2")))
    assert claimed.status is OrderStatus.PARTIALLY_FILLED

    known = {"paper:e2"}
    after, _ = core.apply(claimed, report("PARTIALLY_FILLED", 2, fill=("e1", "1")), known, at_ns=6)
    assert after.status is OrderStatus.FILLED


def test_a_fill_that_crosses_the_cancel_still_counts() -> None:
    leaving = core.ask_to_cancel(order(), at_ns=2)
    partly = told(report("PARTIALLY_FILLED", fill=("e1", "1")), start=leaving)
    assert (partly.status, partly.filled_quantity) == (OrderStatus.PENDING_CANCEL, 1)

    over = told(report("CANCELED", 2), start=partly)
    late, fill = core.apply(over, report("FILLED", 3, fill=("e2", "2")), {"paper:e1"}, at_ns=7)
    assert fill is not None
    assert (over.status, late.status, late.filled_quantity) == (OrderStatus.CANCELED, OrderStatus.FILLED, 3)


def test_an_order_that_is_over_cannot_be_cancelled() -> None:
    with pytest.raises(Conflict, match="FILLED"):
        core.ask_to_cancel(order(status=OrderStatus.FILLED), at_ns=2)


def test_asking_twice_to_cancel_is_asking_once() -> None:
    leaving = core.ask_to_cancel(order(), at_ns=2)

    assert core.ask_to_cancel(leaving, at_ns=3) is leaving


def test_silence_is_unknown_until_the_venue_speaks() -> None:
    unknown = core.doubt(order(), at_ns=2)
    assert unknown.status is OrderStatus.PENDING_UNKNOWN

    assert told(report("WORKING"), start=unknown).status is OrderStatus.WORKING
    assert told(report("REJECTED", reason="no"), start=unknown).status is OrderStatus.REJECTED


def test_what_is_in_doubt_stays_in_doubt_when_its_end_is_asked_for() -> None:
    unknown = core.doubt(order(), at_ns=2)
    leaving = core.ask_to_cancel(unknown, at_ns=3)

    assert (leaving.status, leaving.leaving) == (OrderStatus.PENDING_UNKNOWN, "cancelled on request")
    assert core.ask_to_cancel(leaving, at_ns=4) is leaving
    assert told(report("CANCELED"), start=leaving).status is OrderStatus.CANCELED


def test_out_of_doubt_an_order_no_longer_says_that_the_venue_is_silent() -> None:
    assert told(report("WORKING"), start=core.doubt(order(), at_ns=2)).reason == ""


def test_a_fill_of_a_rejected_order_is_entered_and_it_was_cancelled_then() -> None:
    rejected = told(report("REJECTED", reason="no"))
    partly = told(report("REJECTED", 2, fill=("e1", "1")), start=rejected)

    assert (partly.status, partly.filled_quantity) == (OrderStatus.CANCELED, 1)


def test_a_venue_may_fill_more_than_it_was_asked_to() -> None:
    after = told(report("FILLED", fill=("e1", "3")), report("FILLED", 2, fill=("e2", "1")))

    assert (after.status, after.filled_quantity) == (OrderStatus.FILLED, 4)


def test_the_venue_cannot_speak_of_what_it_was_never_told_of() -> None:
    stop = order(order_type="STOP", price=None, stop_price="9")

    with pytest.raises(LookupError, match="never told of"):
        core.apply(stop, report("WORKING"), set(), at_ns=2)


executions = st.lists(st.integers(1, 3), min_size=1, max_size=6)


@given(executions, st.data())
def test_whatever_the_order_of_reports_the_outcome_is_the_same(sizes: list[int], data: st.DataObject) -> None:
    total = sum(sizes)
    reports = [report("WORKING", 1)]
    for n, size in enumerate(sizes):
        status = "FILLED" if n == len(sizes) - 1 else "PARTIALLY_FILLED"
        reports.append(report(status, n + 2, fill=(f"e{n}", str(size))))
    shuffled = data.draw(st.permutations(reports + data.draw(st.lists(st.sampled_from(reports)))))

    after = told(*shuffled, start=order(str(total)))

    assert (after.status, after.filled_quantity) == (OrderStatus.FILLED, total)
    assert after.status in TERMINAL
