"""Wishes: what clients ask for. Every type, time in force and flag there is, alone, in pairs and in brackets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.contract.groups import StopLoss, SubmitBracket, SubmitPair, TakeProfit
from shared.contract.orders import AT_ONCE, Order, OrderType, ReplaceRequest, Side, SubmitOrder, TimeInForce
from tests.simulation.market import SYMBOLS, Market
from tests.simulation.world import World

Grouped = SubmitBracket | SubmitPair | None

TYPES = {
    OrderType.MARKET: 4,
    OrderType.LIMIT: 8,
    OrderType.STOP: 2,
    OrderType.STOP_LIMIT: 2,
    OrderType.TRAILING_STOP: 2,
}
TIMES = {
    TimeInForce.GTC: 8,
    TimeInForce.DAY: 2,
    TimeInForce.GTD: 2,
    TimeInForce.IOC: 2,
    TimeInForce.FOK: 1,
}
LEGS = [OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP]
PERCENTS = ("0.01%", "0.03%", "0.08%")


class Wishes:
    """What one client may come to want; `venue` is where most of its orders go."""

    def __init__(self, world: World, market: Market, account: str, venue: str) -> None:
        self._world = world
        self._rng = world.rng
        self._market = market
        self._account = account
        self._venue = venue

    def next(self, client_order_id: str) -> tuple[SubmitOrder, Grouped]:
        """One order, and the group it begins, if it begins one."""
        draw = self._rng.random()
        if draw < 0.14:
            return self._bracket(client_order_id)
        if draw < 0.24:
            return self._pair(client_order_id)
        return self._single(client_order_id), None

    def keen(self, client_order_id: str) -> SubmitOrder:
        """What everybody wants who races for the same room."""
        price = self._market.price("AAPL", self._rng.randint(-20, 2))
        words: dict[str, Any] = {
            "symbol": "AAPL",
            "side": Side.BUY,
            "quantity": Decimal(self._rng.randint(2, 4)),
            "price": price,
        }
        words |= {"order_type": OrderType.LIMIT, "venue": self._where(), "strategy": "alpha"}
        return SubmitOrder(account=self._account, client_order_id=client_order_id, **words)

    def other(self, wanted: SubmitOrder) -> SubmitOrder:
        """Something else under the same name."""
        return wanted.model_copy(update={"quantity": wanted.quantity + SYMBOLS[wanted.symbol].lot})

    def terms(self, order: Order) -> ReplaceRequest:
        """New ones for an order; not all of them are possible."""
        rng, words = self._rng, dict[str, Any]()
        kinds = ["quantity"] * (order.role is None or order.role == "ENTRY" or rng.random() < 0.1)
        kinds += ["price"] * (order.price is not None)
        if order.held:
            kinds += ["trail"] if order.trail else ["stop_price"]
        kinds = kinds or ["quantity"]
        for kind in sorted({rng.choice(kinds) for _ in range(rng.choice((1, 1, 2)))}):
            match kind:
                case "quantity":
                    lot = SYMBOLS[order.symbol].lot
                    words[kind] = max(order.quantity + lot * rng.choice((-2, -1, -1, 1, 2)), lot)
                case "trail":
                    words[kind] = self._trail(order.symbol)
                case _:
                    words[kind] = self._market.price(order.symbol, rng.randint(-8, 8))
        return ReplaceRequest(**words)

    # How.

    def _where(self) -> str:
        return self._venue if self._rng.random() < 0.9 else "paper"

    def _common(self) -> dict[str, Any]:
        rng = self._rng
        symbol = rng.choice(list(SYMBOLS))
        words = {"account": self._account, "symbol": symbol, "quantity": SYMBOLS[symbol].lot * rng.randint(1, 4)}
        return words | {"venue": self._where(), "strategy": rng.choice((None, "alpha", "beta"))}

    def _single(self, client_order_id: str) -> SubmitOrder:
        rng, words = self._rng, self._common()
        side = rng.choice((Side.BUY, Side.BUY, Side.SELL))
        kind = rng.choices(list(TYPES), list(TYPES.values()))[0]
        words |= self._priced(kind, words["symbol"], side) | self._timed()
        words["reduce_only"] = rng.random() < 0.08
        if kind is OrderType.LIMIT and words["time_in_force"] not in AT_ONCE:
            words["post_only"] = rng.random() < 0.15
        return SubmitOrder(client_order_id=client_order_id, side=side, **words)

    def _priced(self, kind: OrderType, symbol: str, side: Side) -> dict[str, Any]:
        """The type, with the prices it takes, near enough to be reached now and then."""
        rng, market = self._rng, self._market
        words: dict[str, Any] = {"order_type": kind}
        if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            words["price"] = market.price(symbol, rng.randint(-8, 8))
        if kind in (OrderType.STOP, OrderType.STOP_LIMIT):
            words["stop_price"] = market.price(symbol, side.sign * rng.randint(-1, 6))
        if kind is OrderType.TRAILING_STOP:
            words["trail"] = self._trail(symbol)
        return words

    def _trail(self, symbol: str) -> str:
        if self._rng.random() < 0.5:
            return self._rng.choice(PERCENTS)
        return str(SYMBOLS[symbol].price_tick * self._rng.randint(1, 8))

    def _timed(self) -> dict[str, Any]:
        words: dict[str, Any] = {"time_in_force": self._rng.choices(list(TIMES), list(TIMES.values()))[0]}
        if words["time_in_force"] is TimeInForce.GTD:
            now = datetime.fromtimestamp(self._world.loop.now_ns() // 1_000_000_000, UTC)
            words["expire_at"] = now + timedelta(seconds=self._rng.choice((1, 2, 3, 600)))
        return words

    def _bracket(self, client_order_id: str) -> tuple[SubmitOrder, SubmitBracket]:
        """The exits lie around the entry, on one side of it or on both."""
        rng, words = self._rng, self._common()
        side, symbol = rng.choice((Side.BUY, Side.SELL)), words["symbol"]
        middle = self._market.price(symbol, rng.randint(-3, 3))
        step = SYMBOLS[symbol].price_tick * side.sign
        kind = rng.choice((OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP))
        words |= {"order_type": kind} | self._timed()
        if kind is OrderType.LIMIT:
            words["price"] = middle
        if kind is OrderType.STOP:
            words["stop_price"] = middle
        entry = SubmitOrder(client_order_id=client_order_id, side=side, **words)
        profit = TakeProfit(price=middle + step * rng.randint(2, 9)) if rng.random() < 0.8 else None
        loss = None
        if profit is None or rng.random() < 0.85:
            level = middle - step * rng.randint(2, 9)
            loss = rng.choice(
                (
                    StopLoss(stop_price=level),
                    StopLoss(stop_price=level, price=level - step * rng.randint(0, 3)),
                    StopLoss(trail=self._trail(symbol)),
                )
            )
        return entry, SubmitBracket(entry=entry, take_profit=profit, stop_loss=loss)

    def _pair(self, client_order_id: str) -> tuple[SubmitOrder, SubmitPair]:
        """Two legs of any kind, mostly on one side."""
        rng, words = self._rng, self._common()
        side = rng.choice((Side.BUY, Side.SELL))
        sides = side, side if rng.random() < 0.85 else Side.SELL if side is Side.BUY else Side.BUY
        kinds = rng.choice(LEGS), rng.choice(LEGS)
        times = [self._timed() if rng.random() < 0.3 else {} for _ in kinds]
        one, other = (
            SubmitOrder(
                client_order_id=client_order_id if number == 0 else None,
                side=sides[number],
                **words,
                **self._priced(kind, words["symbol"], sides[number]),
                **({} if times[number].get("time_in_force") in AT_ONCE else times[number]),
            )
            for number, kind in enumerate(kinds)
        )
        return one, SubmitPair(legs=(one, other))
