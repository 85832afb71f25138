"""A stage whose orders go to the mock of Binance, and that mock's own log as evidence."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

from shared.contract.dealing import order_behind
from tests.chaos.evidence import AtVenue, Execution, Words
from tests.chaos.line import Line
from tests.chaos.stage import Stage
from tests.mock_binance import KEY, SECRET, MockBinance
from tests.mock_binance.engine import Order

ACCOUNT = "dealing"
"""The one account that trades there, in all loops."""

SETTINGS = {
    "BINANCE_ENABLED": "true",
    "BINANCE_KEY": KEY,
    "BINANCE_SECRET": SECRET,
    "BINANCE_ACCOUNT": ACCOUNT,
    "BINANCE_TIMEOUT_S": "0.4",
    "ASK_AFTER_S": "0.1",
    "ABSENT_AFTER_S": "1.5",
    "BREAKER_FAILURES": "1000",
    "RATE_PER_S": "1000",
    "RATE_BURST": "2000",
    "RECONCILE_EVERY_S": "2",
}

ORDER = "/api/v3/order"
SUBMITS = ("no_reply", "timeout", "reset", "reset_before", "error", "error_before", "limited", "late", "disconnect")
QUERIES = ("timeout", "reset_before", "error_before", "limited")


class Dealing(Stage):
    """A suite with a line to the mock; `market` is the venue itself."""

    accounts = (ACCOUNT,)

    def __init__(self, var: Path, market: MockBinance) -> None:
        urls = {"BINANCE_REST_URL": f"{market.url}/api/v3", "BINANCE_STREAM_URL": market.stream_url}
        super().__init__(var, {f"LIVE_GATEWAY_{name}": value for name, value in (SETTINGS | urls).items()})
        self.market = market
        self.outside = self.at_venue

    async def open(self) -> None:
        """Up, the book of the mock filled around the market's prices, and orders let out."""
        await self.up()
        for trade in self.trades:
            for level in range(1, 6):
                for side, sign in (("BUY", -1), ("SELL", 1)):
                    self.market.market(trade.symbol, side, "1000", str(trade.limit(sign * level / 10_000)))
        line = Line(self.port("live-gateway"))
        body = b'{"mode": "LIVE", "venue": "binance", "sentence": "send all orders to binance", "actor": "chaos"}'
        answer = await line.ask("POST", "/mode", body)
        line.close()
        assert answer.status == 200, answer.body

    def trouble(self, rng: Random, share: float, count: int) -> None:
        """Of the next requests of each kind this share is struck."""
        for request, kinds in ((f"POST {ORDER}", SUBMITS), (f"DELETE {ORDER}", QUERIES), (f"GET {ORDER}", QUERIES)):
            for _ in range(count):
                kind = rng.choice(kinds) if rng.random() < share else "none"
                self.market.fault(request, kind, **_particulars(kind, rng))

    def peace(self) -> None:
        """Nothing is struck any more."""
        self.market._faults.clear()

    def at_venue(self) -> tuple[dict[str, AtVenue], list[Execution]]:
        """What the venue has of our orders, by its own books."""
        ours = {number: order for number, order in self.market.engine.orders.items() if order.owner == KEY}
        venue: dict[str, AtVenue] = {}
        for order in ours.values():
            name = _behind(order)
            # Two of one id at the venue are two orders here, and I2 says so.
            key = name if name not in venue else f"{name}#{order.number}"
            status = "WORKING" if order.status == "NEW" else order.status
            at_ns = order.at_ms * 1_000_000
            venue[key] = AtVenue(key, ACCOUNT, status, order.is_open, order.filled, at_ns, client_order_id=name)
        trades = [trade for trade in self.market.engine.trades if trade["orderId"] in ours]
        return venue, [_execution(trade, _behind(ours[trade["orderId"]])) for trade in trades]


def _particulars(kind: str, rng: Random) -> Words:
    """What else a fault of this kind has to be told."""
    if kind == "late":
        return {"after_s": rng.uniform(0, 2)}
    if kind == "limited":
        return {"retry_after": 1}
    return {"status": rng.choice((500, 502, 503, 504))} if kind.startswith("error") else {}


def _behind(order: Order) -> str:
    behind = order_behind(ACCOUNT, order.client_id)
    return behind[0] if behind else order.client_id


def _execution(trade: Words, order_id: str) -> Execution:
    side, price, fee = "BUY" if trade["isBuyer"] else "SELL", Decimal(trade["price"]), Decimal(trade["commission"])
    if trade["commissionAsset"] != "USDT":
        fee = (fee * price).quantize(Decimal("1e-12"))
    id, at_ns = f"{trade['symbol']}-{trade['id']}-{side[0]}", trade["time"] * 1_000_000
    return Execution(id, order_id, trade["symbol"], side, price, Decimal(trade["qty"]), fee, at_ns)


@asynccontextmanager
async def dealing(var: Path) -> AsyncGenerator[Stage]:
    """With the mock in this very process."""
    async with MockBinance() as market:
        stage = Dealing(var, market)
        try:
            await stage.open()
            yield stage
        finally:
            await stage.down()
