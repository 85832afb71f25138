"""kill -9 of each part during a stream of orders: it comes back by itself, nothing acknowledged is lost or doubled."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = pytest.mark.suite

OPENING = Decimal(1_000_000)
PARTS = ("oms", "risk", "live-gateway", "nats", "valkey")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("crashes")) as one:
        wait_until(lambda: _priced(one), "the simulated market to quote")
        yield one


def _priced(suite: Suite) -> bool:
    tickers = {one["symbol"]: one for one in suite.get("/api/gateway/tickers")}
    return bool(tickers.get("BTCUSDT", {}).get("ask"))


class Stream:
    """A client that submits order after order, each with an id of its own, and asks again until it is answered."""

    def __init__(self, suite: Suite, account: str) -> None:
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self.refused: list[str] = []
        self._suite = suite
        self._account = account
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "an order was never answered"

    def _run(self) -> None:
        url = f"http://127.0.0.1:{8000 + self._suite.offset}/api/oms/orders"
        with httpx.Client(trust_env=False, timeout=10) as client:
            n = 0
            while not self._stop.is_set():
                n += 1
                side = "BUY" if n % 2 else "SELL"
                words = {"account": self._account, "client_order_id": f"c{n}", "symbol": "BTCUSDT", "side": side}
                self._insist(client, url, {**words, "quantity": "0.01"})

    def _insist(self, client: httpx.Client, url: str, words: dict[str, str]) -> None:
        """The same order under the same id until the answer is an answer."""
        while True:
            try:
                answer = client.post(url, json=words)
            except httpx.HTTPError:
                continue
            if answer.status_code == 200:
                self.acknowledged[words["client_order_id"]] = answer.json()
                return
            if answer.status_code == 422:
                # Denied: after a crash the quotes may be stale for a moment. It is an answer, and a committed one.
                self.refused.append(answer.json()["code"])
                return
            assert answer.status_code == 503, answer.text


@pytest.mark.parametrize("part", PARTS)
def test_nothing_acknowledged_is_lost_or_doubled_when_a_part_is_killed(suite: Suite, part: str) -> None:
    account = f"crash-{part}"
    before = suite.processes()[part]
    with Stream(suite, account) as stream:
        wait_until(lambda: len(stream.acknowledged) >= 20, "the stream to flow")
        suite.kill(part)
        wait_until(lambda: suite.processes()[part]["restarts"] > before["restarts"], f"{part} to be started again")
        suite.await_ready()
        flowing = len(stream.acknowledged)
        wait_until(lambda: len(stream.acknowledged) >= flowing + 20, "the stream to flow again")

    _check(suite, account, stream)


def _check(suite: Suite, account: str, stream: Stream) -> None:
    ids = {order["order_id"] for order in stream.acknowledged.values()}
    assert len(ids) == len(stream.acknowledged), "one order per client order id"
    for order_id in ids:
        order = suite.await_status(order_id, "FILLED", "CANCELED", timeout_s=30)
        assert Decimal(order["filled_quantity"]) in (Decimal("0.01"), Decimal(0)), order

    fills = suite.fills(account)
    executions = Counter(fill["fill_id"] for fill in fills)
    assert max(executions.values()) == 1, "a fill was applied twice"
    filled = Counter[str]()
    signed, cash = Decimal(0), OPENING
    for fill in fills:
        sign = 1 if fill["side"] == "BUY" else -1
        quantity, price, fee = (Decimal(fill[name]) for name in ("quantity", "price", "fee"))
        filled[fill["order_id"]] += 1
        signed += sign * quantity
        cash -= sign * quantity * price + fee
    position = suite.get(f"/api/oms/positions/{account}")["BTCUSDT"]
    assert Decimal(position["quantity"]) == signed
    assert suite.cash(account) == cash

    # The venue's own books know each order, and nothing of it beyond what the oms has.
    for order_id in ids:
        known = suite.get(f"/api/live-gateway/orders/{order_id}")
        assert Decimal(known["report"]["cumulative_quantity"]) == Decimal(suite.order(order_id)["filled_quantity"])
