"""The books: what must hold after every commit, kept from the store's own log of commits and from nothing else.

I2   one venue order for each order          I3   an execution is applied once
I4   position = the sum of the fills         I5   postings sum to zero, and cash is what the fills left of it
I6   no limit is breached, worst case        I9   only legal changes, versions without a gap
R1   nothing is said before it is committed
I11  nothing new reaches the venue once a kill has been acknowledged
G1   of one group no more than the largest can fill: no two of them are at the venue together, and none is overfilled
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from shared.contract import subjects
from shared.contract.orders import OrderStatus
from shared.domain.lifecycle import OPEN, may
from shared.kit.valkey import Change
from tests.simulation.broker import Stored
from tests.simulation.world import World

KEY = re.compile(r"(\w+):\{([^}]+)\}(?::(.*))?")
ZERO = Decimal(0)
KILL_WITHIN_S = 0.25

WAITING = {OrderStatus.NEW, OrderStatus.PENDING_RISK}
"""Open, but not let in by risk yet."""

Words = Mapping[str, Any]


def exposed(order: Words) -> bool:
    """Whether it may still fill, so that it counts as worst case."""
    status = OrderStatus(order["status"])
    return status in OPEN and status not in WAITING


def held(order: Words) -> bool:
    """Whether it waits for its stop, unknown to the venue."""
    return stopped(order) and not int(order.get("triggered_ns") or 0)


def sign(words: Words) -> int:
    return 1 if words["side"] == "BUY" else -1


def leaves(order: Words) -> Decimal:
    """What may still fill of it, a replacement on its way included."""
    quantity = Decimal(order["quantity"])
    if order.get("replacing"):
        quantity = max(quantity, Decimal(order["replacing"]["quantity"]))
    return quantity - Decimal(order["filled_quantity"])


def stopped(order: Words) -> bool:
    return order["order_type"] in ("STOP", "STOP_LIMIT", "TRAILING_STOP")


def there(order: Words) -> bool:
    """Whether the venue was told of it: a stop is ACCEPTED until it goes out."""
    return exposed(order) and not (order["status"] == "ACCEPTED" and stopped(order))


def netted(peers: list[Words]) -> bool:
    """Whether never two exits or legs of a group are at the venue together: all but one begin as stops held here."""
    return sum(not stopped(order) for order in peers) <= 1


def _together(orders: list[Words]) -> Decimal:
    """What exits or legs of one group may still fill: the largest of them, or all when they are there together."""
    left = [leaves(order) for order in orders if exposed(order)]
    return max(left, default=ZERO) if netted(orders) else sum(left, ZERO)


def _told(venue_order: Words) -> tuple[int, int]:
    """How much a venue has said of an order: it only grows, unless the venue takes it for another one."""
    return venue_order["report"]["sequence"], venue_order["fills"]


@dataclass
class Limit:
    """How much of a symbol an account may come to hold, long and short."""

    long: Decimal
    short: Decimal


@dataclass
class Books:
    """Everything that was ever committed, in short."""

    world: World
    opening: Decimal
    limits: dict[tuple[str, str], Limit]
    orders: dict[str, Words] = field(default_factory=dict[str, Words])
    first: dict[str, Words] = field(default_factory=dict[str, Words])
    fills: dict[str, Words] = field(default_factory=dict[str, Words])
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict[tuple[str, str], Decimal])
    cash: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    venue: dict[str, Words] = field(default_factory=dict[str, Words])
    reservations: dict[str, dict[str, Words]] = field(default_factory=lambda: defaultdict(dict))
    events: Counter[str] = field(default_factory=Counter[str])
    kills: dict[str, float] = field(default_factory=dict[str, float])
    killed_orders: int = 0

    def __post_init__(self) -> None:
        self._filled: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
        self._paid: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._of_symbol: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._groups: dict[str, set[str]] = defaultdict(set)
        self._regrouped: set[str] = set()
        self._commit: dict[tuple[str, str], Any] = {
            ("SET", "order"): self._order,
            ("SET", "fill"): self._fill,
            ("SET", "position"): self._position,
            ("SET", "account"): self._account,
            ("SET", "paper"): self._venue_order,
            ("RPUSH", "entries"): self._entry,
            ("RPUSH", "events"): self._event,
            ("HSET", "reservation"): self._reserved,
            ("HDEL", "reservation"): self._released,
        }

    def committed(self, owner: str, change: Change) -> None:
        """Look at one commit."""
        touched: set[tuple[str, str]] = set()
        for verb, key, *words in change.commands:
            found = KEY.fullmatch(str(key))
            if found is not None and (note := self._commit.get((str(verb), found[1]))):
                pair = note(found[2], found[3], *words)
                if pair is not None:
                    touched.add(pair)
        for account, symbol in sorted(touched):
            self._balanced(account, symbol)
            self._within_limits(account, symbol)
        for group in sorted(self._regrouped):
            self._one_of(group)
        self._regrouped.clear()

    # What was committed.

    def _order(self, account: str, order_id: str, words: Any) -> tuple[str, str]:
        order = orjson.loads(words)
        before = self.orders.get(order_id)
        if before is None:
            self.first[order_id] = order
            if order["version"] != 1:
                self.world.violated(f"I9 {order_id} begins with version {order['version']}")
        else:
            if order["version"] != before["version"] + 1:
                self.world.violated(f"I9 {order_id} goes from version {before['version']} to {order['version']}")
            if not may(OrderStatus(before["status"]), OrderStatus(order["status"])):
                self.world.violated(f"I9 {order_id} goes from {before['status']} to {order['status']}")
            if Decimal(order["filled_quantity"]) < Decimal(before["filled_quantity"]):
                self.world.violated(f"I9 {order_id} has less filled than before")
        self.orders[order_id] = order
        pair = (account, order["symbol"])
        self._of_symbol[pair].add(order_id)
        if group := order.get("group"):
            self._groups[group].add(order_id)
            self._regrouped.add(group)
        return pair

    def _fill(self, account: str, fill_id: str, words: Any) -> tuple[str, str]:
        fill = orjson.loads(words)
        if fill_id in self.fills:
            self.world.violated(f"I3 fill {fill_id} is committed a second time")
        self.fills[fill_id] = fill
        quantity = sign(fill) * Decimal(fill["quantity"])
        self._filled[account, fill["symbol"]] += quantity
        self._paid[account] += quantity * Decimal(fill["price"]) + Decimal(fill["fee"])
        return account, fill["symbol"]

    def _position(self, account: str, symbol: str, words: Any) -> tuple[str, str]:
        self.positions[account, symbol] = Decimal(orjson.loads(words)["quantity"])
        return account, symbol

    def _account(self, account: str, _: None, words: Any) -> None:
        self.cash[account] = Decimal(orjson.loads(words)["cash"])

    def _entry(self, account: str, _: None, words: Any) -> None:
        sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for posting in orjson.loads(words)["postings"]:
            sums[posting["unit"]] += Decimal(posting["amount"])
        if any(sums.values()):
            self.world.violated(f"I5 an entry of {account} sums to {dict(sums)}")

    def _event(self, account: str, order_id: str, words: Any) -> None:
        self.events[order_id] += 1

    def _reserved(self, account: str, _: None, order_id: str, words: Any) -> None:
        self.reservations[account][order_id] = orjson.loads(words)

    def _released(self, account: str, _: None, *order_ids: str) -> None:
        for order_id in order_ids:
            self.reservations[account].pop(order_id, None)

    def _venue_order(self, account: str, order_id: str, words: Any) -> None:
        order = orjson.loads(words)
        before = self.venue.get(order_id)
        if before is None:
            self._reached_venue(order)
        elif _told(order) < _told(before) or (_told(order) == _told(before) and order["report"] != before["report"]):
            self.world.violated(f"I2 {order_id} reached the venue twice")
        elif before["report"]["status"] in ("FILLED", "CANCELED", "REJECTED", "EXPIRED") and before != order:
            self.world.violated(f"I2 {order_id} is over at the venue and changes from {before} to {order}")
        self.venue[order_id] = order

    def _reached_venue(self, order: Words) -> None:
        if order["route"] is None or order["report"]["status"] == "REJECTED":
            return
        route = order["route"]
        scopes = ["firm", f"account.{order['account']}", f"symbol.{route['symbol']}", f"venue.{route['venue']}"]
        scopes.append(f"strategy.{route.get('strategy')}")
        for scope in scopes:
            since_s = self.kills.get(scope)
            if since_s is not None and self.world.now_s > since_s + KILL_WITHIN_S:
                self.killed_orders += 1
                self.world.violated(f"I11 {order['order_id']} reached the venue, {scope} was killed at {since_s:.6f}")

    def said(self, stored: Stored) -> None:
        """Something reached its stream: it speaks of nothing that is not committed."""
        message = stored.message
        match stored.subject:
            case subjects.ORDER_EVENT:
                known, spoken = self.orders.get(message.order.order_id), message.order.version
                committed = known["version"] if known else 0
            case subjects.ORDER_NEW:
                known, spoken = self.orders.get(message.order_id), 1
                committed = known["version"] if known and known["status"] != "DENIED" else 0
            case subjects.ORDER_REPORT:
                known, spoken = self.venue.get(message.order_id), message.sequence
                committed = known["report"]["sequence"] if known else 0
            case _:
                return
        if spoken > committed:
            self.world.violated(f"R1 {stored.address} speaks of {spoken} of {message}, {committed} is committed")

    # What must hold.

    def _balanced(self, account: str, symbol: str) -> None:
        position, filled = self.positions.get((account, symbol), ZERO), self._filled[account, symbol]
        if position != filled:
            self.world.violated(f"I4 {account} has {position} {symbol}, its fills add up to {filled}")
        cash = self.cash.get(account, self.opening)
        if cash != self.opening - self._paid[account]:
            self.world.violated(f"I5 {account} has {cash}, its fills left {self.opening - self._paid[account]}")

    def worst(self, account: str, symbol: str) -> tuple[Decimal, Decimal]:
        """How long and how short it may come to be: what is held, and all that is open."""
        position = self.positions.get((account, symbol), ZERO)
        sides = {1: ZERO, -1: ZERO}
        groups: dict[tuple[str, int], list[Words]] = defaultdict(list)
        for order_id in self._of_symbol[account, symbol]:
            order = self.orders[order_id]
            if order.get("group") and order.get("role") != "ENTRY":
                groups[order["group"], sign(order)].append(order)
            elif exposed(order):
                sides[sign(order)] += leaves(order)
        for (_, side), orders in groups.items():
            sides[side] += _together(orders)
        return position + sides[1], sides[-1] - position

    def _within_limits(self, account: str, symbol: str) -> None:
        limit = self.limits.get((account, symbol))
        if limit is None:
            return
        long, short = self.worst(account, symbol)
        if long > limit.long or short > limit.short:
            self.world.violated(
                f"I6 {account} may come to hold {long} {symbol} long, {short} short; "
                f"{limit.long} and {limit.short} are allowed"
            )

    def _one_of(self, group: str) -> None:
        """Of a group one is to fill, in place of all of them."""
        members = [self.orders[order_id] for order_id in sorted(self._groups[group])]
        peers = [order for order in members if order["role"] != "ENTRY"]
        if not netted(peers):
            return
        at_venue = [order["order_id"] for order in peers if there(order)]
        if len(at_venue) > 1:
            self.world.violated(f"G1 {' and '.join(at_venue)} of one group are at the venue together")
        filled = sum((Decimal(order["filled_quantity"]) for order in peers), ZERO)
        entry = next((Decimal(order["filled_quantity"]) for order in members if order["role"] == "ENTRY"), None)
        whole = max(Decimal(order["pair_quantity"] or 0) for order in peers) if entry is None else entry
        if filled > whole:
            self.world.violated(f"G1 {filled} of the group {group} are filled, {whole} is the whole of it")

    def killed(self, scope: str) -> None:
        """A kill was acknowledged."""
        self.kills.setdefault(scope, self.world.now_s)

    def lifted(self, scope: str) -> None:
        """Somebody begins to lift a kill: from here on orders may go out again."""
        self.kills.pop(scope, None)
