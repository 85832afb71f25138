"""An order's words: what a client submits, what it becomes, what the venue says of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, Field, model_validator

from shared.contract.accounts import Balance, Position
from shared.contract.base import Account, Amount, Message, Name, Nanos, Price, Quantity, Symbol, Trail, Venue, Word


class Side(Word):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(Word):
    """The last three wait here, unknown to the venue, until the market reaches their stop."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
"""These carry a limit price."""

STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
"""These become a market or a limit order once triggered."""


class TimeInForce(Word):
    """How long an order stands.

    Until cancelled, for the session, at once or not at all, wholly at once or not at all, until a stated time.
    """

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})
"""These never rest."""


class Role(Word):
    """What an order is to the others of its group.

    The exits of a bracket wait for its entry and are sized by what it filled. Exits cancel one another, and so do legs:
    what one of them fills is taken off the others.
    """

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    LEG = "LEG"


class OrderStatus(Word):
    NEW = "NEW"
    PENDING_RISK = "PENDING_RISK"
    DENIED = "DENIED"
    ACCEPTED = "ACCEPTED"
    ROUTED = "ROUTED"
    WORKING = "WORKING"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    PENDING_CANCEL = "PENDING_CANCEL"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    PENDING_UNKNOWN = "PENDING_UNKNOWN"


class Terms(Message):
    """What a client wants of an order, apart from whose it is and in which group it stands."""

    symbol: Symbol
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: Quantity
    price: Price | None = None
    stop_price: Price | None = None
    trail: Trail | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    reduce_only: bool = False
    post_only: bool = False
    venue: Venue = "paper"
    strategy: Name | None = None
    metadata: dict[str, str] = Field(default_factory=dict, max_length=32)


LAST_YEAR = 2262
"""Times in nanoseconds end in it."""


