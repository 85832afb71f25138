"""Why an order is as it is: one document, whatever became of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from services.oms.core.why import explain, summary
from shared.contract.orders import (
    Fill,
    Order,
    OrderEvent,
    OrderStatus,
    OrderType,
    Replacement,
    Report,
    Role,
    Side,
    VenueFill,
)
from shared.contract.risk import Outcome, Release, Reservation, RiskLevel, RuleResult, Verdict
from shared.kit.web import to_json

START_NS = 1_700_000_000_000_000_000
US = 1000


def order(status: str = "ACCEPTED", **words: Any) -> Order:
    given: dict[str, Any] = {
        "order_id": "a-1",
        "account": "a",
        "client_order_id": "c1",
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": "3",
        "price": "100",
        "status": status,
        "created_ns": START_NS,
        "updated_ns": START_NS,
    }
    return Order.model_validate(given | words)


def report(status: str, sequence: int = 1, at_us: int = 0, **words: Any) -> Report:
    return Report(
        account="a",
        order_id="a-1",
        venue="paper",
        sequence=sequence,
        status=OrderStatus(status),
        cumulative_quantity=Decimal(0),
        event_ns=START_NS + at_us * US,
        **words,
    )


def verdict(*, approved: bool = True, **words: Any) -> Verdict:
    rule = RuleResult(
        id="R07",
        code="RISK_ORDER_QUANTITY",
        value="3",
        limit="5",
        scope="a BTCUSDT",
        outcome=Outcome.PASS if approved else Outcome.FAIL,
    )
    return Verdict(approved=approved, rules=(rule,), risk_level=RiskLevel.LOW, elapsed_us=40, **words)


def filled_order() -> tuple[list[OrderEvent], Verdict]:
    """An order that stood and was then filled, with every time on record."""
    reservation = Reservation(
        account="a",
        order_id="a-1",
        symbol="BTCUSDT",
        side="BUY",
        quantity=Decimal(3),
        price=Decimal(100),
        reserved_ns=START_NS,
    )
    fill = Fill(
        fill_id="paper:e1",
        account="a",
        order_id="a-1",
        symbol="BTCUSDT",
        side=Side.BUY,
        price=Decimal(100),
        quantity=Decimal(3),
        fee=Decimal("0.3"),
        venue="paper",
        maker=False,
        event_ns=START_NS + 900 * US,
        committed_ns=START_NS + 1000 * US,
    )
    execution = VenueFill(
        execution_id="e1", price=fill.price, quantity=fill.quantity, fee=fill.fee, event_ns=fill.event_ns
    )
    standing = order("WORKING", version=2, updated_ns=START_NS + 700 * US)
    done = order(
        "FILLED", version=3, updated_ns=START_NS + 1000 * US, filled_quantity="3", average_fill_price="100", fees="0.3"
    )
    times = {"received_ns": START_NS + 300 * US, "sent_ns": START_NS + 350 * US}
    events = [
        OrderEvent(account="a", order=order(updated_ns=START_NS + 100 * US)),
        OrderEvent(account="a", order=standing, report=report("WORKING", 1, 500, **times)),
        OrderEvent(account="a", order=done, fill=fill, report=report("FILLED", 2, 900, fill=execution)),
    ]
    return events, verdict(reservation=reservation)


def test_a_filled_order_tells_its_whole_story() -> None:
    events, said = filled_order()

    story = explain(events[-1].order, events, said, None, [])

    assert story["summary"] == "All of 3 filled at an average of 100."
    assert (story["intent"]["quantity"], story["intent"]["client_order_id"]) == ("3", "c1")
    assert story["verdict"].rules[0].limit == "5"
    assert [(one["version"], one["status"]) for one in story["commits"]] == [
        (1, "ACCEPTED"),
        (2, "WORKING"),
        (3, "FILLED"),
    ]
    assert story["commits"][0]["changed"] == {}
    assert story["commits"][2]["changed"]["filled_quantity"] == {"from": "0", "to": "3"}
    assert (story["commits"][2]["fill_id"], story["commits"][2]["venue_sequence"]) == ("paper:e1", 2)
    assert [(one["sequence"], one["version"]) for one in story["venue_messages"]] == [(1, 2), (2, 3)]
    assert [fill.fill_id for fill in story["fills"]] == ["paper:e1"]
    assert story["group"] is None


def test_each_hop_is_told_in_microseconds() -> None:
    events, said = filled_order()

    latency = explain(events[-1].order, events, said, None, [])["latency"]

    assert [(hop["from"], hop["to"], hop["us"]) for hop in latency["hops"]] == [
        ("submitted", "risk_answered", 40),
        ("risk_answered", "committed", 100),
        ("committed", "gateway_received", 200),
        ("gateway_received", "gateway_sent", 50),
        ("gateway_sent", "venue_event", 150),
        ("venue_event", "report_committed", 200),
    ]
    assert (latency["total_us"], latency["risk_us"]) == (740, 40)


def test_a_venue_with_a_clock_of_its_own_is_not_reckoned_with() -> None:
    events, said = filled_order()
    long_ago = report("WORKING", 1, -86_400_000_000, received_ns=START_NS + 300 * US, sent_ns=START_NS + 350 * US)
    events[1] = events[1].model_copy(update={"report": long_ago})

    latency = explain(events[-1].order, events, said, None, [])["latency"]

    assert [hop["to"] for hop in latency["hops"]][-1] == "report_committed"
    assert "venue_event" not in [mark["what"] for mark in latency["marks"]]
    assert all(hop["us"] >= 0 for hop in latency["hops"])


def test_a_denied_order_tells_the_rule_and_no_venue() -> None:
    denied = order("DENIED", reason="RISK_ORDER_QUANTITY: 3 is more than 2")
    events = [OrderEvent(account="a", order=denied)]

    story = explain(denied, events, verdict(approved=False, code="RISK_ORDER_QUANTITY"), None, [])

    assert story["summary"].endswith("RISK_ORDER_QUANTITY: 3 is more than 2")
    assert story["verdict"].rules[0].outcome is Outcome.FAIL
    assert (story["venue_messages"], story["fills"], story["replacements"]) == ([], [], [])


def test_a_pended_order_tells_who_released_it() -> None:
    pended = order("PENDING_RISK", reason="RISK_ORDER_NOTIONAL: over the soft limit")
    released = order("ACCEPTED", version=2, reason="")
    release = Release(account="a", order_id="a-1", actor="carol", reason="checked with the client", until_ns=1)
    events = [OrderEvent(account="a", order=one) for one in (pended, released)]

    story = explain(released, events, verdict(approved=False, pending=True), release, [])

    assert story["release"].actor == "carol"
    assert story["commits"][1]["changed"]["status"] == {"from": "PENDING_RISK", "to": "ACCEPTED"}


def test_a_held_stop_tells_what_it_waits_for_and_when_it_was_triggered() -> None:
    held = order(order_type="STOP", price=None, stop_price="110")
    sent = held.model_copy(
        update={"status": OrderStatus.ROUTED, "triggered_ns": START_NS + 5, "version": 2, "updated_ns": START_NS + 5000}
    )
    events = [OrderEvent(account="a", order=one) for one in (held, sent)]

    assert summary(held) == "Waits here for its stop at 110; paper does not know it."
    story = explain(sent, events, verdict(), None, [])
    assert story["commits"][1]["changed"]["triggered_ns"] == {"from": 0, "to": str(START_NS + 5)}
    hops = [(hop["from"], hop["to"], hop["us"]) for hop in story["latency"]["hops"]]
    assert hops == [("submitted", "committed", 0), ("committed", "routed", 5)]


def test_a_trailing_stop_without_a_price_yet_says_so() -> None:
    held = order(order_type="TRAILING_STOP", price=None, trail="1%")
    assert summary(held) == "Waits here for its stop at a price that follows the market; paper does not know it."


def test_the_others_of_a_group_are_told_but_not_the_order_itself() -> None:
    entry = order("FILLED", group="g1", role=Role.ENTRY)
    leg = order("ACCEPTED", order_id="a-2", group="g1", role=Role.EXIT, side="SELL", quantity="1.5")

    group = explain(entry, [], None, None, [entry, leg])["group"]

    assert (group["id"], group["role"]) == ("g1", Role.ENTRY)
    assert [(one["order_id"], one["role"], one["quantity"]) for one in group["others"]] == [("a-2", "EXIT", "1.5")]


def test_each_replacement_tells_what_became_of_it() -> None:
    def wanted(number: int, version: int) -> OrderEvent:
        replacing = Replacement(number=number, price=Decimal(100 + number), quantity=Decimal(3))
        return OrderEvent(
            account="a", order=order("WORKING", replacing=replacing, replacements=number, version=version)
        )

    def answered(version: int, **words: Any) -> OrderEvent:
        said = report("WORKING", version, **words)
        return OrderEvent(account="a", order=order("WORKING", version=version), report=said)

    events = [
        OrderEvent(account="a", order=order("WORKING")),
        wanted(1, 2),
        answered(3, replaced=1),
        wanted(2, 4),
        answered(5, replaced=1, refused=2, reason="too late"),
        wanted(3, 6),
    ]

    told = explain(events[-1].order, events, None, None, [])["replacements"]

    assert [(one["number"], one["price"], one["outcome"]) for one in told] == [
        (1, "101", "CONFIRMED"),
        (2, "102", "REFUSED"),
        (3, "103", "PENDING"),
    ]
    assert told[1]["reason"] == "too late"


@pytest.mark.parametrize("status", list(OrderStatus))
def test_every_order_can_be_explained_even_with_nothing_else_on_record(status: OrderStatus) -> None:
    story = explain(order(status), [], None, None, [])

    assert story["summary"]
    assert story["latency"]["hops"] == []
    assert orjson.loads(to_json(story))["order"]["created_at"] == "2023-11-14T22:13:20Z"
