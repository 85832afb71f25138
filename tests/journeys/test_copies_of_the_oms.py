"""Two copies of the oms share the accounts: either takes any order, and each is there once, whoever dies meanwhile."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from websockets.sync.client import connect

from shared.kit.shard import Shard
from tests.journeys.copies import ACCOUNTS, Copy, Traders, World, await_ready, every, world
from tests.servers import wait_until

pytestmark = pytest.mark.suite

DONE = {"FILLED", "DENIED", "REJECTED", "CANCELED", "EXPIRED"}
OF_TWO = Shard("oms", 1, 2)


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("copies")) as made:
        others = [made.start(service) for service in ("gateway", "risk", "live-gateway")]
        await_ready(*others)
        gateway = others[0].http
        wait_until(lambda: all(one["ask"] for one in gateway.get("/tickers").json()), "the market to quote")
        yield made


@pytest.fixture(scope="module")
def pair(trading: World) -> list[Copy]:
    return trading.start_all("oms", 2)


@pytest.fixture
def both(trading: World, pair: list[Copy]) -> list[Copy]:
    """Two copies, in the order of their numbers; alive, whatever an earlier test has done to them."""
    for at, copy in enumerate(pair):
        if copy.process.poll() is not None:
            pair[at] = trading.start("oms", at + 1, 2)
    await_ready(*pair)
    words = {"account": ACCOUNTS[0], "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}
    risk = trading.copies[1].http  # for a moment it is wary of what a copy said before it died
    wait_until(lambda: risk.post("/check", json=words).json()["approved"], "risk to be well")
    return pair


def of(index: int) -> list[str]:
    """The accounts of a copy of two."""
    return [account for account in ACCOUNTS if OF_TWO.owner(account) == index]


def doors(copies: list[Copy]) -> list[str]:
    return [str(copy.http.base_url).rstrip("/") for copy in copies]


def books(copy: Copy) -> dict[str, Any]:
    """All that is on record of every account, told by one copy."""
    kept = ("quantity", "average_price", "realized_pnl")
    orders = every(copy.http, "/orders", "orders")
    return {
        "orders": {one["order_id"]: (one["status"], one["filled_quantity"], one["version"]) for one in orders},
        "fills": {a: sorted(f["fill_id"] for f in every(copy.http, "/fills", "fills", account=a)) for a in ACCOUNTS},
        "positions": {
            account: {symbol: [one[name] for name in kept] for symbol, one in by_symbol.items()}
            for account, by_symbol in copy.http.get("/positions").json().items()
        },
        "cash": {account: copy.http.get(f"/accounts/{account}").json()["cash"] for account in ACCOUNTS},
    }


def all_done(copy: Copy) -> bool:
    return all(one["status"] in DONE for one in every(copy.http, "/orders", "orders"))


def check_books(world: World, copy: Copy) -> None:
    """Every fill is there once, here and on the streams, and the positions are what they come to."""
    signs = {"BUY": 1, "SELL": -1}
    for account in ACCOUNTS:
        fills = every(copy.http, "/fills", "fills", account=account)
        orders = every(copy.http, "/orders", "orders", account=account)
        assert len({fill["fill_id"] for fill in fills}) == len(fills)
        filled = Counter[str]()
        for fill in fills:
            filled[fill["order_id"]] += Decimal(fill["quantity"])
        assert {o["order_id"]: Decimal(o["filled_quantity"]) for o in orders} == {
            o["order_id"]: filled.get(o["order_id"], 0) for o in orders
        }
        held = sum((signs[fill["side"]] * Decimal(fill["quantity"]) for fill in fills), Decimal(0))
        positions = copy.http.get(f"/positions/{account}").json()
        assert Decimal(positions["BTCUSDT"]["quantity"]) == held if positions else held == 0
    said = Counter(orjson.loads(words)["fill_id"] for words in world.stored("ORDERS", "fills.>"))
    assert set(said.values()) <= {1}, "each fill is said once"
    events = (orjson.loads(words)["order"] for words in world.stored("ORDERS", "orders.*.event"))
    told = Counter((order["order_id"], order["version"]) for order in events)
    assert set(told.values()) <= {1}, "each change is said once"


def test_orders_to_either_copy_are_there_once_although_one_is_killed(trading: World, both: list[Copy]) -> None:
    assert of(1), "both have accounts"
    assert of(2), "both have accounts"
    with Traders(doors(both), "first", 25) as traders:
        wait_until(lambda: len(traders.answers) > 20, "orders to flow")
        both[1].end(signal.SIGKILL)
        both[1] = trading.start("oms", 2, 2)
        await_ready(*both)
    wait_until(lambda: all_done(both[0]), "every order to be done", 60)

    seen = books(both[0])
    assert books(both[1]) == seen, "either tells the same"
    assert {one["order_id"] for one in traders.answers.values()} == set(seen["orders"]), "none is lost, none is double"
    check_books(trading, both[0])


def test_an_order_sent_again_to_the_other_copy_is_the_same_order(both: list[Copy]) -> None:
    for account in (of(1)[0], of(2)[0]):
        words = {"account": account, "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}
        first = both[0].http.post("/orders", json=words, headers={"Idempotency-Key": f"again-{account}"})
        second = both[1].http.post("/orders", json=words, headers={"Idempotency-Key": f"again-{account}"})
        assert (first.status_code, second.status_code) == (200, 200), f"{first.text} {second.text}"
        assert second.headers["Idempotency-Replayed"] == "true"
        assert first.json()["order_id"] == second.json()["order_id"]

        other = both[1].http.post("/orders", json=words | {"quantity": "0.02", "client_order_id": f"again-{account}"})
        assert (other.status_code, other.json()["code"]) == (409, "CLIENT_ORDER_ID_REUSED")


def resting(copy: Copy, account: str, id: str) -> str:
    """An order that the market does not reach; its id."""
    words = {"account": account, "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "order_type": "LIMIT"}
    answer = copy.http.post("/orders", json={**words, "price": "40000", "client_order_id": id})
    assert answer.status_code == 200, answer.text
    return answer.json()["order_id"]


def status_of(copy: Copy, order_id: str) -> str:
    return copy.http.get(f"/orders/{order_id}").json()["status"]


def test_orders_are_changed_and_ended_through_either_copy(both: list[Copy]) -> None:
    for account in (of(1)[1], of(2)[1]):
        for asked, copy in enumerate(both):
            order_id = resting(copy, account, f"change-{asked}")
            wait_until(lambda id=order_id: status_of(both[0], id) == "WORKING", "the order to rest")
            changed = both[1 - asked].http.patch(f"/orders/{order_id}", json={"price": "41000"})
            assert changed.status_code == 200, changed.text
            wait_until(
                lambda id=order_id: both[0].http.get(f"/orders/{id}").json()["price"] == "41000", "the new price"
            )
            assert copy.http.delete(f"/orders/{order_id}").status_code == 200
            wait_until(lambda id=order_id: status_of(both[0], id) == "CANCELED", "the end of the order")
    for copy in both:
        assert copy.http.delete("/orders/nobody-0123456789abcdef0123").status_code == 404
        assert copy.http.delete("/orders/x").status_code == 404


def test_cancel_all_reaches_every_copy_and_says_what_one_has_not_done(both: list[Copy]) -> None:
    ids = {account: resting(both[0], account, "all") for account in (of(1)[0], of(2)[0], of(2)[1])}
    answer = both[1].http.post("/orders/cancel-all")
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["cancelled"]) >= set(ids.values())
    wait_until(lambda: all(status_of(both[0], id) == "CANCELED" for id in ids.values()), "their end")

    ids = {account: resting(both[0], account, "some") for account in (of(1)[0], of(2)[0])}
    both[1].end(signal.SIGKILL)
    answer = both[0].http.post("/orders/cancel-all")
    assert answer.status_code == 503
    assert "oms-2of2" in answer.json()["detail"]
    assert answer.json()["done"]["cancelled"] == [ids[of(1)[0]]]
    lost = both[0].http.post("/orders", json={"account": of(2)[0], "symbol": "BTCUSDT", "side": "BUY", "quantity": "1"})
    assert lost.status_code == 503
    assert "ask again with the same id" in lost.json()["detail"]
    assert both[0].http.get(f"/orders/{ids[of(2)[0]]}").status_code == 200, "what is on record is told by either"


def test_a_request_is_carried_once_at_most(both: list[Copy]) -> None:
    taken_for_another = {"Trade2026-Shard": "oms-2of2"}
    answer = both[0].http.post("/orders/cancel-all", headers=taken_for_another)
    assert (answer.status_code, answer.json()["detail"]) == (503, "this is oms-1of2, not oms-2of2; ask again")
    words = {"account": of(2)[0], "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01", "client_order_id": "never"}
    answer = both[0].http.post("/orders", json=words, headers={"Trade2026-Shard": "oms-1of2"})
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "this is the affair of oms-2of2, not of oms-1of2; ask again",
    )
    bad = both[0].http.post("/orders", json={"account": of(2)[0], "symbol": "BTCUSDT", "side": "BUY", "quantity": "x"})
    assert bad.status_code == 422
    assert both[0].http.post("/orders/cancel-all", params={"acount": "typo"}).status_code == 422


def test_an_account_is_read_live_from_either_copy(both: list[Copy]) -> None:
    for account in (of(1)[0], of(2)[0]):
        for copy in both:
            address = f"ws://127.0.0.1:{copy.http.base_url.port}/ws/accounts/{account}"
            with connect(address, proxy=None) as socket:
                assert json.loads(socket.recv(10))["type"] == "snapshot"
                order_id = resting(both[0], account, f"live-{copy.http.base_url.port}")
                while json.loads(socket.recv(10))["event"]["order"]["order_id"] != order_id:
                    pass
    assert both[0].http.post("/orders/cancel-all").status_code == 200


def test_the_number_of_copies_changes_with_everything_intact(trading: World, both: list[Copy]) -> None:
    order_id = resting(both[0], of(2)[1], "kept")
    wait_until(lambda: status_of(both[0], order_id) == "WORKING", "the order to rest")
    before = books(both[0])

    alone = trading.start("oms", 3, 3)  # while two others have the accounts
    wait_until(lambda: "oms-3of3 waits for the end of oms-1of2, oms-2of2" in alone.trouble, "it to wait")
    assert alone.http.get("/orders").status_code == 503
    alone.end()
    for copy in both:
        copy.end()

    one = trading.start("oms")
    await_ready(one)
    assert books(one) == before
    assert {name for name in trading.consumers("ORDERS") if name.startswith("oms-")} == {"oms-orders_account_report"}
    with Traders(doors([one]), "alone", 5) as traders:
        pass
    one.end()

    two = trading.start_all("oms", 2)
    await_ready(*two)
    assert {name for name in trading.consumers("ORDERS") if name.startswith("oms-")} == {
        "oms-1of2-orders_account_report",
        "oms-2of2-orders_account_report",
    }
    assert {one["order_id"] for one in traders.answers.values()} <= set(books(two[1])["orders"])
    assert two[0].http.delete(f"/orders/{order_id}").status_code == 200
    with Traders(doors(two), "together", 5):
        pass
    wait_until(lambda: all_done(two[0]), "every order to be done", 60)
    check_books(trading, two[1])
