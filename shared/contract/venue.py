"""What a venue remembers: the paper venue's orders, and the statements by which the books are reconciled."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from shared.contract.base import Account, Amount, Message, Name, Nanos, Price, Quantity, Symbol, Venue, Word
from shared.contract.errors import Refused
from shared.contract.orders import OrderStatus, OrderType, Replacement, Report, RouteOrder, Side, VenueFill

PAPER = "paper"
VENUES = (PAPER, "binance")
"""Every venue that orders can be for. The live gateway knows the way to each, be it configured or not."""


def known_venue(venue: str) -> str:
    """The venue; Refused when there is no such one."""
    if venue not in VENUES:
        raise Refused("UNKNOWN_VENUE", f"there is no venue {venue}; known: {', '.join(VENUES)}", field="venue")
    return venue


class Mode(Word):
    """How far orders for a venue go: nowhere, to the paper venue, a small share of them to the venue, all of them."""

    SHADOW = "SHADOW"
    PAPER = "PAPER"
    CANARY = "CANARY"
    LIVE = "LIVE"


class ModeRequest(Message):
    """Change a venue's mode; None: of every venue. Real orders take the sentence that arms the venue."""

    mode: Mode
    venue: Venue | None = None
    sentence: str = Field(default="", max_length=200)
    actor: Name = "unnamed"


class ModeChange(Message):
    """A venue's mode as it was changed: from `before` to `mode`, by whom, when and why."""

    venue: Venue
    before: Mode
    mode: Mode
    actor: Name
    reason: str = ""
    at_ns: Nanos


class PanicRequest(Message):
    """Stop everything now."""

    reason: str = Field(default="panic", min_length=1, max_length=200)
    actor: Name = "unnamed"


_OPEN = frozenset({OrderStatus.NEW, OrderStatus.WORKING, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_UNKNOWN})


class Deal(Message):
    """Where an order stands between us and a real venue. Written before anything is sent.

    `number` is the leg that is there now (0, or the replacement it came from) with its own `price` and `quantity`;
    `filled_before` is what earlier legs filled. `proven`: the venue has said that it has this leg; until then nobody
    knows whether it got there. `replacing` are new terms on their way, `in_place`
    whether the venue changes the leg itself. `ending` says why it is to be cancelled.
    """

    number: int = 0
    price: Price | None
    quantity: Quantity
    filled_before: Amount = Decimal(0)
    proven: bool = False
    ending: str = ""
    replacing: Replacement | None = None
    in_place: bool = False


class VenueOrder(Message):
    """One order at the venue. `report` is the latest said of it, `deal` how it stands with a real venue.

    `route` is None when a cancel came for an order that was never seen: should the order arrive yet, it is over.
    `queue` is how much of the market's own volume stands before it at its price; None while its price has not been the
    best. `arrival` orders by time, and no two are alike. `since_ns` is when it arrived or last filled.
    """

    account: Account
    order_id: str
    route: RouteOrder | None
    report: Report
    fills: int = 0
    queue: Amount | None = None
    arrival: Nanos
    since_ns: Nanos
    deal: Deal | None = None

    @property
    def is_open(self) -> bool:
        return self.report.status in _OPEN

    @property
    def order(self) -> RouteOrder:
        assert self.route is not None, "an order that never arrived is not matched"
        return self.route

    @property
    def price(self) -> Decimal:
        assert self.order.price is not None, "only limit orders rest"
        return self.order.price

    @property
    def leaves(self) -> Decimal:
        return self.order.quantity - self.report.cumulative_quantity

    @property
    def is_market(self) -> bool:
        return self.order.order_type is OrderType.MARKET

    @property
    def is_buy(self) -> bool:
        return self.order.side is Side.BUY


class StatementRequest(Message):
    """What the venue has of an account: open orders now, trades since a moment, holdings now.

    One statement holds only so much. To go on: the trades since another moment (None: no more of them), the orders
    after the one of that id (None: no more of them, and holdings neither).
    """

    account: Account
    venue: Venue
    since_ns: Nanos | None = 0
    orders_after: str | None = ""


class StatedOrder(Message):
    """An order open at the venue. `order_id` is ours when we sent it, else None."""

    order_id: str | None
    venue_order_id: str
    symbol: Symbol
    side: Side
    order_type: OrderType
    price: Price | None
    quantity: Quantity
    cumulative_quantity: Amount
    created_ns: Nanos


class StatedTrade(Message):
    """An execution at the venue. `order_id` is ours when we sent the order, else None.

    `venue` is the one under whose name its fill goes, when that is not the statement's: what went to paper instead.
    """

    order_id: str | None
    venue_order_id: str
    symbol: Symbol
    side: Side
    fill: VenueFill
    venue: Venue | None = None


class Statement(Message):
    """The venue's word on an account at one moment. `holdings` is None where the venue keeps none for us to compare.

    There may be too much for one statement: then `trades_until_ns` and `orders_after` say where the next one is to go
    on. None: that is all.
    """

    account: Account
    venue: Venue
    at_ns: Nanos
    orders: tuple[StatedOrder, ...] = ()
    trades: tuple[StatedTrade, ...] = ()
    trades_until_ns: Nanos | None = None
    orders_after: str | None = None
    holdings: dict[str, Amount] | None = None
