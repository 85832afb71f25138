"""The books: what must hold after every commit, kept from the store's own log of commits and from nothing else.

I2   one venue order for each order          I3   an execution is applied once
I4   position = the sum of the fills         I5   postings sum to zero, and cash is what they, and the fills, left of it
I6   no limit is breached, worst case        I9   only legal changes, versions without a gap
R1   nothing is said before it is committed  R5   what may fill is set aside, exactly and for no longer
I11  nothing new reaches the venue once a kill has been acknowledged
S1   nothing is let in where all trading is halted
V1   what risk found of an order can be told: a verdict in short refers to what is kept already
G1   of one group no more than the largest can fill: no two of them are at the venue together, and none is overfilled
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from shared.contract import subjects
from shared.contract.judgement import Shape
from shared.contract.orders import Fill, Order, OrderStatus, Report
from shared.contract.risk import Verdict, scopes_of
from shared.contract.venue import VenueOrder
from shared.domain.lifecycle import may
from shared.kit.valkey import Change
from tests.simulation.broker import Stored
from tests.simulation.tally import counted, read
from tests.simulation.world import World
from tests.simulation.worst import ZERO, Limit, Words, exposed, leaves, netted, open_of, sign, there

KEY = re.compile(r"(\w+):(?:\{([^}]+)\}:?)?(.*)")
KILL_WITHIN_S = 0.25
OVER = ("FILLED", "CANCELED", "REJECTED", "EXPIRED")


@dataclass
class Books:
    """Everything that was ever committed, in short. `limits` are by kind and name of scope, and symbol.

    `excused` are the orders that a venue filled after it had called them over: what follows is nobody's fault.
    """

    world: World
    opening: Decimal
    limits: dict[tuple[str, str, str], Limit]
    orders: dict[str, Words] = field(default_factory=dict[str, Words])
    first: dict[str, Words] = field(default_factory=dict[str, Words])
    fills: dict[str, Words] = field(default_factory=dict[str, Words])
    cash: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    venue: dict[str, Words] = field(default_factory=dict[str, Words])
    reservations: dict[str, dict[str, Words]] = field(default_factory=lambda: defaultdict(dict))
    events: Counter[str] = field(default_factory=Counter[str])
    kills: dict[str, float] = field(default_factory=dict[str, float])
    halted: dict[str, int] = field(default_factory=dict[str, int])
    pending: set[str] = field(default_factory=set[str])
    excused: set[str] = field(default_factory=set[str])

    def __post_init__(self) -> None:
        # By account, strategy ("" is the account as a whole) and symbol.
        self.positions: dict[tuple[str, str, str], Decimal] = {}
        self.filled: dict[tuple[str, str, str], Decimal] = defaultdict(lambda: ZERO)
        self._paid: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._posted: dict[str, Decimal] = defaultdict(lambda: ZERO)
        self._of_symbol: dict[str, dict[str, None]] = defaultdict(dict)
        self.groups: dict[str, dict[str, None]] = defaultdict(dict)
        self._touched: dict[str, None] = {}
        self._grown: dict[str, None] = {}
        self._shapes: dict[str, Shape] = {}
        self._moved: dict[tuple[str, str, str], None] = {}
        self.ended: Callable[[str], None] = lambda order_id: None
        self._commit: dict[tuple[str, str], Any] = {
            ("SET", "order"): self._order,
            ("SET", "fill"): self._fill,
            ("SET", "position"): self._position,
            ("SET", "strategy_position"): self._share,
            ("SET", "account"): self._account,
            ("SET", "paper"): self._venue_order,
            ("SET", "shape"): self._shape,
            ("SET", "verdict"): self._verdict,
            ("RPUSH", "entries"): self._entry,
            ("RPUSH", "events"): self._event,
            ("HSET", "events"): self._event,
            ("HSET", "reservation"): self._reserved,
            ("HDEL", "reservation"): self._released,
        }

    def committed(self, owner: str, change: Change) -> None:
        """Look at one commit."""
        for verb, key, *words in change.commands:
            found = KEY.fullmatch(str(key))
            if found is not None and (note := self._commit.get((str(verb), found[1]))):
                note(found[2], found[3], *words)
        for order_id in self._touched:
            self._look_at(order_id)
        for account, strategy, symbol in self._moved:
            self._balanced(account, strategy, symbol)
        for some in (self._touched, self._grown, self._moved):
            some.clear()

    # What was committed.

    def _order(self, account: str, order_id: str, words: Any) -> None:
        order = read(Order, words)
        before = self.orders.get(order_id)
        if before is None:
            self.first[order_id] = order
            if order["version"] != 1:
                self.world.violated(f"I9 {order_id} begins with version {order['version']}")
        else:
            self._walks(order_id, before, order)
        self.orders[order_id] = order
        self._of_symbol[order["symbol"]][order_id] = None
        if group := order["group"]:
            self.groups[group][order_id] = None
        if order["status"] == "PENDING_RISK":
            self.pending.add(order_id)
        else:
            self.pending.discard(order_id)
        self._touched[order_id] = None
        if exposed(order) and (before is None or not exposed(before) or leaves(order) > leaves(before)):
            self._grown[order_id] = None
        counted(self.world.did, before, order)

    def _walks(self, order_id: str, before: Words, order: Words) -> None:
        if order["version"] != before["version"] + 1:
            self.world.violated(f"I9 {order_id} goes from version {before['version']} to {order['version']}")
        if not may(OrderStatus(before["status"]), OrderStatus(order["status"])):
            self.world.violated(f"I9 {order_id} goes from {before['status']} to {order['status']}")
        if Decimal(order["filled_quantity"]) < Decimal(before["filled_quantity"]):
            self.world.violated(f"I9 {order_id} has less filled than before")

    def _fill(self, account: str, fill_id: str, words: Any) -> None:
        fill = read(Fill, words)
        if fill_id in self.fills:
            self.world.violated(f"I3 fill {fill_id} is committed a second time")
        self.fills[fill_id] = fill
        quantity = sign(fill) * Decimal(fill["quantity"])
        for strategy in {"": None, fill["strategy"] or "": None}:
            self.filled[account, strategy, fill["symbol"]] += quantity
            self._moved[account, strategy, fill["symbol"]] = None
        self._paid[account] += quantity * Decimal(fill["price"]) + Decimal(fill["fee"])

    def _position(self, account: str, symbol: str, words: Any) -> None:
        self.positions[account, "", symbol] = Decimal(orjson.loads(words).get("quantity", 0))
        self._moved[account, "", symbol] = None

    def _share(self, account: str, place: str, words: Any) -> None:
        strategy, _, symbol = place.partition(":")
        self.positions[account, strategy, symbol] = Decimal(orjson.loads(words).get("quantity", 0))
        self._moved[account, strategy, symbol] = None

    def _account(self, account: str, _: None, words: Any) -> None:
        self.cash[account] = Decimal(orjson.loads(words)["cash"])

    def _entry(self, account: str, _: None, words: Any) -> None:
        sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for posting in orjson.loads(words)["postings"]:
            sums[posting["unit"]] += Decimal(posting["amount"])
            if posting["ledger"] == "cash":
                self._posted[account] += Decimal(posting["amount"])
        if any(sums.values()):
            self.world.violated(f"I5 an entry of {account} sums to {dict(sums)}")

    def _event(self, account: str, order_id: str, *words: Any) -> None:
        self.events[order_id] += 1

    def _reserved(self, account: str, _: None, order_id: str, words: Any) -> None:
        self.reservations[account][order_id] = orjson.loads(words)

    def _released(self, account: str, _: None, *order_ids: str) -> None:
        for order_id in order_ids:
            self.reservations[account].pop(order_id, None)

    def _shape(self, _: None, name: str, words: Any) -> None:
        self._shapes[name] = Shape.decode(words)

    def _verdict(self, account: str, order_id: str, words: Any) -> None:
        verdict = Verdict.decode(words)
        if verdict.shape in self._shapes:
            verdict = self._shapes[verdict.shape].fill(verdict)
        if not verdict.rules:
            self.world.violated(f"V1 {order_id} has no findings: shape {verdict.shape!r}")

    def _venue_order(self, account: str, order_id: str, words: Any) -> None:
        order = read(VenueOrder, words)
        order["report"] = read(Report, order["report"])
        before = self.venue.get(order_id)
        if before is None:
            self._reached_venue(order)
        elif _told(order) < _told(before) or (_told(order) == _told(before) and _said(order) != _said(before)):
            self.world.violated(f"I2 {order_id} reached the venue twice")
        elif order["deal"] is None and before["report"]["status"] in OVER and before != order:
            self.world.violated(f"I2 {order_id} is over at the venue and changes from {before} to {order}")
        self.venue[order_id] = order
        if order["deal"] and order["report"]["status"] in OVER:
            self.ended(order_id)

    def _reached_venue(self, order: Words) -> None:
        if order["route"] is not None and order["report"]["status"] != "REJECTED":
            self.world.did[f"reached {order['report']['venue']}"] += 1
            self.allowed(order, self.world.now_s - KILL_WITHIN_S)

    def allowed(self, venue_order: Words, before_s: float) -> None:
        """Whether no kill that was acknowledged before that time stands in its way."""
        route = venue_order["route"]
        for scope in scopes_of(venue_order["account"], route.get("strategy"), route["venue"], route["symbol"]):
            since_s = self.kills.get(scope)
            if since_s is not None and since_s < before_s:
                order_id = venue_order["order_id"]
                self.world.violated(f"I11 {order_id} reached the venue, {scope} was killed at {since_s:.6f}")

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

    def _look_at(self, order_id: str) -> None:
        order = self.orders[order_id]
        kept = self.reservations[order["account"]].get(order_id)
        due = leaves(order) if exposed(order) and leaves(order) > 0 else None
        if due != (kept and Decimal(kept["quantity"])):
            self.world.violated(f"R5 {order_id}: {due} may fill, {kept and kept['quantity']} is set aside")
        if group := order["group"]:
            self._one_of(group)
        if order_id in self._grown:
            self._within_limits(order)
        if order["version"] == 1 and exposed(order):
            for scope in ("firm", f"account.{order['account']}", f"symbol.{order['symbol']}"):
                if (since_ns := self.halted.get(scope)) is not None and order["created_ns"] > since_ns:
                    self.world.violated(f"S1 {order_id} was let in, {scope} is HALTED since {since_ns}")

    def _balanced(self, account: str, strategy: str, symbol: str) -> None:
        position, filled = self.positions.get((account, strategy, symbol), ZERO), self.filled[account, strategy, symbol]
        if position != filled:
            whose = f"{account} {strategy}".strip()
            self.world.violated(f"I4 {whose} has {position} {symbol}, its fills add up to {filled}")
        cash = self.cash.get(account, self.opening)
        if cash != self.opening - self._paid[account]:
            self.world.violated(f"I5 {account} has {cash}, its fills left {self.opening - self._paid[account]}")
        if cash != self.opening + self._posted[account]:
            self.world.violated(f"I5 {account} has {cash}, its postings left {self.opening + self._posted[account]}")

    def worst(self, kind: str, name: str, symbol: str) -> tuple[Decimal, Decimal]:
        """How long and how short an account or a strategy may come to be: what is held, and all that is open."""
        if kind == "account":
            position = self.positions.get((name, "", symbol), ZERO)
        else:
            some = [amount for (_, one, of), amount in self.positions.items() if (one, of) == (name, symbol)]
            position = sum(some, ZERO)
        orders = (self.orders[order_id] for order_id in self._of_symbol[symbol])
        sides = open_of(order for order in orders if order[kind] == name)
        return position + sides[1], sides[-1] - position

    def _within_limits(self, order: Words) -> None:
        """What lets an order in, or lets it grow, holds it to every limit; only what shrinks the account may pass."""
        symbol = order["symbol"]
        if any(self.orders[order_id]["symbol"] == symbol for order_id in self.excused & self.orders.keys()):
            return
        for kind in ("account", "strategy"):
            limit = self.limits.get((kind, order[kind] or "", symbol))
            if limit is None:
                continue
            worst = dict(zip((1, -1), self.worst(kind, order[kind], symbol), strict=True))[sign(order)]
            most = limit.long if sign(order) == 1 else limit.short
            if worst > most and not (kind == "strategy" and self._shrinks(order)):
                side = "long" if sign(order) == 1 else "short"
                self.world.violated(
                    f"I6 {kind} {order[kind]} may come to hold {worst} {symbol} {side}, {most} is allowed: "
                    f"{order['order_id']}"
                )

    def _shrinks(self, order: Words) -> bool:
        """Whether the account can only come closer to flat by it, all else of its side having filled before it."""
        worst = self.worst("account", order["account"], order["symbol"])
        return worst[0 if sign(order) == 1 else 1] <= 0

    def _one_of(self, group: str) -> None:
        """Of a group one is to fill, in place of all of them."""
        members = [self.orders[order_id] for order_id in self.groups[group]]
        peers = [order for order in members if order["role"] != "ENTRY"]
        if self.excused & self.groups[group].keys():
            return
        filled = sum((Decimal(order["filled_quantity"]) for order in peers), ZERO)
        entry = next((Decimal(order["filled_quantity"]) for order in members if order["role"] == "ENTRY"), None)
        if not netted(peers):
            return
        at_venue = [order["order_id"] for order in peers if there(order)]
        if len(at_venue) > 1:
            self.world.violated(f"G1 {' and '.join(at_venue)} of one group are at the venue together")
        whole = max(Decimal(order["pair_quantity"] or 0) for order in peers) if entry is None else entry
        if filled > whole:
            self.world.violated(f"G1 {filled} of the group {group} are filled, {whole} is the whole of it")

    def killed(self, scope: str, by: str) -> None:
        """A kill was acknowledged."""
        self.kills.setdefault(scope, self.world.now_s)

    def lifted(self, scope: str) -> None:
        """Somebody begins to lift a kill: from here on orders may go out again."""
        self.kills.pop(scope, None)


def _told(venue_order: Words) -> tuple[int, int]:
    """How much a venue has said of an order: it only grows, unless the venue takes it for another one."""
    return venue_order["report"]["sequence"], venue_order["fills"]


def _said(venue_order: Words) -> Words:
    """What was last said of it. What a real venue calls it may be learnt without a word."""
    return {**venue_order["report"], "venue_order_id": "" if venue_order["deal"] else None}
