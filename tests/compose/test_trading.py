"""Trading over containers: the README's tour, each container killed under load, and all ended and begun again."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from typing import Any

import pytest

from tests.compose.containers import Containers
from tests.compose.load import ACCOUNT, Trader
from tests.journeys.test_tour import TOUR
from tests.servers import wait_until

pytestmark = pytest.mark.suite

DONE = {"FILLED", "DENIED", "REJECTED", "CANCELED", "EXPIRED"}
OPENING_CASH = Decimal(1_000_000)
KILLED = 137
"""How a container ends that did not do so by itself when asked."""


def test_the_tour_runs_to_its_end(containers: Containers) -> None:
    assert TOUR is not None
    wait_until(lambda: all(one["ask"] for one in containers.get("/api/gateway/tickers")), "the market to quote")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", TOUR[1]], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    wait_until(lambda: containers.get("/api/oms/positions/default"), "the fill to arrive")
    assert containers.get("/api/oms/positions/default")["BTCUSDT"]["quantity"] == "0.01"


def test_a_file_kills_a_scope(containers: Containers) -> None:
    lying = containers.var / "kill" / "symbol.SOLUSDT"
    lying.write_text("a test")
    lying.chmod(0o644)
    words = {"symbol": "SOLUSDT", "side": "BUY", "quantity": "1"}

    def is_denied() -> bool:
        answer = containers.http.post("/api/oms/orders", json=words)
        return answer.status_code == 422 and answer.json()["code"] == "RISK_KILLED"

    wait_until(is_denied, "the kill to count")
    lying.unlink()


def books(containers: Containers) -> dict[str, Any]:
    """All that an account is told of itself, apart from what the market says."""
    orders = {one["order_id"]: one for one in every_order(containers)}
    positions = containers.get(f"/api/oms/positions/{ACCOUNT}")
    kept = ("quantity", "average_price", "realized_pnl")
    return {
        "orders": {
            id: {key: one[key] for key in ("status", "filled_quantity", "quantity")} for id, one in orders.items()
        },
        "fills": containers.fills(ACCOUNT),
        "positions": {symbol: {key: one[key] for key in kept} for symbol, one in positions.items()},
        "cash": containers.cash(ACCOUNT),
    }


def every_order(containers: Containers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"account": ACCOUNT, "limit": 1000}
    while True:
        page = containers.get("/api/oms/orders", **query)
        found += page["orders"]
        if page["next_cursor"] is None:
            return found
        query["cursor"] = page["next_cursor"]


def test_nothing_acknowledged_is_lost_when_any_container_dies_and_when_all_end(containers: Containers) -> None:
    with Trader(str(containers.http.base_url)) as trader:
        for name in containers.names():
            before = len(trader.acknowledged)
            containers.crash(name)
            containers.await_ready(60)
            wait_until(lambda before=before: len(trader.acknowledged) > before + 5, f"orders to flow after {name}", 60)
    wait_until(lambda: all(one["status"] in DONE for one in every_order(containers)), "every order to be done", 60)

    seen = books(containers)
    answered = {one["order_id"] for one in trader.acknowledged.values()}
    assert answered == set(seen["orders"]), "each order is there once, and none that was not sent"
    assert len({fill["fill_id"] for fill in seen["fills"]}) == len(seen["fills"])
    filled = sum((Decimal(one["filled_quantity"]) for one in seen["orders"].values()), Decimal(0))
    assert filled == sum((Decimal(fill["quantity"]) for fill in seen["fills"]), Decimal(0)) > 0
    signs = {"BUY": 1, "SELL": -1}
    held = sum((signs[fill["side"]] * Decimal(fill["quantity"]) for fill in seen["fills"]), Decimal(0))
    assert Decimal(seen["positions"]["BTCUSDT"]["quantity"]) == held
    paid = sum(
        signs[f["side"]] * Decimal(f["quantity"]) * Decimal(f["price"]) + Decimal(f["fee"]) for f in seen["fills"]
    )
    assert seen["cash"] == OPENING_CASH - paid
    containers.await_count("fills", len(every_fill(containers)))

    containers.compose("stop")
    assert [name for name in containers.names() if containers.inspect(name)["State"]["ExitCode"] == KILLED] == []
    containers.down()
    containers.up()
    containers.await_ready(60)
    assert books(containers) == seen
    assert containers.get("/api/sink-ticks/count/fills")["count"] == len(every_fill(containers))


def every_fill(containers: Containers) -> list[dict[str, Any]]:
    return [fill for account in (ACCOUNT, "default") for fill in containers.fills(account)]
