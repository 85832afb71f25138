"""The mix: what clients ask for, drawn from a seed: orders of every type, brackets, pairs, and new terms for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from tests.chaos.evidence import Asked, Words, digest

TICK = Decimal("0.01")
STRATEGIES = (None, "alpha", "beta")
SIDES = ("BUY", "SELL")


@dataclass(frozen=True)
class Trade:
    """How orders in one symbol are made: a price nearby, the smallest quantity, and the lot."""

    symbol: str
    price: Decimal
    smallest: Decimal
    lot: Decimal

    def quantity(self, rng: Random, n: int) -> Decimal:
        """Small, and another one for each of a few hundred orders on end: the same again is refused as a repetition."""
        return self.smallest * rng.randrange(1, 6) + (self.lot * (n % 499) if self.lot < self.smallest else 0)

    def limit(self, away: float) -> Decimal:
        return (self.price * Decimal(str(1 + away))).quantize(TICK)


@dataclass(frozen=True)
class Mix:
    """What share of what is asked for rests far from the market, near it, waits for a stop, comes as a bracket or as a
    pair; what share of all that is cancelled later, and is given new terms first; and how often all is cancelled."""

    far: float = 0.1
    near: float = 0.12
    stops: float = 0.1
    brackets: float = 0.1
    pairs: float = 0.06
    cancelled: float = 0.7
    replaced: float = 0.4
    swept: float = 0.01


PLAIN = Mix(stops=0, brackets=0, pairs=0, replaced=0, swept=0)
"""Market and limit orders, and cancels of them."""


@dataclass(frozen=True)
class Asking:
    """Draws what is asked for. The last of `trades` is for groups, the one before for orders near the market, and the
    others for what takes, or rests far away: an account that rests near the market on both sides, or takes there as
    well, would trade with itself, and be refused."""

    accounts: Sequence[str]
    trades: Sequence[Trade]
    mix: Mix
    venue: str = "paper"

    def next(self, rng: Random, client_order_id: str, n: int) -> Asked:
        """The n-th request of a hand."""
        account, drawn, mix = rng.choice(self.accounts), rng.random(), self.mix
        words: Words = {"account": account, "client_order_id": client_order_id}
        if strategy := rng.choice(STRATEGIES):
            words["strategy"] = strategy
        if self.venue != "paper":
            words["venue"] = self.venue
        for share, draw in (
            (mix.far, self._far),
            (mix.near, self._near),
            (mix.stops, self._stop),
            (mix.brackets, self._bracket),
            (mix.pairs, self._pair),
        ):
            if drawn < share:
                return draw(rng, words, n)
            drawn -= share
        trade = rng.choice(self.trades[:-2])
        return single(words | _terms(trade, rng.choice(SIDES), trade.quantity(rng, n)))

    def change(self, rng: Random, order: Words, n: int) -> Words:
        """New terms for an order."""
        trade = next(trade for trade in self.trades if trade.symbol == order["symbol"])
        if order.get("role") in (None, "ENTRY") and rng.random() < 0.5:
            return {"quantity": str(trade.quantity(rng, n))}
        if order.get("trail"):
            return {"trail": f"{rng.randrange(5, 500) / 100}%"}
        field = "stop_price" if order["order_type"].startswith("STOP") else "price"
        if order.get(field) is None:
            return {"quantity": str(trade.quantity(rng, n))}
        return {field: str((Decimal(order[field]) * Decimal(str(1 + rng.uniform(-0.0005, 0.0005)))).quantize(TICK))}

    def _side(self, rng: Random, account: str) -> str:
        """Each account keeps to one; the only one there is trades both ways."""
        return rng.choice(SIDES) if len(self.accounts) == 1 else SIDES[self.accounts.index(account) % 2]

    def _far(self, rng: Random, words: Words, n: int) -> Asked:
        trade, side = rng.choice(self.trades[:-2]), rng.choice(SIDES)
        return single(words | _limit(rng, trade, side, trade.quantity(rng, n), -rng.uniform(0.03, 0.05)))

    def _near(self, rng: Random, words: Words, n: int) -> Asked:
        trade, side = self.trades[-2], self._side(rng, words["account"])
        return single(words | _limit(rng, trade, side, trade.quantity(rng, n), -rng.uniform(0, 0.0005)))

    def _stop(self, rng: Random, words: Words, n: int) -> Asked:
        trade, side = rng.choice(self.trades[:-2]), rng.choice(SIDES)
        away = rng.choice((rng.uniform(-0.0002, 0.001), rng.uniform(0.02, 0.05)))
        return single(words | _terms(trade, side, trade.quantity(rng, n)) | _stop(rng, trade, side, away))

    def _bracket(self, rng: Random, words: Words, n: int) -> Asked:
        """Its entry takes at once or rests nearby; so are its exits near, or not."""
        trade, side = self.trades[-1], self._side(rng, words["account"])
        sign, other = _sign(side), SIDES[side == "BUY"]
        entry = words | _limit(rng, trade, side, trade.quantity(rng, n), rng.uniform(-0.0005, 0.0005))
        exits: list[tuple[str, Words]] = []
        if (both := rng.random()) < 0.85:
            price = trade.limit(sign * rng.choice((0.0008, 0.002, 0.02)))
            exits.append(("take-profit", {"order_type": "LIMIT", "price": str(price)}))
        if both > 0.15:
            exits.append(("stop-loss", _stop(rng, trade, other, rng.choice((0.0008, 0.002, 0.02)))))
        body: Words = {"entry": entry}
        body |= {name.replace("-", "_"): _without_type(terms) for name, terms in exits}
        shared = {name: entry[name] for name in ("account", "symbol", "quantity", "strategy") if name in entry}
        shared |= {"side": other, "reduce_only": True}
        return _group("/orders/bracket", body, entry, {name: shared | terms for name, terms in exits})

    def _pair(self, rng: Random, words: Words, n: int) -> Asked:
        """A limit and a stop around the market, or two limits."""
        trade, side = self.trades[-1], self._side(rng, words["account"])
        quantity = trade.quantity(rng, n)
        legs = [_limit(rng, trade, side, quantity, -rng.choice((0.0003, 0.03)))]
        if rng.random() < 0.8:
            legs.append(_terms(trade, side, quantity) | _stop(rng, trade, side, rng.choice((0.0003, 0.03))))
        else:
            legs.append(_limit(rng, trade, side, quantity, -rng.uniform(0.01, 0.02)))
        shared = {name: value for name, value in words.items() if name != "client_order_id"}
        one, other = words | legs[0], shared | legs[1]
        return _group("/orders/oco", {"legs": [one, other]}, one, {"other": other})


def single(words: Words) -> Asked:
    """A request for one order."""
    return Asked(words["account"], words["client_order_id"], words, digest(words))


def _group(path: str, body: Words, first: Words, others: dict[str, Words]) -> Asked:
    """A request for a group named by its first order; the suite names the others after it."""
    id = first["client_order_id"]
    named = {f"{id}.{name}": words for name, words in others.items()}
    digests = {other: digest(words | {"client_order_id": other}) for other, words in named.items()}
    return Asked(first["account"], id, body, digest(first), path=path, others=digests)


def _terms(trade: Trade, side: str, quantity: Decimal) -> Words:
    return {"symbol": trade.symbol, "side": side, "order_type": "MARKET", "quantity": str(quantity)}


def _limit(rng: Random, trade: Trade, side: str, quantity: Decimal, away: float) -> Words:
    """`away` is above the market for one who buys, below for one who sells; so one below 0 rests."""
    words = _terms(trade, side, quantity) | {"order_type": "LIMIT", "price": str(trade.limit(_sign(side) * away))}
    return words | {"time_in_force": rng.choice(("GTC", "DAY"))}


def _stop(rng: Random, trade: Trade, side: str, away: float) -> Words:
    """One of the three kinds, so far from the market."""
    sign, kind = _sign(side), rng.choice(("STOP", "STOP", "STOP_LIMIT", "TRAILING_STOP"))
    if kind == "TRAILING_STOP":
        return {"order_type": kind, "trail": f"{max(0.01, round(away * 100, 2))}%"}
    words = {"order_type": kind, "stop_price": str(trade.limit(sign * away))}
    return words | ({"price": str(trade.limit(sign * (away + 0.001)))} if kind == "STOP_LIMIT" else {})


def _without_type(terms: Words) -> Words:
    return {name: value for name, value in terms.items() if name != "order_type"}


def _sign(side: str) -> int:
    return 1 if side == "BUY" else -1
