"""Anyone may say a tick, in JSON and under the names that others use: it becomes a bar, and is on the tape once."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = pytest.mark.suite

MINUTE_MS = 1_723_161_240_000  # 2024-08-08T23:54:00Z


def _say(suite: Suite, ticks: list[dict[str, object]]) -> None:
    async def say() -> None:
        client = await suite.nats()
        for tick in ticks:
            await client.jetstream().publish("ticks.elsewhere.BTCUSDT", json.dumps(tick).encode())
        await client.close()

    asyncio.run(say())


def _tick(after_s: float, last: str, qty: float, id: str) -> dict[str, object]:
    return {
        "exchange": "Elsewhere",
        "symbol": "btc-usdt",
        "timestamp": MINUTE_MS + round(after_s * 1000),
        "last": last,
        "qty": qty,
        "side": "buy",
        "trade_id": id,
    }


def test_ticks_said_by_anyone_become_bars_and_a_late_one_corrects_its_bar(tmp_path: Path) -> None:
    first, high, low = _tick(1, "100", 1, "a"), _tick(30, "103.5", 2, "b"), _tick(59, "99", 0.5, "c")
    with running(tmp_path, GATEWAY_SIMULATE="false") as suite:
        path = "/api/normalizer/bars/elsewhere/BTCUSDT/1m"
        _say(suite, [first, high, high, low, _tick(61, "101", 1, "d")])
        wait_until(lambda: suite.get(path)["count"] == 1, "the first minute's bar")
        [bar] = suite.get(path)["bars"]
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (100, 103.5, 99, 99)
        assert (bar["volume"], bar["count"], bar["revision"]) == (3.5, 3, 0)
        assert bar["timestamp"] == "2024-08-08T23:54:00Z"

        _say(suite, [_tick(55, "98", 1, "late")])
        wait_until(lambda: suite.get(path)["bars"][0]["revision"] == 1, "the corrected bar")
        [bar] = suite.get(path)["bars"]
        assert (bar["low"], bar["close"], bar["volume"], bar["count"]) == (98, 99, 4.5, 4)

        wait_until(lambda: suite.get("/api/sink-ticks/count/ticks")["count"] == 5, "each tick to be on the tape once")
        wait_until(lambda: suite.get("/api/sink-ticks/count/ohlcv_1m")["count"] == 1, "the bar to be there once")
