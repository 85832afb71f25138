"""Limits: none is breached at any moment of the journal, nor in the venue's own record (I6)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal

from tests.chaos.evidence import Bound, Evidence, Violation, Words
from tests.chaos.invariants.groups import alone_at_the_venue
from tests.chaos.invariants.orders import OVER, found, waits_here

Place = tuple[str, str]
"""An account and a symbol."""


def i6_no_limit_is_breached(evidence: Evidence) -> list[Violation]:
    """Position and all that may still fill stay inside, after every commit; so does what the venue has filled."""
    breached: list[Words] = []
    alone = {name for name, orders in evidence.groups().items() if alone_at_the_venue(orders)}
    for events in evidence.of_account().values():
        worst = _Worst(alone)
        for event in events:
            worst.take(event)
            bound = evidence.bounds.get(event["order"]["symbol"])
            if bound is not None and (why := worst.over(event["order"], bound)):
                breached.append({"why": why, "at": event["order"]})
    return [
        *found("I6", "a limit was breached at a moment of the journal", breached),
        *found("I6", "a limit was breached in the venue's record", _at_venue(evidence)),
    ]


class _Worst:
    """What an account's positions could come to if all that is open filled on one side.

    A pair of which only one leg can be at the venue counts as the larger one, and as no more than is left of the pair:
    what one leg fills is taken off the other by the next event of the same commit.
    """

    def __init__(self, alone: Collection[str]) -> None:
        self.held: defaultdict[str, Decimal] = defaultdict(Decimal)
        self.open: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._alone = alone
        self._leaves: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
        self._left: dict[str, Decimal] = {}

    def take(self, event: Words) -> None:
        order, fill = event["order"], event.get("fill")
        if fill:
            self.held[fill["symbol"]] += Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1)
        name = order["order_id"]
        paired = order.get("role") == "LEG" and order["group"] in self._alone
        if paired:
            name = order["group"]
        before = self._worth(name)
        if paired:
            left = self._left.setdefault(name, Decimal(order["pair_quantity"]))
            self._left[name] = left - (Decimal(fill["quantity"]) if fill else 0)
        mine = self._leaves[name]
        if order["status"] in OVER or order.get("reduce_only"):
            mine.pop(order["order_id"], None)
        elif order["status"] not in ("NEW", "PENDING_RISK"):
            quantity = Decimal(order["quantity"])
            if order.get("replacing"):
                quantity = max(quantity, Decimal(order["replacing"]["quantity"]))
            mine[order["order_id"]] = quantity - Decimal(order["filled_quantity"])
        self.open[order["symbol"], order["side"]] += self._worth(name) - before

    def _worth(self, name: str) -> Decimal:
        most = max(self._leaves[name].values(), default=Decimal(0))
        return max(Decimal(0), min(most, self._left.get(name, most)))

    def over(self, order: Words, bound: Bound) -> str:
        if order["status"] in OVER:
            return ""
        if Decimal(order["quantity"]) > bound.order_max and not waits_here(order):
            return f"an order of {order['quantity']}, at most {bound.order_max}"
        symbol = order["symbol"]
        long = self.held[symbol] + self.open[symbol, "BUY"]
        short = self.open[symbol, "SELL"] - self.held[symbol]
        if order["side"] == "BUY":
            return f"long {long}, at most {bound.long_max}" if long > bound.long_max else ""
        return f"short {short}, at most {bound.short_max}" if short > bound.short_max else ""


def _at_venue(evidence: Evidence) -> list[Words]:
    account_of = {order_id: order["account"] for order_id, order in evidence.orders.items()}
    held: defaultdict[Place, Decimal] = defaultdict(Decimal)
    breached: list[Words] = []
    for one in sorted(evidence.executions, key=lambda one: one.event_ns):
        place = account_of.get(one.order_id, "?"), one.symbol
        held[place] += one.signed
        bound = evidence.bounds.get(one.symbol)
        if bound is not None and not -bound.short_max <= held[place] <= bound.long_max:
            breached.append({"of": place, "held": held[place], "execution": vars(one)})
    return breached


def i6_only_open_orders_are_set_aside(evidence: Evidence) -> list[Violation]:
    """At rest: what is set aside is exactly what may still fill."""
    wrong: list[Words] = []
    for order_id, reservation in evidence.reserved.items():
        order = evidence.orders.get(order_id)
        if order is None or order["status"] in OVER or Decimal(reservation["quantity"]) < _leaves(order):
            wrong.append({"reservation": reservation, "order": order})
    bare = [
        order
        for order_id, order in evidence.orders.items()
        if order["status"] not in OVER | {"NEW", "PENDING_RISK"} and order_id not in evidence.reserved
    ]
    return [
        *found("I6", "set aside for what cannot fill, or too little of it", wrong),
        *found("I6", "open with nothing set aside for it", bare),
    ]


def _leaves(order: Words) -> Decimal:
    return Decimal(order["quantity"]) - Decimal(order["filled_quantity"])
