"""A stage whose orders go to the mock of Binance, and that mock's own log as evidence."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random

from shared.contract.dealing import order_behind
from tests.chaos.evidence import AtVenue, Bound, Execution, Words
from tests.chaos.line import Line, Unanswered, get
from tests.chaos.proxy import Cut, Proxy
from tests.chaos.stage import BOUNDS, Stage
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

DOUBT = {"OMS_UNKNOWN_AFTER_S": "1", "OMS_ASK_AGAIN_EVERY_S": "1"}
"""Silence is doubted soon, so that there is doubt to be ended."""

ORDER = "/api/v3/order"
SUBMITS = ("no_reply", "timeout", "reset", "reset_before", "error", "error_before", "late", "disconnect")
QUERIES = ("timeout", "reset_before", "error_before")
SELDOM = 16
"""Too many requests are so much rarer than anything else: after one of these nothing is sent for a second."""


WIDE = {name: Bound(100 * bound.long_max, 100 * bound.short_max, bound.order_max) for name, bound in BOUNDS.items()}


class Dealing(Stage):
    """A suite with a line to the mock, which may be cut; `market` is the venue itself."""

    accounts = (ACCOUNT,)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "SOLUSDT")

    bounds = WIDE
    """Wide, because all loops share one account."""

    def __init__(self, var: Path, market: MockBinance, line: Proxy) -> None:
        door = f"127.0.0.1:{line.port}"
        urls = {"BINANCE_REST_URL": f"http://{door}/api/v3", "BINANCE_STREAM_URL": f"ws://{door}/ws-api/v3"}
        settings = {f"LIVE_GATEWAY_{name}": value for name, value in (SETTINGS | urls).items()}
        super().__init__(var, settings | DOUBT)
        self.market = market
        self._line = line
        self.outside = self.at_venue

    async def open(self) -> None:
        """Up, the book of the mock filled around the market's prices, and orders let out."""
        await self.up()
        for trade in self.trades[:-1]:
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
                kind = rng.choice((*kinds * SELDOM, "limited")) if rng.random() < share else "none"
                self.market.fault(request, kind, **_particulars(kind, rng))

    def cut(self, how: Cut) -> int:
        """Cut the gateway off the venue; how many connections that strikes."""
        return self._line.cut(how)

    def peace(self) -> None:
        """Nothing is struck or cut any more."""
        self.market._faults.clear()
        self._line.heal()

    async def deals(self) -> bool:
        """Whether the gateway finds no trouble with the venue, and everybody is ready."""
        try:
            venues = await get(self.port("live-gateway"), "/venues", 1.0)
        except Unanswered:
            return False
        trouble = next(row["trouble"] for row in venues if row["venue"] == "binance")
        return not trouble and await self.all_ready()

    def at_venue(self) -> tuple[dict[str, AtVenue], list[Execution]]:
        """What the venue has of our orders, by its own books."""
        # The market goes on meanwhile, in another thread.
        ours = {number: order for number, order in list(self.market.engine.orders.items()) if order.owner == KEY}
        legs: dict[str, dict[int, Order]] = {}
        venue: dict[str, AtVenue] = {}
        for order in sorted(ours.values(), key=lambda order: order.is_open):
            name, number = _behind(order)
            mine = legs.setdefault(name, {})
            if number in mine or any(leg.is_open for leg in mine.values()):
                # Two of one id at the venue, or two legs at once, are two orders here, and I2 says so.
                venue[f"{name}#{order.number}"] = _at_venue(f"{name}#{order.number}", name, [order])
            else:
                mine[number] = order
        venue |= {name: _at_venue(name, name, [some[n] for n in sorted(some)]) for name, some in legs.items()}
        trades = [trade for trade in list(self.market.engine.trades) if trade["orderId"] in ours]
        return venue, [_execution(trade, _behind(ours[trade["orderId"]])[0]) for trade in trades]


def _at_venue(key: str, name: str, legs: Sequence[Order]) -> AtVenue:
    """One order of ours, of which every replacement that was not made in place is another one there."""
    last = legs[-1]
    # The venue counts in milliseconds; what happened within one is taken to have happened at its end.
    out_ns = max(leg.at_ms if leg.is_open else max(leg.at_ms, leg.updated_ms) for leg in legs) * 1_000_000 + 999_999
    status = "WORKING" if last.status == "NEW" else last.status
    filled = sum((leg.filled for leg in legs), Decimal(0))
    arrived_ns = last.at_ms * 1_000_000
    return AtVenue(
        key, ACCOUNT, status, any(leg.is_open for leg in legs), filled, arrived_ns, client_order_id=name, out_ns=out_ns
    )


def _particulars(kind: str, rng: Random) -> Words:
    """What else a fault of this kind has to be told."""
    if kind == "late":
        return {"after_s": rng.uniform(0, 2)}
    if kind == "limited":
        return {"retry_after": 1}
    return {"status": rng.choice((500, 502, 503, 504))} if kind.startswith("error") else {}


def _behind(order: Order) -> tuple[str, int]:
    """The id of our order, and which of its replacements this is."""
    return order_behind(ACCOUNT, order.client_id) or (order.client_id, 0)


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
        line = await Proxy(market.port).start()
        stage = Dealing(var, market, line)
        try:
            await stage.open()
            yield stage
        finally:
            await stage.down()
            await line.close()
