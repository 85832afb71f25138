"""Bad input to the real processes: a problem that names its field, or a parked and counted message; never a 500."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("bad")) as one:
        yield one


GOOD = {"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": -1}, "quantity"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": "1e999"}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": {}}, "quantity"),
        ({"quanty": 1}, "quanty"),
        ({"side": "LONG"}, "side"),
        ({"symbol": "NOPE"}, "symbol"),
        ({"symbol": "orders.>"}, "symbol"),
        ({"symbol": ""}, "symbol"),
        ({"type": "LIMIT"}, "price"),
        ({"type": "LIMIT", "price": "-1"}, "price"),
        ({"type": "PEGGED"}, "order_type"),
        ({"time_in_force": "EVER"}, "time_in_force"),
        ({"account": "../etc"}, "account"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
        ({"metadata": "text"}, "metadata"),
    ],
)
@pytest.mark.parametrize("path", ["/api/oms/orders"])
def test_a_bad_order_is_refused_by_its_field(suite: Suite, path: str, change: dict[str, Any], field: str) -> None:
    problem = suite.call("POST", path, json={**GOOD, **change}, status=422)

    assert field in [error["field"] for error in problem["errors"]], problem


@pytest.mark.parametrize(
    ("change", "field"),
    [({"quantity": -1}, "quantity"), ({"price": "1e999"}, "price"), ({"side": "x"}, "side"), ({"foo": 1}, "foo")],
)
def test_a_bad_risk_check_is_refused_by_its_field(suite: Suite, change: dict[str, Any], field: str) -> None:
    problem = suite.call("POST", "/api/risk/check", json={**GOOD, **change}, status=422)

    assert field in [error["field"] for error in problem["errors"]], problem


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({}, "path"),
        ({"path": "/nowhere/at/all.csv"}, "path"),
        ({"path": "/"}, "path"),
        ({"path": "/etc/hostname", "format": "csv"}, "path"),
        ({"path": "x.csv", "speed": 0}, "speed"),
        ({"path": "x.csv", "speed": "NaN"}, "speed"),
        ({"path": "x.csv", "speed": "fast"}, "speed"),
        ({"path": "x.csv", "format": "tape"}, "format"),
        ({"path": "x.csv", "date": "yesterday"}, "date"),
    ],
)
def test_a_bad_replay_is_refused_by_its_field(suite: Suite, words: dict[str, Any], field: str) -> None:
    problem = suite.call("POST", "/api/gateway/replay", json=words, status=422)

    assert field in [error["field"] for error in problem["errors"]], problem


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/oms/orders/none", 404),
        ("DELETE", "/api/oms/orders/none", 404),
        ("GET", "/api/oms/orders?limit=0", 422),
        ("GET", "/api/oms/orders?status=MAYBE", 422),
        ("GET", "/api/oms/orders?cursor=x", 422),
        ("GET", "/api/oms/accounts/nobody", 404),
        ("GET", "/api/gateway/ticker/NOPE", 404),
        ("GET", "/api/gateway/book/BTCUSDT?depth=0", 422),
        ("GET", "/api/gateway/replays/none", 404),
        ("GET", "/api/normalizer/bars/sim/BTCUSDT/2m", 422),
        ("GET", "/api/normalizer/bars/sim/BTCUSDT/1m?limit=0", 422),
        ("GET", "/api/sink-ticks/count/nothing", 404),
        ("GET", "/api/live-gateway/orders/none", 404),
        ("PUT", "/api/risk/state/default", 422),
        ("POST", "/api/risk/kill", 422),
        ("GET", "/api/nobody/x", 404),
        ("GET", "/nothing", 404),
        ("GET", "/api/oms/orders/", 404),
        ("GET", "/api/oms", 404),
        ("GET", "/system/status/", 404),
        ("PUT", "/system/status", 405),
    ],
)
def test_a_wrong_request_is_a_problem(suite: Suite, method: str, path: str, status: int) -> None:
    problem = suite.call(method, path, status=status)

    assert problem["code"]
    assert problem["detail"]


@pytest.mark.parametrize("path", ["/api/oms/orders", "/api/risk/check", "/api/gateway/replay", "/api/risk/kill"])
def test_a_body_of_ten_megabytes_or_broken_json_is_refused(suite: Suite, path: str) -> None:
    headers = {"content-type": "application/json"}
    suite.call("POST", path, content=b"x" * 10_000_000, headers=headers, status=413)
    suite.call("POST", path, content=b'{"symbol": ', headers=headers, status=422)


HOSTILE = (b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b'{"venue": "x"}', b"[" * 10_000, b"x" * 1_000_000)
SUBJECTS = (
    "ticks.sim.BTCUSDT",
    "frames.sim",
    "quotes.sim.BTCUSDT",
    "orders.default.new",
    "orders.default.cancel",
    "orders.default.report",
    "orders.default.event",
    "fills.default",
    "ohlcv.1m.BTCUSDT",
    "feed.sim.BTCUSDT",
)


def test_broken_messages_on_every_subject_are_parked_and_the_suite_goes_on(suite: Suite) -> None:
    async def attack() -> int:
        client = await suite.nats()
        for subject in SUBJECTS:
            for payload in HOSTILE:
                await client.publish(subject, payload)
        await client.request("risk.check", b"{", timeout=5)
        await client.flush()
        parked = (await client.jetstream().stream_info("OPS")).state.messages
        await client.close()
        return parked

    before = suite.processes()
    asyncio.run(attack())

    wait_until(lambda: _parked(suite, "oms") >= len(HOSTILE), "the oms to park what it could not read")
    wait_until(lambda: _parked(suite, "live-gateway") >= 2 * len(HOSTILE), "the venue to park its own")
    wait_until(lambda: _parked(suite, "normalizer") >= len(HOSTILE), "the normalizer to park its own")
    wait_until(lambda: _parked(suite, "sink-ticks") >= len(HOSTILE), "the sink to park its own")
    suite.await_ready()
    assert {n: row["pid"] for n, row in suite.processes().items()} == {n: row["pid"] for n, row in before.items()}
    order = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01")
    suite.await_status(order["order_id"], "FILLED")


def _parked(suite: Suite, service: str) -> int:
    return suite.get(f"/api/{service}/stats").get("parked", 0)
