"""Reading an account as it lives: what the feed adds up to is what the doors say, also after the oms was killed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from shared.contract.roster import BY_NAME
from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = pytest.mark.suite

DOOR_PORT = BY_NAME["orchestrator"].port
DESK = "https://desk.example.org"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("feed"), TRADE2026_ORIGINS=DESK) as one:
        wait_until(lambda: _priced(one), "the simulated market to quote")
        yield one


def _priced(suite: Suite) -> bool:
    tickers = {one["symbol"]: one for one in suite.get("/api/gateway/tickers")}
    return bool(tickers.get("BTCUSDT", {}).get("ask"))


def reader(suite: Suite, account: str, **options: Any) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{DOOR_PORT + suite.offset}/api/oms/ws/accounts/{account}", proxy=None, **options)


def heard(stream: ClientConnection) -> Any:
    return orjson.loads(stream.recv(timeout=20))


def follow(stream: ClientConnection, order_id: str) -> list[dict[str, Any]]:
    """Every delta up to the one in which this order is filled."""
    deltas: list[dict[str, Any]] = []
    while not deltas or (deltas[-1]["event"]["order"]["order_id"], deltas[-1]["event"]["order"]["status"]) != (
        order_id,
        "FILLED",
    ):
        deltas.append(heard(stream))
    return deltas


def test_the_feed_of_an_account_adds_up_to_what_the_doors_say(suite: Suite) -> None:
    with reader(suite, "default") as stream:
        snapshot = heard(stream)
        assert (snapshot["type"], snapshot["orders"], snapshot["balance"]["cash"]) == ("snapshot", [], "1000000")
        order = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01")
        deltas = follow(stream, order["order_id"])

    assert [one["sequence"] for one in deltas] == [snapshot["sequence"] + n + 1 for n in range(len(deltas))]
    last = deltas[-1]["event"]
    account = suite.get("/api/oms/accounts/default")
    assert last["balance"]["cash"] == account["cash"]
    assert last["position"]["quantity"] == account["positions"]["BTCUSDT"]["quantity"] == "0.01"
    assert Decimal(account["free"]) <= Decimal(account["cash"])


def test_a_page_reads_where_its_origin_is_listed_and_no_other_does(suite: Suite) -> None:
    with reader(suite, "default", origin=DESK) as stream:
        assert heard(stream)["type"] == "snapshot"
    with pytest.raises(InvalidStatus) as refused:
        reader(suite, "default", origin="https://evil.example")
    assert refused.value.response.status_code == 403


def test_after_the_oms_was_killed_a_reader_begins_with_what_was_committed(suite: Suite) -> None:
    resting = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01", type="LIMIT", price="1000")
    suite.await_status(resting["order_id"], "WORKING")
    with reader(suite, "default") as stream:
        heard(stream)
        suite.kill("oms")
        with pytest.raises(ConnectionClosed) as closed:
            heard(stream)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason[:24]) == (1013, "oms ended the connection")
    suite.await_ready()

    with reader(suite, "default") as stream:
        snapshot = heard(stream)
    assert [one["order_id"] for one in snapshot["orders"]] == [resting["order_id"]]
    assert snapshot["orders"][0]["status"] == "WORKING"


def test_an_order_of_the_real_suite_says_why_it_is_as_it_is(suite: Suite) -> None:
    order = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01")
    suite.await_status(order["order_id"], "FILLED")

    story = suite.get(f"/api/oms/orders/{order['order_id']}/why")

    assert story["verdict"]["approved"] is True
    assert len(story["verdict"]["rules"]) > 30
    assert all({"id", "code", "value", "limit", "scope", "outcome"} == set(rule) for rule in story["verdict"]["rules"])
    assert story["commits"][0]["version"] == 1
    assert story["commits"][-1]["status"] == "FILLED"
    assert sum(Decimal(fill["quantity"]) for fill in story["fills"]) == Decimal("0.01")
    assert all(hop["us"] >= 0 for hop in story["latency"]["hops"]), story["latency"]


def test_an_account_that_is_not_there_is_refused_before_the_connection_opens(suite: Suite) -> None:
    with pytest.raises(InvalidStatus) as refused, reader(suite, "nobody"):
        pass
    assert refused.value.response.status_code == 404
