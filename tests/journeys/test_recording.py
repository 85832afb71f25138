"""Trading on a recorded market: fills are those that the recording allows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tests.journeys.rig import Suite, running
from tests.servers import wait_until

pytestmark = [pytest.mark.suite, pytest.mark.recorded]

FILE = "binance/usdm_btcusdt_20240808.jsonl.gz"
LINES, TRADES, QUOTES = 93_954, 21_313, 66_089
OPENING = Decimal(1_000_000)
TAKER, MAKER = Decimal("0.0005"), Decimal("0.0002")


@pytest.fixture(scope="module")
def touches(recorded: Path) -> list[tuple[int, Decimal, Decimal]]:
    """Every recorded best bid and ask with its event time (ns), read without the project's help."""
    found: list[tuple[int, Decimal, Decimal]] = []
    with gzip.open(recorded / FILE) as lines:
        for line in lines:
            if b"bookTicker" in line:
                words = json.loads(line.split(b" ", 1)[1])["data"]
                found.append((words["T"] * 1_000_000, Decimal(words["b"]), Decimal(words["a"])))
    return found


@pytest.fixture(scope="module")
def recording(recorded: Path) -> Path:
    """The recording, as the suite finds it."""
    return recorded / FILE


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, recording: Path) -> Iterator[Suite]:
    """A suite with the recording playing."""
    with running(tmp_path_factory.mktemp("recording")) as one:
        play(one, recording)
        yield one


def play(suite: Suite, recording: Path) -> None:
    """At four times its speed."""
    suite.replay(recording, format="binance-raw", speed="4", venue="binance")
    wait_until(lambda: _touch(suite) is not None, "the recorded quote")


def _touch(suite: Suite) -> tuple[Decimal, Decimal] | None:
    tickers = [t for t in suite.get("/api/gateway/tickers") if (t["symbol"], t["venue"]) == ("BTCUSDT", "binance")]
    if not tickers or not tickers[0]["ask"]:
        return None
    return Decimal(tickers[0]["bid"]), Decimal(tickers[0]["ask"])


def _now(suite: Suite) -> tuple[Decimal, Decimal]:
    touch = _touch(suite)
    assert touch is not None
    return touch


def test_a_market_buy_fills_at_the_recorded_ask(suite: Suite, touches: list[tuple[int, Decimal, Decimal]]) -> None:
    since_ns = _market_ns(suite)
    order = suite.submit(account="taker", symbol="BTCUSDT", side="BUY", quantity="0.001")
    filled = suite.await_status(order["order_id"], "FILLED")
    until_ns = _market_ns(suite)

    # The asks that the recording shows between before and after; a quote may be conflated for a moment.
    moment_ns = 500_000_000
    asks = {ask for at_ns, _, ask in touches if since_ns - moment_ns <= at_ns <= until_ns + moment_ns}
    assert asks
    assert Decimal(filled["average_fill_price"]) in asks
    assert Decimal(filled["filled_quantity"]) == Decimal("0.001")


def _market_ns(suite: Suite) -> int:
    """The recording's own time, as far as it has been played."""
    ticker = next(t for t in suite.get("/api/gateway/tickers") if t["venue"] == "binance")
    whole, _, fraction = ticker["timestamp"].removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


def test_a_far_limit_rests_and_is_cancelled(suite: Suite) -> None:
    bid, _ = _now(suite)
    far = (bid * Decimal("0.9")).quantize(Decimal("1"))
    order = suite.submit(account="far", symbol="BTCUSDT", side="BUY", type="LIMIT", quantity="0.001", price=str(far))
    suite.await_status(order["order_id"], "WORKING")

    suite.call("DELETE", f"/api/oms/orders/{order['order_id']}")
    gone = suite.await_status(order["order_id"], "CANCELED")

    assert Decimal(gone["filled_quantity"]) == 0
    assert suite.get("/api/oms/positions/far") == {}


def test_a_fill_or_kill_larger_than_the_touch_is_cancelled_whole(suite: Suite) -> None:
    _, ask = _now(suite)
    words = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "5", "time_in_force": "FOK"}
    price = (ask * Decimal("1.0000001")).quantize(Decimal("0.1"))
    # Five bitcoins are more than the recording ever shows at the touch at once on most quotes; a price barely at the
    # ask keeps the order from reaching deeper.
    statuses = set()
    for n in range(5):
        order = suite.submit(account="fok", client_order_id=f"fok{n}", price=str(price), **words)
        over = suite.await_status(order["order_id"], "CANCELED", "FILLED")
        statuses.add(over["status"])
        assert Decimal(over["filled_quantity"]) in (0, 5), "all or nothing"
    assert "CANCELED" in statuses


def test_a_limit_inside_fills_when_the_market_comes_to_it(suite: Suite) -> None:
    bid, _ = _now(suite)
    words = {"account": "maker", "symbol": "BTCUSDT", "type": "LIMIT", "quantity": "0.002", "price": str(bid)}
    order = suite.submit(side="BUY", **words)
    filled = suite.await_status(order["order_id"], "FILLED", timeout_s=90)

    assert Decimal(filled["average_fill_price"]) <= bid


@pytest.mark.parametrize("account", ["taker", "far", "fok", "maker"])
def test_the_position_is_the_sum_of_fills_and_cash_moved_by_notional_and_fee(suite: Suite, account: str) -> None:
    signed, cash = Decimal(0), OPENING
    for fill in suite.fills(account):
        quantity, price, fee = (Decimal(fill[name]) for name in ("quantity", "price", "fee"))
        sign = 1 if fill["side"] == "BUY" else -1
        assert fee == (quantity * price * (MAKER if fill["maker"] else TAKER)).quantize(Decimal("1e-8"))
        signed += sign * quantity
        cash -= sign * quantity * price + fee

    assert suite.cash(account) == cash
    positions = suite.get(f"/api/oms/positions/{account}")
    assert Decimal(positions["BTCUSDT"]["quantity"] if positions else 0) == signed


def test_every_line_of_the_recording_is_accounted_for(suite: Suite, recording: Path) -> None:
    for one in suite.get("/api/gateway/replays"):
        suite.http.delete(f"/api/gateway/replays/{one['id']}")
    replay = suite.replay(recording, format="binance-raw", speed="max", venue="check")
    done = suite.await_replay(replay["id"])

    assert done["state"] == "DONE", done
    assert (done["lines"], done["used_ticks"], done["used_quotes"]) == (LINES, TRADES, QUOTES)
    assert (done["other"], done["bad"]) == (LINES - TRADES - QUOTES, 0)
    wait_until(lambda: _kept(suite, "ticks") == TRADES, "every trade to be on the tape")
    wait_until(lambda: _kept(suite, "quotes") + done["conflated"] == QUOTES, "every quote that was said to be there")


def _kept(suite: Suite, table: str) -> int:
    return suite.get(f"/api/sink-ticks/count/{table}", venue="check")["count"]
