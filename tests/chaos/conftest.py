"""Evidence that is as it should be."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from tests.chaos.byhand import D, S, asked, entry, fill, moves
from tests.chaos.evidence import Attempt, AtVenue, Bound, Evidence, Execution


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
