"""Books that went astray come together again: what was lost, changed behind our back, or done by other hands."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from shared.contract import keys
from shared.contract.orders import OrderStatus, Report, VenueFill
from shared.contract.venue import VenueOrder
from tests.journeys.rig import Suite, running
from tests.mock_binance import KEY, SECRET, MockBinance
from tests.servers import wait_until

pytestmark = pytest.mark.suite

T = TypeVar("T")
D = Decimal
ROUNDS_S = 60


class Market(threading.Thread):
    """The mock of Binance on a loop of its own; `do` has something done there."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.venue = MockBinance()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.venue.start())
        self._up.set()
        self._loop.run_forever()

    def __enter__(self) -> Market:
        self.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.venue.stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(10)
        self._loop.close()

    def do(self, what: Callable[[MockBinance], T]) -> T:
        async def done() -> T:
            return what(self.venue)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def held(self, asset: str) -> Decimal:
        balances = {words["asset"]: words for words in self.do(lambda venue: venue.engine.balances(KEY))}
        return D(balances[asset]["free"]) + D(balances[asset]["locked"])


@pytest.fixture(scope="module")
def market() -> Iterator[Market]:
    with Market() as one:
        yield one


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, market: Market) -> Iterator[Suite]:
    var: Path = tmp_path_factory.mktemp("reconciliation")
    binance = {
        "LIVE_GATEWAY_BINANCE_ENABLED": "true",
        "LIVE_GATEWAY_BINANCE_KEY": KEY,
        "LIVE_GATEWAY_BINANCE_SECRET": SECRET,
        "LIVE_GATEWAY_BINANCE_ACCOUNT": "default",
        "LIVE_GATEWAY_BINANCE_REST_URL": f"{market.venue.url}/api/v3",
        "LIVE_GATEWAY_BINANCE_STREAM_URL": market.venue.stream_url,
    }
    with running(var, **binance) as one:
        wait_until(lambda: _priced(one), "the simulated market to quote")
        words = {"mode": "LIVE", "venue": "binance", "sentence": "send all orders to binance", "actor": "test"}
        one.call("POST", "/api/live-gateway/mode", json=words)
        yield one


def _priced(suite: Suite) -> bool:
    tickers = {one["symbol"]: one for one in suite.get("/api/gateway/tickers")}
    return bool(tickers.get("BTCUSDT", {}).get("bid"))


def passive(suite: Suite) -> str:
    """A price at which an order to buy rests."""
    return f"{D(str(suite.get('/api/gateway/ticker/BTCUSDT')['bid'])) * D('0.97'):.0f}"


def resting(suite: Suite, account: str, venue: str = "paper") -> dict[str, Any]:
    """An order that the venue has confirmed."""
    given: dict[str, Any] = {"account": account, "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT"}
    order = suite.submit(**given, quantity="0.02", price=passive(suite), venue=venue)
    return suite.await_status(order["order_id"], "WORKING")


def reconciled(suite: Suite, account: str, venue: str) -> list[dict[str, Any]]:
    """Rounds on demand until both sides agree; each that found something or healed it."""
    rounds: list[dict[str, Any]] = []

    def agree() -> bool:
        found = suite.call("POST", "/api/oms/reconcile", params={"account": account, "venue": venue})
        if found["differences"] or found["healed"]:
            rounds.append(found)
        return found["agrees"]

    wait_until(agree, f"{account} to agree with {venue}", ROUNDS_S)
    return rounds


def differs(suite: Suite, account: str, venue: str) -> None:
    """Until the books are seen to differ: what changed here a moment ago proves nothing."""

    def seen() -> bool:
        return not suite.call("POST", "/api/oms/reconcile", params={"account": account, "venue": venue})["agrees"]

    wait_until(seen, "a difference", ROUNDS_S)


def reconciled_after_difference(suite: Suite, account: str, venue: str) -> list[dict[str, Any]]:
    differs(suite, account, venue)
    return reconciled(suite, account, venue)


def kinds(rounds: list[dict[str, Any]]) -> set[str]:
    return {one["kind"] for found in rounds for one in (*found["differences"], *found["healed"])}


def alerts(suite: Suite, account: str) -> set[str]:
    """The codes of all alerts of an account."""

    async def read() -> set[str]:
        client = await suite.nats()
        stream = client.jetstream()
        count = (await stream.stream_info("OPS", subjects_filter="alerts.oms")).state.subjects or {}
        found: set[str] = set()
        if count:
            reader = await stream.subscribe("alerts.oms", ordered_consumer=True)
            for _ in range(count["alerts.oms"]):
                words = (await reader.next_msg(timeout=10)).data.decode()
                found |= {words.split('"code":"')[1].split('"')[0]} if f'"account":"{account}"' in words else set()
        await client.close()
        return found

    return asyncio.run(read())


