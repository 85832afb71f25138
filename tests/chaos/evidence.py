"""Evidence: what each independent record says of some accounts, in plain words."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Words = dict[str, Any]
"""JSON as it was found; amounts are text."""

TERMS = ("account", "client_order_id", "symbol", "side", "order_type", "time_in_force", "strategy", "reduce_only")
AMOUNTS = ("quantity", "price", "stop_price")
DEFAULTS = {"order_type": "MARKET", "time_in_force": "GTC", "reduce_only": False}


def digest(words: Mapping[str, Any]) -> str:
    """A fingerprint of an order's terms, the same for what was sent and for what is stored."""
    terms = {name: words.get(name, DEFAULTS.get(name)) for name in (*TERMS, *AMOUNTS, "trail")}
    for name in AMOUNTS:
        if terms[name] is not None:
            terms[name] = format(Decimal(terms[name]).normalize(), "f")
    if terms["trail"] is not None:
        terms["stop_price"] = None  # it is where the market has carried the stop
    return hashlib.sha256(json.dumps(terms, sort_keys=True).encode()).hexdigest()[:16]


@dataclass
class Attempt:
    """One request. `status` is None when no answer came; `orderly`: a refusal says when to come again, and why."""

    sent_ns: int
    answered_ns: int
    status: int | None
    orderly: bool = True

    @property
    def seconds(self) -> float:
        return (self.answered_ns - self.sent_ns) / 1e9


@dataclass
class Replace:
    """New terms that were asked for. `answer` is that of an attempt answered with 200."""

    order_id: str
    body: Words
    attempts: list[Attempt] = field(default_factory=list)
    answer: Words | None = None


@dataclass
class Sweep:
    """A cancel-all: `scope` as it was asked for, and the ids that the answer told."""

    scope: dict[str, str]
    attempts: list[Attempt] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    @property
    def sent_ns(self) -> int:
        """When the attempt that was answered left, 0 without one."""
        return max((one.sent_ns for one in self.attempts if one.status == 200), default=0)


@dataclass
class Asked:
    """One request for orders in the client's journal: what was sent, each attempt, and each answer that was one."""

    account: str
    client_order_id: str
    body: Words
    digest: str
    attempts: list[Attempt] = field(default_factory=list)
    answers: list[Words] = field(default_factory=list)
    """Of attempts answered with 200."""
    denial: Words | None = None
    cancel: list[Attempt] = field(default_factory=list)
    """Requests to cancel it, or of a group the order named by `cancels`."""
    cancels: str = ""
    replaces: list[Replace] = field(default_factory=list)
    path: str = "/orders"
    others: dict[str, str] = field(default_factory=dict)
    """Of a group, the other orders it is to make: their client order ids and digests."""

    @property
    def acknowledged(self) -> bool:
        return bool(self.answers)

    @property
    def acknowledged_ns(self) -> int:
        """When it first was, 0 when it never was."""
        return next((attempt.answered_ns for attempt in self.attempts if attempt.status == 200), 0)

    @property
    def digests(self) -> dict[str, str]:
        """By client order id, of every order it is to make."""
        return {self.client_order_id: self.digest, **self.others}

    @property
    def orders(self) -> list[Words]:
        """As they were told in the first answer."""
        return self.answers[0].get("orders", self.answers[:1]) if self.answers else []

    @property
    def told(self) -> dict[str, set[str]]:
        """The ids by which it was answered for, by the client's own."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for answer in self.answers:
            for order in answer.get("orders", [answer]):
                found[order.get("client_order_id", self.client_order_id)].add(order["order_id"])
        return found

    @property
    def cancelled(self) -> set[str]:
        """The ids of the orders whose end was acknowledged."""
        if not any(attempt.status == 200 for attempt in self.cancel):
            return set()
        return {self.cancels} if self.cancels else set().union(*self.told.values())

    @property
    def row(self) -> Words:
        """For a person to read."""
        return {"client_order_id": self.client_order_id, "body": self.body, "answers": self.answers[:2]}


@dataclass(frozen=True)
class Execution:
    """One execution in the venue's own record."""

    execution_id: str
    order_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    event_ns: int

    @property
    def signed(self) -> Decimal:
        return self.quantity if self.side == "BUY" else -self.quantity


@dataclass(frozen=True)
class AtVenue:
    """One order in the venue's own record. `client_order_id` is ours where the venue keeps it.

    `out_ns` is when it was last out there: when it arrived, or when it ended, if it has.
    """

    order_id: str
    account: str
    status: str
    is_open: bool
    cumulative: Decimal
    arrived_ns: int
    client_order_id: str = ""
    out_ns: int = 0


@dataclass(frozen=True)
class Bound:
    """What an account may do at most in a symbol."""

    long_max: Decimal
    short_max: Decimal
    order_max: Decimal


@dataclass(frozen=True)
class Killed:
    """A kill that was acknowledged; `lifted_ns` is 0 while it stands. `scope` as the suite names it.

    `within_ns` is how much later an order may still go out or fill, `out_within_ns` how much later the last one may be
    cancelled; 0 where that is not promised.
    """

    scope: str
    acknowledged_ns: int
    lifted_ns: int = 0
    within_ns: int = 250_000_000
    out_within_ns: int = 0


@dataclass
class Evidence:
    """Everything on record of some accounts; which record each part comes from is said beside it."""

    asked: list[Asked] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    """The client's journal."""

    orders: dict[str, Words] = field(default_factory=dict)
    events: dict[str, list[Words]] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    reserved: dict[str, Words] = field(default_factory=dict)
    fills: list[Words] = field(default_factory=list)
    positions: list[Words] = field(default_factory=list)
    balances: dict[str, Words] = field(default_factory=dict)
    entries: dict[str, list[Words]] = field(default_factory=dict)
    unsaid: int = 0
    """Valkey, read directly: by order id, lists, and by account."""

    venue: dict[str, AtVenue] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    venue_forgets: bool = False
    """The venue's own record, and whether it has none of what it refused."""

    tape_fills: list[Words] | None = None
    tape_orders: list[Words] | None = None
    """The tape; None while it was not looked at."""

    opening: Decimal = Decimal(1_000_000)
    bounds: dict[str, Bound] = field(default_factory=dict)
    """The configuration: cash of an account that opens, limits by symbol."""

    killed: list[Killed] = field(default_factory=list)

    def groups(self) -> dict[str, list[Words]]:
        """The orders of each bracket and pair."""
        found: defaultdict[str, list[Words]] = defaultdict(list)
        for order in self.orders.values():
            if order.get("group"):
                found[order["group"]].append(order)
        return dict(found)

    def of_account(self) -> dict[str, list[Words]]:
        """The orders' events by account, in the order in which they were committed."""
        found: defaultdict[str, list[Words]] = defaultdict(list)
        for events in self.events.values():
            for event in events:
                found[event["account"]].append(event)
        for events in found.values():
            events.sort(key=lambda event: (event["order"]["updated_ns"], event["order"]["version"]))
        return dict(found)


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and the rows that show it."""

    invariant: str
    what: str
    rows: tuple[Any, ...] = ()

    def told(self, rows_max: int = 5) -> str:
        """For a person to read."""
        shown = [f"    {json.dumps(_plain(row), default=str)[:1500]}" for row in self.rows[:rows_max]]
        more = [f"    … and {len(self.rows) - rows_max} more"] * (len(self.rows) > rows_max)
        return "\n".join([f"  {self.invariant}: {self.what}", *shown, *more])


def _plain(row: Any) -> Any:
    return row.row if isinstance(row, Asked) else vars(row) if hasattr(row, "__dict__") else row
