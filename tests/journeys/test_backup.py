"""A suite is saved while orders flow and while it is at rest; what comes back is what was there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from redis import Redis

from tests.chaos.evidence import Asked, Sweep
from tests.chaos.scene import Scene
from tests.chaos.stages import plain
from tests.journeys.rig import CHECKOUT, Suite
from tests.servers import valkey_server, wait_until

pytestmark = pytest.mark.suite

LOAD = "load"
DESK = "desk"
TABLES = (
    *("order", "events", "verdict", "fill", "position", "account", "entries", "reservation", "client", "group"),
    *("strategy_position", "paper", "kill", "limits", "limits_history", "shape"),
)


async def run(suite: Suite, *arguments: str) -> Any:
    """The answer of a verb."""
    return json.loads((await asyncio.to_thread(suite.run, *arguments, "--json")).stdout)


# What a desk does by hand; nothing of it moves with the market afterwards.


def trade_by_hand(suite: Suite) -> None:
    """Fills, limits that rest, stops that are held, a bracket, a strategy's share, changed limits, and a kill."""
    given: dict[str, Any] = {"account": DESK, "symbol": "BTCUSDT"}
    filled = [suite.submit(**given, client_order_id=f"buy-{n}", side="BUY", quantity=f"0.0{n}") for n in (1, 2, 3)]
    filled.append(suite.submit(**given, side="SELL", quantity="0.02", strategy="alpha"))
    for order in filled:
        suite.await_status(order["order_id"], "FILLED")
    suite.submit(**given, side="BUY", type="LIMIT", price="20000", quantity="0.04")
    changed = suite.submit(**given, side="BUY", type="LIMIT", price="21000", quantity="0.05")
    suite.submit(**given, side="SELL", type="STOP", stop_price="20000", quantity="0.01", reduce_only=True)
    suite.submit(**given, side="BUY", type="STOP_LIMIT", stop_price="150000", price="150100", quantity="0.01")
    suite.submit(422, **given, side="BUY", quantity="0.9")
    words = {
        "entry": {"account": DESK, "symbol": "ETHUSDT", "side": "BUY", "quantity": "0.1"},
        "take_profit": {"price": "9500"},
        "stop_loss": {"stop_price": "500"},
    }
    entry = suite.call("POST", "/api/oms/orders/bracket", json=words)["orders"][0]
    suite.await_status(entry["order_id"], "FILLED")
    suite.await_status(changed["order_id"], "WORKING")
    suite.call("PATCH", f"/api/oms/orders/{changed['order_id']}", json={"price": "21500"})
    suite.call("PUT", "/api/risk/limits/strategy.gamma", json={"order_quantity_max": "1"}, params={"actor": "ada"})
    suite.call("PUT", "/api/risk/limits/strategy.gamma", json={"order_quantity_max": "2"}, params={"actor": "ada"})
    suite.call("POST", "/api/risk/kill", json={"scope": "strategy.gamma", "reason": "over", "actor": "ada"})


def picture(suite: Suite) -> dict[str, Any]:
    """The desk as the doors show it, without what follows the market."""
    orders = suite.get("/api/oms/orders", account=DESK, limit=1000)["orders"]
    account = suite.get(f"/api/oms/accounts/{DESK}")
    positions = suite.get(f"/api/oms/positions/{DESK}")
    kept = ("quantity", "average_price", "realized_pnl")
    return {
        "orders": {one["order_id"]: one for one in orders},
        "events": {one["order_id"]: suite.get(f"/api/oms/orders/{one['order_id']}/events") for one in orders},
        "fills": suite.fills(DESK),
        "cash": account["cash"],
        "reserved": account["reserved"],
        "positions": {symbol: {name: one[name] for name in kept} for symbol, one in positions.items()},
        "entries": suite.get(f"/api/oms/accounts/{DESK}/entries", limit=1000),
        "limits": suite.get("/api/risk/limits/strategy.gamma"),
        "versions": suite.get("/api/risk/limits/strategy.gamma/history"),
        "kills": suite.get("/api/risk/kill"),
        "stopped by": suite.get("/api/live-gateway/mode")["killed"],
    }


