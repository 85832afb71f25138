"""The mock behaves as Binance does where it matters: signatures, time, words, the reuse of ids; and runs by itself."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from services.live_gateway.venues.binance_proof import OutcomeUnknown, VenueRefused
from services.live_gateway.venues.binance_rest import BinanceRest, BinanceTerms
from shared.kit.ccxt_classes import ccxt_class
from shared.kit.clock import SystemClock
from tests.mock_binance import KEY, SECRET, MockBinance

CHECKOUT = Path(__file__).resolve().parents[4]
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "60000"}


def rest(market: MockBinance, **words: Any) -> BinanceRest:
    terms = {"key": KEY, "secret": SECRET, "rest_url": f"{market.url}/api/v3", "stream_url": market.stream_url}
    return BinanceRest(BinanceTerms(**(terms | words)), SystemClock())


async def refusal(asked: Any) -> int:
    with pytest.raises(VenueRefused) as raised:
        await asked
    return raised.value.code


async def test_keys_signatures_and_parameters_are_checked(market: MockBinance) -> None:
    right, wrong, unknown = rest(market), rest(market, secret="wrong"), rest(market, key="nobody")
    assert await refusal(wrong.send("GET", "account")) == -1022
    assert await refusal(unknown.send("GET", "account")) == -2015
    assert await refusal(right.send("POST", "order", **(LIMIT | {"type": "MARKET"}))) == -1106
    assert await refusal(right.send("POST", "order", **(LIMIT | {"newClientOrderId": "a b"}))) == -1100
    assert await refusal(right.send("POST", "order", **(LIMIT | {"newClientOrderId": "x" * 37}))) == -1100
    assert await refusal(right.send("GET", "order", symbol="BTCUSDT", origClientOrderId="none")) == -2013
    assert await refusal(right.send("DELETE", "order", symbol="BTCUSDT", origClientOrderId="none")) == -2011
    for one in (right, wrong, unknown):
        await one.close()


async def test_an_id_may_be_used_again_once_its_order_is_over(market: MockBinance) -> None:
    asked = rest(market)
    words = LIMIT | {"newClientOrderId": "again"}
    await asked.send("POST", "order", **words)
    assert await refusal(asked.send("POST", "order", **words)) == -2010
    market.market("BTCUSDT", "SELL", "1", "60000")
    await asked.send("POST", "order", **words)
    assert market.accepted("again") == 2, "so a blind repetition would double an order"
    await asked.close()


async def test_listen_keys_are_gone(market: MockBinance) -> None:
    asked = rest(market)
    assert await refusal(asked.send("POST", "userDataStream")) == -1
    await asked.close()


async def test_cancel_and_replace_says_what_came_of_either(market: MockBinance) -> None:
    asked = rest(market)
    await asked.send("POST", "order", **(LIMIT | {"newClientOrderId": "first"}))
    words = LIMIT | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrigClientOrderId": "first", "price": "59000"}
    answer = await asked.send("POST", "order/cancelReplace", **words)
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    assert answer["cancelResponse"]["origClientOrderId"] == "first"
    assert await refusal(asked.send("POST", "order/cancelReplace", **words)) == -2022
    await asked.close()


async def test_funds_are_locked_and_given_back(market: MockBinance) -> None:
    def usdt() -> dict[str, str]:
        return next(balance for balance in market.engine.balances(KEY) if balance["asset"] == "USDT")

    order = market.by_hand(quantity="1", price="60000")
    assert usdt() == {"asset": "USDT", "free": "940000.00000000", "locked": "60000.00000000"}
    market.market("BTCUSDT", "SELL", "0.5", "60000")
    assert usdt() == {"asset": "USDT", "free": "940000.00000000", "locked": "30000.00000000"}
    market.engine.cancel(order)
    assert usdt() == {"asset": "USDT", "free": "970000.00000000", "locked": "0.00000000"}


async def test_ccxt_can_load_its_markets(market: MockBinance) -> None:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
    api: Any = ccxt_class("ccxt.async_support", "binance")({"options": options})
    api.has["fetchCurrencies"] = False
    api.urls["api"] = {"public": f"{market.url}/api/v3", "private": f"{market.url}/api/v3"}
    api.timeout_on_exit = 0
    markets = await api.load_markets()
    await api.close()
    precision = markets["BTC/USDT"]["precision"]
    assert (precision["amount"], precision["price"]) == (1e-05, 0.01)


async def test_it_runs_as_a_process_and_keeps_a_log(tmp_path: Path) -> None:
    words = ["-m", "tests.mock_binance", "--log", str(tmp_path / "log"), "--book", "BTCUSDT=60000"]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=CHECKOUT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    served = json.loads(await process.stdout.readline())
    asked = BinanceRest(
        BinanceTerms(KEY, SECRET, rest_url=f"{served['url']}/api/v3", stream_url=served["stream_url"]), SystemClock()
    )
    answer = await asked.send("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1")
    assert answer["status"] == "FILLED"
    session = asked.session()
    fault = {"request": "POST /api/v3/order", "kind": "error_before", "status": 502}
    await (await session.post(f"{served['url']}/_fault", json=fault)).read()
    with pytest.raises(OutcomeUnknown):
        await asked.send("POST", "order", **LIMIT)
    log = await (await session.get(f"{served['url']}/_log")).json()
    await asked.close()
    process.terminate()
    assert await process.wait() == 0
    assert [entry["what"] for entry in log] == ["accepted", "fill"]
    assert [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()] == log
