"""A suite whose tape is in QuestDB is saved while orders flow; in an empty QuestDB the tape fits the books again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from tests.journeys.rig import Suite, running
from tests.questdb_server import QuestServer
from tests.servers import wait_until

pytestmark = [pytest.mark.suite, pytest.mark.questdb]

ACCOUNT = "default"


@contextmanager
def serving(jar: str, folder: Path) -> Iterator[dict[str, str]]:
    """A QuestDB, as a suite is told of it."""
    server = QuestServer(jar, folder).start()
    try:
        yield {"TRADE2026_QUESTDB_HTTP": server.http, "TRADE2026_QUESTDB_PG": server.pg}
    finally:
        server.kill()


def trade(suite: Suite, enough: Event) -> list[str]:
    """Orders one after the other; their ids."""
    found: list[str] = []
    for number in itertools.count():
        if enough.is_set():
            return found
        words = {"client_order_id": f"n-{number}", "symbol": "BTCUSDT", "side": "BUY" if number % 2 else "SELL"}
        found.append(suite.submit(**words, quantity="0.001")["order_id"])
    raise AssertionError("unreachable")


def booked(suite: Suite) -> dict[str, int]:
    """How many rows the books are good for."""
    orders = suite.get("/api/oms/orders", account=ACCOUNT, limit=1000)["orders"]
    events = [suite.get(f"/api/oms/orders/{one['order_id']}/events") for one in orders]
    return {"orders": sum(len(some["events"]) for some in events), "fills": len(suite.fills(ACCOUNT))}


def taped(suite: Suite) -> dict[str, int]:
    return {table: suite.get(f"/api/sink-ticks/count/{table}")["count"] for table in ("orders", "fills")}


def test_what_is_on_a_restored_tape_is_what_is_in_the_restored_books(tmp_path: Path, questdb_jar: str) -> None:
    saved, enough = tmp_path / "saved", Event()
    with serving(questdb_jar, tmp_path / "one") as tape, running(tmp_path / "var", **tape) as suite:
        wait_until(lambda: suite.get("/api/gateway/ticker/BTCUSDT")["bid"], "a quote")
        with ThreadPoolExecutor() as pool:
            trading = pool.submit(trade, suite, enough)
            try:
                wait_until(lambda: taped(suite)["fills"] > 20, "the tape to fill", 60)
                said = json.loads(suite.run("backup", str(saved), "--json").stdout)
            finally:
                enough.set()
            traded = len(trading.result())
    assert "tape" in {one["part"] for one in said["parts"]}

    with serving(questdb_jar, tmp_path / "two") as tape:
        Suite(tmp_path / "again", tape).run("restore", str(saved))
        with running(tmp_path / "again", **tape) as suite:
            books = booked(suite)
            assert 20 < books["fills"] <= traded
            wait_until(lambda: taped(suite) == books, f"the tape to hold {books}", 60)