def _behind_our_back(suite: Suite, account: str, change: Callable[[VenueOrder], VenueOrder], order_id: str) -> None:
    """The paper venue's own record changes, and no report tells of it."""
    with suite.valkey() as store:
        suite.kill("live-gateway", signal.SIGSTOP)
        words = store.get(keys.venue_order(account, order_id))
        assert isinstance(words, bytes)
        after = change(VenueOrder.decode(words))
        store.set(keys.venue_order(account, order_id), after.encode())
        store.srem(keys.venue_open(account), order_id)
        if after.fills:
            store.zadd(keys.venue_trades(account), {order_id: after.since_ns // 1000})
        restarts = suite.processes()["live-gateway"]["restarts"]
        suite.kill("live-gateway")
    wait_until(lambda: suite.processes()["live-gateway"]["restarts"] > restarts, "the gateway to be started again")
    suite.await_ready()


def _over(order: VenueOrder, status: OrderStatus, fill: VenueFill | None = None) -> VenueOrder:
    change: dict[str, Any] = {"sequence": order.report.sequence + 1, "status": status, "fill": fill}
    if fill is not None:
        change["cumulative_quantity"] = fill.quantity
    report: Report = order.report.model_copy(update=change)
    more = {"fills": 1, "since_ns": fill.event_ns} if fill else {}
    return order.model_copy(update={"report": report, **more})


def test_an_order_that_ended_at_the_venue_without_a_word_ends_here(suite: Suite) -> None:
    order = resting(suite, "astray-end")
    _behind_our_back(suite, "astray-end", lambda one: _over(one, OrderStatus.CANCELED), order["order_id"])
    assert suite.order(order["order_id"])["status"] == "WORKING"

    rounds = reconciled_after_difference(suite, "astray-end", "paper")

    assert kinds(rounds) == {"MISSING"}
    assert suite.order(order["order_id"])["status"] == "CANCELED"


def test_a_fill_of_which_no_report_arrived_is_entered(suite: Suite) -> None:
    order = resting(suite, "astray-fill")
    price, quantity = D(order["price"]), D(order["quantity"])

    def filled(one: VenueOrder) -> VenueOrder:
        fill = VenueFill(
            execution_id=f"{one.order_id}-1",
            price=price,
            quantity=quantity,
            fee=D("0.1"),
            event_ns=one.since_ns + 1000,
        )
        return _over(one, OrderStatus.FILLED, fill)

    _behind_our_back(suite, "astray-fill", filled, order["order_id"])
    rounds = reconciled_after_difference(suite, "astray-fill", "paper")

    assert kinds(rounds) == {"MISSING", "FILL"}
    assert suite.order(order["order_id"])["status"] == "FILLED"
    assert D(suite.get("/api/oms/positions/astray-fill")["BTCUSDT"]["quantity"]) == quantity
    assert suite.cash("astray-fill") == 1_000_000 - price * quantity - D("0.1")
    assert len(suite.fills("astray-fill")) == 1
    assert rounds[-1]["sums"]["BTCUSDT"] == {"position": order["quantity"], "fills": order["quantity"]}
    assert alerts(suite, "astray-fill") == {"RECONCILIATION_FILL"}


def test_orders_and_fills_of_other_hands_are_adopted_and_told(suite: Suite, market: Market) -> None:
    ours = resting(suite, "default", "binance")
    assert reconciled(suite, "default", "binance") == []
    had, price = market.held("BTC"), ours["price"]

    by_hand = market.do(lambda venue: venue.by_hand(quantity="0.5", price=price))
    market.do(lambda venue: venue.market("BTCUSDT", "SELL", "0.02", price))  # ours, which was there first
    market.do(lambda venue: venue.market("BTCUSDT", "SELL", "0.2", price))
    market.do(lambda venue: venue.market("BTCUSDT", "SELL", "0.3", "90000"))
    market.do(lambda venue: venue.by_hand(quantity="0.3", price="90000", timeInForce="IOC"))
    suite.await_status(ours["order_id"], "FILLED")
    rounds = reconciled_after_difference(suite, "default", "binance")

    assert kinds(rounds) == {"EXTERNAL"}
    assert "RECONCILIATION_EXTERNAL" in alerts(suite, "default")
    found = suite.get("/api/oms/orders", account="default", strategy="external")["orders"]
    assert sorted((one["status"], one["filled_quantity"]) for one in found) == [
        ("FILLED", "0.3"),
        ("PARTIALLY_FILLED", "0.2"),
    ]
    position = D(suite.get("/api/oms/positions/default")["BTCUSDT"]["quantity"])
    assert position == D("0.52")
    assert market.held("BTC") - had == position * D("0.999"), "the venue takes its fee out of what is bought"

    adopted = next(one for one in found if one["status"] == "PARTIALLY_FILLED")
    problem = suite.call("DELETE", f"/api/oms/orders/{adopted['order_id']}", status=409)
    assert problem["code"] == "ORDER_IS_EXTERNAL"
    market.do(lambda venue: venue.engine.cancel(venue.engine.orders[by_hand.number]))
    reconciled_after_difference(suite, "default", "binance")
    assert suite.order(adopted["order_id"])["status"] == "CANCELED"
    open_there = market.do(lambda venue: [one.number for one in venue.engine.open_orders(KEY)])
    assert open_there == suite.get("/api/oms/orders", account="default", active_only=True)["orders"] == []
    assert suite.get("/api/oms/reconcile", account="default", venue="binance")[0]["agrees"]