def keyspace(store: Redis) -> dict[str, Any]:
    """Every key with its value, past every service."""
    with closing(store) as redis:
        read = {
            b"string": redis.get,
            b"hash": redis.hgetall,
            b"set": redis.smembers,
            b"list": lambda key: redis.lrange(key, 0, -1),
            b"zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        }
        return {key.decode(): read[redis.type(key)](key) for key in redis.scan_iter(count=10_000)}


def still(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What did not change while it was saved: all but what follows the market."""
    same = {key: value for key, value in before.items() if after.get(key) == value}
    assert {key.partition(":")[0] for key in before.keys() - same.keys()}.isdisjoint(TABLES)
    assert {key.partition(":")[0] for key in same} >= set(TABLES)
    return same


def restored_keys(var: Path) -> dict[str, Any]:
    """What a Valkey comes up with, before any service has touched it."""
    server = valkey_server(var).start()
    try:
        wait_until(lambda: _loaded(server.port), "Valkey to load what it remembers")
        return keyspace(Redis(port=server.port))
    finally:
        server.kill()


def _loaded(port: int) -> bool:
    with closing(Redis(port=port)) as redis:
        return not redis.info("persistence")["loading"]


# What clients do.


def as_of(asked: Iterable[Asked], at_ns: int) -> list[Asked]:
    """The journal of everything acknowledged before; what was still under way may have happened or not."""
    found: list[Asked] = []
    for one in asked:
        attempts = [attempt for attempt in one.attempts if attempt.answered_ns < at_ns]
        if any(attempt.status in (200, 422) for attempt in attempts):
            replaces = [
                it
                if any(attempt.status == 200 and attempt.answered_ns < at_ns for attempt in it.attempts)
                else replace(it, answer=None)
                for it in one.replaces
            ]
            cancel = [attempt for attempt in one.cancel if attempt.answered_ns < at_ns]
            found.append(replace(one, attempts=attempts, replaces=replaces, cancel=cancel))
    return found


def swept_by(sweeps: Iterable[Sweep], at_ns: int) -> list[Sweep]:
    return [it for it in sweeps if any(one.status == 200 and one.answered_ns < at_ns for one in it.attempts)]


def interrupted(suite: Suite, folder: Path) -> None:
    """A backup that is killed as soon as it has begun to write, which is while writes wait."""
    ports = {"TRADE2026_VAR": str(suite.var), "TRADE2026_PORT_OFFSET": str(suite.offset)}
    command = [sys.executable, "-m", "shared.cli", "backup", str(folder)]
    process = subprocess.Popen(command, cwd=CHECKOUT, env={**os.environ, **ports, **suite.environment})
    wait_until(lambda: (folder / "var").exists() or process.poll() is not None, "the backup to begin")
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was over before it could be killed"


async def agree(suite: Suite, accounts: Iterable[str]) -> None:
    """The books and the venue."""

    def reconciled(account: str) -> bool:
        words = {"account": account, "venue": "paper"}
        return suite.call("POST", "/api/oms/reconcile", params=words)["agrees"]

    for account in accounts:
        await asyncio.to_thread(wait_until, lambda a=account: reconciled(a), f"{account} to agree with the venue", 30)


async def test_what_is_restored_is_what_was_saved_under_load_and_at_rest(tmp_path: Path) -> None:
    busy, quiet = tmp_path / "busy", tmp_path / "quiet"
    async with plain(tmp_path / "var") as stage:
        suite, scene = stage.suite, Scene(stage, "backup", LOAD, "2026", Random(2026))
        config = suite.environment["TRADE2026_CONFIG"]
        async with scene.load(hands=4) as client:
            await scene.flowing(client, 30)
            await asyncio.to_thread(interrupted, suite, tmp_path / "half")
            await scene.flowing(client, 30)
            began_ns, acknowledged = time.time_ns(), client.acknowledged
            said = await run(suite, "backup", str(busy))
            assert client.acknowledged > acknowledged, "nothing flowed meanwhile"
            await scene.flowing(client, 30)
        assert said["source"] == "running"
        for account in scene.accounts:
            suite.call("POST", "/api/oms/orders/cancel-all", params={"account": account})
        await asyncio.to_thread(trade_by_hand, suite)
        assert not [*scene.found, *(await scene.judged(tape=True)).unsaid * ["unsaid"]]
        shown, before = picture(suite), keyspace(suite.valkey())
        await run(suite, "backup", str(quiet))
        kept = still(before, keyspace(suite.valkey()))
        ended = suite.run("restore", str(quiet), check=False)
        assert (ended.returncode, "a suite runs in" in ended.stderr) == (1, True)
    await at_rest(tmp_path / "again", quiet, config, kept, shown)
    await under_load(tmp_path / "other", busy, config, as_of(client.asked, began_ns), swept_by(client.sweeps, began_ns))


async def at_rest(var: Path, saved: Path, config: str, kept: dict[str, Any], shown: dict[str, Any]) -> None:
    """To the byte what it was; and trading goes on."""
    await run(Suite(var, {"TRADE2026_CONFIG": config}), "restore", str(saved))
    there = await asyncio.to_thread(restored_keys, var)
    assert {key: there.get(key) for key in kept} == kept
    async with plain(var) as stage:
        suite = stage.suite
        assert picture(suite) == shown
        words: dict[str, Any] = {"account": DESK, "symbol": "BTCUSDT", "side": "BUY"}
        again = suite.submit(**words, client_order_id="buy-1", quantity="0.01")
        assert again["order_id"] in shown["orders"]
        assert picture(suite) == shown
        new = suite.submit(**words, quantity="0.02")
        await asyncio.to_thread(suite.await_status, new["order_id"], "FILLED")
        await agree(suite, [DESK])


async def under_load(var: Path, saved: Path, config: str, asked: list[Asked], sweeps: list[Sweep]) -> None:
    """Everything acknowledged before is in it, nothing is doubled, and all records agree."""
    await run(Suite(var, {"TRADE2026_CONFIG": config}), "restore", str(saved))
    async with plain(var) as stage:
        scene = Scene(stage, "backup", LOAD, "2027", Random(2027), asked=asked, sweeps=sweeps)
        evidence = await scene.judged(tape=True)
        assert not scene.found, "\n".join(one.told() for one in scene.found)
        assert len(evidence.orders) >= len(asked) > 50
        await agree(stage.suite, scene.accounts)