class SubmitOrder(Terms):
    """A client's intent. `type` and `order_type` are one field; when both come, `order_type` wins."""

    account: Account = "default"
    client_order_id: Name | None = None
    expire_at: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_type(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "type" not in given:
            return given
        words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        words.setdefault("order_type", words.pop("type"))
        words.pop("type", None)
        return words

    @model_validator(mode="after")
    def _consistent(self) -> SubmitOrder:
        for field, wanted, why in (
            ("price", self.order_type in PRICED, f"a {self.order_type} order"),
            ("stop_price", self.order_type in (OrderType.STOP, OrderType.STOP_LIMIT), f"a {self.order_type} order"),
            ("trail", self.order_type is OrderType.TRAILING_STOP, f"a {self.order_type} order"),
            ("expire_at", self.time_in_force is TimeInForce.GTD, f"time_in_force {self.time_in_force}"),
        ):
            if wanted is (getattr(self, field) is None):
                raise ValueError(f"{field}: {why} {'needs one' if wanted else 'takes none'}")
        if self.post_only and (self.order_type is not OrderType.LIMIT or self.time_in_force in AT_ONCE):
            raise ValueError("post_only: only a LIMIT order that may rest (GTC, DAY, GTD) can be post_only")
        if self.expire_at is not None and self.expire_at.year >= LAST_YEAR:
            raise ValueError(f"expire_at: must lie before the year {LAST_YEAR}")
        if self.trail is not None and not Decimal(self.trail.rstrip("%")):
            raise ValueError("trail: must be more than nothing")
        return self


class ReplaceRequest(Message):
    """What a client wants changed of an order that is still open; what is None stays. At least one field."""

    price: Price | None = None
    quantity: Quantity | None = None
    stop_price: Price | None = None
    trail: Trail | None = None

    @model_validator(mode="after")
    def _something(self) -> ReplaceRequest:
        if not self.model_fields_set:
            raise ValueError("price: give at least one of price, quantity, stop_price, trail")
        return self


class Replacement(Message):
    """New terms on their way to the venue. `number` counts an order's replacements from 1."""

    number: int
    price: Price | None = None
    quantity: Quantity


class Order(Terms):
    """An order as last committed. `version` counts commits from 1; `leaves` is what may still fill.

    `stop_price` of a trailing stop follows the market. `triggered_ns` is when a stop became live, 0 before. `group` is
    the id that the orders of a bracket or an OCO pair share. `replacing` are terms that the venue has not confirmed
    yet, `replacements` how many were ever asked for. `leaving` says why it was asked to end ("" while nobody asked).
    `pair_quantity` is what the legs of an OCO pair may fill together. `venue_status`, `venue_filled`: the venue says
    that it is over so, with so much filled of it; it is not over here while fills of it are still on their way.
    """

    order_id: str
    account: Account
    client_order_id: str
    expire_ns: Nanos | None = None
    group: str | None = None
    role: Role | None = None
    status: OrderStatus
    filled_quantity: Amount = Decimal(0)
    average_fill_price: Amount | None = None
    fees: Amount = Decimal(0)
    reason: str = ""
    triggered_ns: Nanos = 0
    replacing: Replacement | None = None
    replacements: int = 0
    leaving: str = ""
    pair_quantity: Quantity | None = None
    venue_status: OrderStatus | None = None
    venue_filled: Amount = Decimal(0)
    version: int = 1
    created_ns: Nanos
    updated_ns: Nanos

    def _words(self) -> bytes:
        """Without what has no value, most of an order's fields: it is kept three times in its life."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.filled_quantity

    @property
    def held(self) -> bool:
        """Whether it waits here for its stop, unknown to the venue."""
        return self.order_type in STOPPED and not self.triggered_ns

    @property
    def external(self) -> bool:
        """Whether other hands sent it, at the venue. No client can name an order like this: the colon is not theirs."""
        return self.client_order_id.startswith("venue:")


class RouteOrder(Message):
    """Approved by risk and committed: the venue may work this. Idempotent by `order_id`.

    A stop that was triggered arrives as the MARKET or LIMIT order it became.
    """

    account: Account
    order_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    quantity: Quantity
    price: Price | None
    time_in_force: TimeInForce
    post_only: bool = False
    venue: Venue
    strategy: str | None = None


class ReplaceOrder(Message):
    """New terms for an order that the venue works. Idempotent by `order_id` and `number`."""

    account: Account
    order_id: str
    venue: Venue = "paper"
    number: int
    price: Price | None
    quantity: Quantity


class CancelOrder(Message):
    """Please cancel what is left of this order."""

    account: Account
    order_id: str
    venue: Venue = "paper"


Command = RouteOrder | CancelOrder | ReplaceOrder
"""What the oms tells a venue."""


class VenueFill(Message):
    """One execution, as the venue tells it; `execution_id` is unique at the venue for ever.

    `fee` is in the currency of the symbol. A venue that took it in another asset is quoted by `fee_asset` and
    `fee_charged`.
    """

    execution_id: str
    price: Price
    quantity: Quantity
    fee: Amount
    event_ns: Nanos
    maker: bool = False
    fee_asset: str = ""
    fee_charged: Amount = Decimal(0)


class Report(Message):
    """What a venue says of an order: its state there, and at most one fill.

    `sequence` counts the venue's reports on this order from 1. `cumulative_quantity` is the sum of all fills so far.
    `replaced` is the number of the last replacement that took effect, with the `price` and `quantity` that now stand;
    `refused` that of the last one that did not. `received_ns` and `sent_ns` say when the gateway had the command from
    us and when it had passed it on; `event_ns` is the venue's own time.
    """

    account: Account
    order_id: str
    venue: Venue
    sequence: int
    status: OrderStatus
    cumulative_quantity: Amount
    fill: VenueFill | None = None
    reason: str = ""
    replaced: int = 0
    refused: int = 0
    price: Price | None = None
    quantity: Quantity | None = None
    venue_order_id: str = ""
    received_ns: Nanos = 0
    sent_ns: Nanos = 0
    event_ns: Nanos


class Fill(Message):
    """One execution of ours, as committed by the oms exactly once. Its fee is told as a `VenueFill` tells it."""

    fill_id: str
    account: Account
    order_id: str
    symbol: Symbol
    side: Side
    price: Price
    quantity: Quantity
    fee: Amount
    venue: Venue
    maker: bool
    fee_asset: str = ""
    fee_charged: Amount = Decimal(0)
    strategy: str | None = None
    event_ns: Nanos
    committed_ns: Nanos


class OrderEvent(Message):
    """The order after a committed change, with the fill that caused it and the account as it stood then.

    They travel together so that a hearer never sees an order's leaves shrink before its position grows. `report` is
    the venue's message that led to the change, `strategy_position` the strategy's own share of the position.
    """

    account: Account
    order: Order
    fill: Fill | None = None
    report: Report | None = None
    position: Position | None = None
    strategy_position: Position | None = None
    balance: Balance | None = None

    def _words(self) -> bytes:
        """Of the words of its parts, most of which are kept by themselves as well."""
        words = b'{"account":"%b","order":%b' % (self.account.encode(), self.order.encode())
        for name in _PARTS:
            if (part := getattr(self, name)) is not None:
                words += b',"%b":%b' % (name.encode(), part.encode())
        return words + b"}"


_PARTS = ("fill", "report", "position", "strategy_position", "balance")
"""What else an order event may hold."""
