"""An order's story on a terminal."""

from __future__ import annotations

from typing import Any

from shared.cli import story

INTENT: dict[str, Any] = {
    **{"account": "default", "side": "SELL", "quantity": "2", "symbol": "SPY", "order_type": "TRAILING_STOP"},
    **{"price": None, "stop_price": "550", "trail": "1%", "time_in_force": "DAY", "reduce_only": True},
    **{"post_only": False, "strategy": "slow"},
}


def test_the_intent_is_one_line() -> None:
    words = "default SELL 2 SPY TRAILING_STOP from 550 trailing 1% DAY reduce_only for slow"
    assert story.wanted(INTENT) == words


def test_of_the_rules_only_those_are_shown_that_did_not_pass() -> None:
    rule = {"id": "R07", "code": "RISK_ORDER_QUANTITY", "value": "9", "limit": "5", "scope": "firm"}
    rules = [rule | {"outcome": "FAIL"}, rule | {"id": "R08", "outcome": "PASS"}]
    told = story.judged({"approved": False, "pending": False, "rules": rules, "elapsed_us": 40})
    assert told.splitlines()[0] == "denied by risk, 2 findings in 40 us"
    assert "R07" in told
    assert "R08" not in told


def test_an_order_over_a_soft_limit_waits_for_somebody() -> None:
    verdict = {"approved": False, "pending": True, "rules": [], "elapsed_us": 40}
    assert story.judged(verdict).startswith("held for a second person by risk")


def test_an_exit_that_waits_was_not_judged_yet() -> None:
    assert story.judged(None) == "risk has not been asked"


def test_a_commit_says_what_it_changed() -> None:
    changed = {
        "status": {"from": "WORKING", "to": "WORKING"},
        "replacing": {"from": None, "to": {"number": 1, "price": "551", "quantity": "3"}},
        "stop_price": {"from": "550", "to": "552"},
    }
    told = story.commit({"at": "12:00", "status": "WORKING", "reason": "why not", "changed": changed})
    assert told == ("12:00", "WORKING", "stop_price 552; asked for 3 at 551; why not")


def test_new_terms_without_a_price_are_a_quantity() -> None:
    assert story.terms({"quantity": "3", "price": None}) == "3"
