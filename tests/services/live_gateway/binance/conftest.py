"""A Binance venue over real sockets to a mock of it, spoken to as the desk would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest

from services.live_gateway.venues.binance import BinanceVenue
from services.live_gateway.venues.binance_rest import BinanceTerms
from shared.contract.dealing import Leg, VenueWord, client_id
from shared.contract.market import Instrument
from shared.contract.orders import OrderType, Side, TimeInForce
from shared.kit.clock import SystemClock
from tests.mock_binance import KEY, SECRET, MockBinance

D = Decimal
ORDER = "default-0123456789abcdef0123"

INSTRUMENTS = {
    symbol: Instrument(
        symbol=symbol,
        price_tick=D("0.01"),
        lot=D("0.00001"),
        quantity_min=D("0.00001"),
        quantity_max=D(9000),
        currency="USDT",
    )
    for symbol in ("BTCUSDT", "ETHUSDT")
}


class MovableClock(SystemClock):
    """The machine's clock: a test may have time pass, or set the time of day wrong."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.wrong_s = 0.0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + round(self.passed_s * 1e9)

    def now_ns(self) -> int:
        return super().now_ns() + round(self.wrong_s * 1e9)


def leg(quantity: str = "1", price: str | None = "60000", side: str = "BUY", number: int = 0, **words: Any) -> Leg:
    given = {
        "client_id": client_id(ORDER, number),
        "symbol": "BTCUSDT",
        "side": Side(side),
        "order_type": OrderType.LIMIT if price else OrderType.MARKET,
        "quantity": D(quantity),
        "price": D(price) if price else None,
        "time_in_force": TimeInForce.GTC,
    }
    return Leg(**(given | words))


async def until(true: Callable[[], object], within_s: float = 5) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.005)


class Dealing:
    """The venue at the market, and everything it said."""

    def __init__(self, market: MockBinance, **terms: Any) -> None:
        self.market = market
        self.clock = MovableClock()
        self.words: list[VenueWord] = []
        given = {"timeout_s": 0.3, "window_ms": 2000, "ping_s": 0.2, "backoff_max_s": 0.1}
        urls = {"rest_url": f"{market.url}/api/v3", "stream_url": market.stream_url}
        self.terms = BinanceTerms(**({"key": KEY, "secret": SECRET} | urls | given | terms))
        self.venue = BinanceVenue(self.terms, self.clock, INSTRUMENTS)

    async def begin(self) -> None:
        await self.venue.connect(self.words.append)
        await until(lambda: self.venue.down_since_ns == 0)

    def said(self, number: int = 0) -> list[str]:
        """The states of one order, in the order in which they were said."""
        return [word.status.value for word in self.words if word.client_id == client_id(ORDER, number)]

    def fills(self) -> dict[str, Decimal]:
        """Every fill said, by its id; a repeated one must say the same."""
        found: dict[str, Decimal] = {}
        for word in self.words:
            if word.fill is not None:
                assert found.setdefault(word.fill.execution_id, word.fill.quantity) == word.fill.quantity
        return found

    def fills_made(self) -> dict[str, Decimal]:
        """Every fill the market made, by its own log."""
        made = [entry for entry in self.market.engine.log if entry["what"] == "fill"]
        return {f"{e['symbol']}-{e['trade_id']}-{e['side'][0]}": D(e["quantity_now"]) for e in made}


@pytest.fixture
async def market() -> AsyncIterator[MockBinance]:
    async with MockBinance() as market:
        yield market


@pytest.fixture
async def dealing(market: MockBinance) -> AsyncIterator[Dealing]:
    """A venue that listens."""
    dealing = Dealing(market)
    await dealing.begin()
    yield dealing
    await dealing.venue.close()
    left = [task for task in asyncio.all_tasks() if "binance-stream" in task.get_name()]
    assert left == [], "the venue left a task behind"
