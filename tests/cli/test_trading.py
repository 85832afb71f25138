"""The verbs that trade, against a suite that runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("trading")) as one:
        wait_until(lambda: all(ticker["ask"] for ticker in one.get("/api/gateway/tickers")), "the market to quote")
        yield one


def invoked(suite: Suite, *arguments: str) -> Result:
    where = {"TRADE2026_VAR": str(suite.var), "TRADE2026_PORT_OFFSET": str(suite.offset), "LOGNAME": "linus"}
    return CliRunner(env=where).invoke(app, arguments)


def said(suite: Suite, *arguments: str) -> str:
    ended = invoked(suite, *arguments)
    assert ended.exit_code == 0, ended.stderr
    return ended.stdout


def answer(suite: Suite, *arguments: str) -> Any:
    return json.loads(said(suite, *arguments, "--json"))


def refused(suite: Suite, *arguments: str) -> str:
    ended = invoked(suite, *arguments)
    assert ended.exit_code == 1, ended
    return ended.stderr


def test_the_type_of_an_order_follows_from_its_prices(suite: Suite) -> None:
    submit = ("submit", "BTCUSDT", "sell", "0.01", "--account", "types")
    stop = answer(suite, *submit, "--stop", "40000")
    limited = answer(suite, *submit, "--stop", "40000", "--price", "39000", "--tif", "day")
    trailing = answer(suite, *submit, "--trail", "30%", "--expire", "2100-01-31T16:00Z")
    assert [one["order_type"] for one in (stop, limited, trailing)] == ["STOP", "STOP_LIMIT", "TRAILING_STOP"]
    assert [one["time_in_force"] for one in (stop, limited, trailing)] == ["GTC", "DAY", "GTD"]
    assert "stop_price" in refused(suite, *submit, "--type", "stop-limit", "--price", "39000")


def test_flags_are_passed_on(suite: Suite) -> None:
    buy = ("submit", "BTCUSDT", "buy", "0.01", "--account", "flags", "--price", "40000", "--strategy", "slow")
    order = answer(suite, *buy, "--post-only")
    assert (order["post_only"], order["reduce_only"], order["strategy"]) == (True, False, "slow")
    assert "RISK_REDUCE_ONLY" in refused(suite, *buy, "--reduce-only")


def test_an_order_gets_new_terms_and_its_story_is_told(suite: Suite) -> None:
    order = answer(suite, "submit", "BTCUSDT", "buy", "0.01", "--price", "40000", "--account", "story")
    suite.await_status(order["order_id"], "WORKING")
    shown = said(suite, "replace", order["order_id"], "--price", "40500", "--quantity", "0.02")
    assert "on its way to paper: 0.02 at 40500" in shown
    wait_until(lambda: suite.order(order["order_id"])["price"] == "40500", "the venue to agree")
    story = said(suite, "why", order["order_id"])
    assert story.startswith("story BUY 0.01 BTCUSDT LIMIT at 40000 GTC\nWORKING: ")
    assert all(words in story for words in ("let through by risk", "asked for 0.02 at 40500", "gateway_received"))
    assert "at least one of" in refused(suite, "replace", order["order_id"])
    assert answer(suite, "why", order["order_id"])["order_id"] == order["order_id"]


def test_cancel_all_ends_what_it_is_told_to_and_nothing_else(suite: Suite) -> None:
    def resting(strategy: str) -> str:
        rest = ("--price", "40000", "--account", "many", "--strategy", strategy)
        return answer(suite, "submit", "BTCUSDT", "buy", "0.01", *rest)["order_id"]

    mine, other = resting("mine"), resting("other")
    assert "--everything" in refused(suite, "cancel-all")
    assert answer(suite, "cancel-all", "--strategy", "mine")["cancelled"] == [mine]
    suite.await_status(mine, "CANCELED")
    assert suite.order(other)["status"] in ("ACCEPTED", "WORKING")


def test_a_kill_is_lifted_by_somebody_else(suite: Suite) -> None:
    rest = ("--price", "40000", "--account", "halt", "--strategy", "wild")
    order = answer(suite, "submit", "BTCUSDT", "buy", "0.01", *rest)
    told = said(suite, "kill", "strategy.wild", "--reason", "it runs wild", "--as", "ada")
    assert told == "strategy.wild is killed by ada: it runs wild\n"
    suite.await_status(order["order_id"], "CANCELED")
    assert "RISK_KILLED" in refused(suite, "submit", "BTCUSDT", "buy", "0.01", *rest)
    assert "SECOND_PERSON_NEEDED" in refused(suite, "lift", "strategy.wild", "--as", "ada")
    said(suite, "lift", "strategy.wild", "--as", "grace")
    assert answer(suite, "submit", "BTCUSDT", "buy", "0.01", *rest)["status"] == "ACCEPTED"


def test_a_kill_is_released_by_somebody_else(suite: Suite) -> None:
    said(suite, "kill", "strategy.loose", "--reason", "it runs wild", "--as", "ada")
    assert "SECOND_PERSON_NEEDED" in refused(suite, "release", "strategy.loose", "--as", "ada")
    assert "strategy.loose may trade again, says grace" in said(suite, "release", "strategy.loose", "--as", "grace")


def test_what_a_file_kills_risk_denies_and_the_oms_ends_until_somebody_else_releases_it(suite: Suite) -> None:
    sell = ("submit", "BTCUSDT", "sell", "0.01", "--stop", "40000", "--account", "filed")
    held = answer(suite, *sell)
    file = suite.var / "kill" / "account.filed"
    file.write_text("by hand")
    suite.await_status(held["order_id"], "CANCELED")
    wait_until(lambda: "RISK_KILLED" in invoked(suite, *sell).stderr, "risk to know of the file")
    file.unlink()
    assert "RISK_KILLED" in refused(suite, *sell)
    said(suite, "release", "account.filed", "--as", "a-second-person")
    wait_until(lambda: not suite.get("/api/live-gateway/mode")["killed"], "the gateway to hear of the release")
    assert answer(suite, *sell)["status"] == "ACCEPTED"


def test_an_order_over_a_soft_limit_is_released_by_somebody_else(suite: Suite) -> None:
    limits = {
        **{"order_quantity_max": "5", "order_notional_max": "500000"},
        **{"long_quantity_max": "20", "short_quantity_max": "20", "soft": {"order_quantity_max": "0.5"}},
    }
    suite.call("PUT", "/api/risk/limits/account.soft.symbol.BTCUSDT?actor=grace", json=limits)
    buy = ("submit", "BTCUSDT", "buy", "1", "--price", "40000", "--account", "soft")
    order = answer(suite, *buy)
    assert order["status"] == "PENDING_RISK"

    assert "waits for no release" in refused(suite, "release", "soft-unknown", "--as", "grace")
    said(suite, "release", order["order_id"], "--reason", "it is hedged", "--as", "grace")
    suite.await_status(order["order_id"], "WORKING")


def test_whoever_gives_no_name_is_known_by_that_of_the_login(suite: Suite) -> None:
    assert "killed by linus" in said(suite, "kill", "symbol.SPY", "--reason", "a try")
    said(suite, "lift", "symbol.SPY", "--as", "grace")
