"""An order's words: what a client submits, what it becomes, what the venue says of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import Field, model_validator

from shared.contract.accounts import Balance, Position
from shared.contract.base import Account, Amount, Message, Name, Nanos, Price, Quantity, Symbol, Venue, Word


class Side(Word):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(Word):
    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(Word):
    """How long an order stands: until cancelled, for the day, at once or not at all, wholly at once or not at all."""

    GTC = "GTC"
    DAY = "DAY"
    IOC = "IOC"
    FOK = "FOK"


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


class SubmitOrder(Message):
    """A client's intent. `type` and `order_type` are one field; when both come, `order_type` wins."""

    account: Account = "default"
    client_order_id: Name | None = None
    symbol: Symbol
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: Quantity
    price: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    venue: Venue = "paper"
    strategy: Name | None = None
    metadata: dict[str, str] = Field(default_factory=dict, max_length=32)

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
    def _priced(self) -> SubmitOrder:
        if self.order_type is OrderType.LIMIT and self.price is None:
            raise ValueError("price: a LIMIT order needs a price")
        if self.order_type is OrderType.MARKET and self.price is not None:
            raise ValueError("price: a MARKET order takes no price; use LIMIT")
        return self


class Order(Message):
    """An order as last committed. `version` counts commits from 1; `leaves` is what may still fill."""

    order_id: str
    account: Account
    client_order_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    quantity: Quantity
    price: Price | None
    time_in_force: TimeInForce
    venue: Venue
    strategy: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    status: OrderStatus
    filled_quantity: Amount = Decimal(0)
    average_fill_price: Amount | None = None
    fees: Amount = Decimal(0)
    reason: str = ""
    version: int = 1
    created_ns: Nanos
    updated_ns: Nanos

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.filled_quantity


class RouteOrder(Message):
    """Approved by risk and committed: the venue may work this. Idempotent by `order_id`."""

    account: Account
    order_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    quantity: Quantity
    price: Price | None
    time_in_force: TimeInForce
    venue: Venue


class CancelOrder(Message):
    """Please cancel what is left of this order."""

    account: Account
    order_id: str
    venue: Venue = "paper"


Command = RouteOrder | CancelOrder
"""What the oms tells a venue."""


class VenueFill(Message):
    """One execution, as the venue tells it; `execution_id` is unique at the venue for ever."""

    execution_id: str
    price: Price
    quantity: Quantity
    fee: Amount
    event_ns: Nanos
    maker: bool = False


class Report(Message):
    """What a venue says of an order: its state there, and at most one fill.

    `sequence` counts the venue's reports on this order from 1. `cumulative_quantity` is the sum of all fills so far.
    """

    account: Account
    order_id: str
    venue: Venue
    sequence: int
    status: OrderStatus
    cumulative_quantity: Amount
    fill: VenueFill | None = None
    reason: str = ""
    event_ns: Nanos


class Fill(Message):
    """One execution of ours, as committed by the oms exactly once."""

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
    strategy: str | None = None
    event_ns: Nanos
    committed_ns: Nanos


class OrderEvent(Message):
    """The order after a committed change, with the fill that caused it and the account as it stood then.

    They travel together so that a hearer never sees an order's leaves shrink before its position grows.
    """

    account: Account
    order: Order
    fill: Fill | None = None
    position: Position | None = None
    balance: Balance | None = None
