"""One order at a real venue, as the desk works it: what is written down, and what only this process knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from services.live_gateway.core.orders import ZERO, become
from shared.contract.dealing import Errand, Leg, client_id
from shared.contract.orders import OrderStatus, VenueFill
from shared.contract.venue import Deal, VenueOrder

ENDED = frozenset({OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
UNHEARD = frozenset({OrderStatus.NEW, OrderStatus.PENDING_UNKNOWN})


@dataclass(frozen=True)
class Patience:
    """How long the desk waits before it asks, asks again, believes an absence, gives up on a crowded venue."""

    ask_ns: int = 500_000_000
    ask_max_ns: int = 4_000_000_000
    absent_ns: int = 6_000_000_000
    crowded_ns: int = 2_000_000_000
    cancel_ns: int = 2_000_000_000


@dataclass(slots=True)
class Work:
    """`order` with its deal is the durable part. `said` are the reports of the step in hand.

    `seen` are the fills applied, `leg_filled` what the current leg filled. `flying` are errands out at the venue now.
    `absent` counts the venue's answers that it has no such leg, the first of them at `absent_ns`.
    At `due_ns` it is gone on with; before `held_ns` nothing that changes it may be sent. `stray`: the venue has what is
    over here.
    """

    order: VenueOrder
    patience: Patience
    kept: VenueOrder | None = None
    seen: set[str] = field(default_factory=set[str])
    leg_filled: Decimal = ZERO
    flying: set[Errand] = field(default_factory=set[Errand])
    said: list[VenueOrder] = field(default_factory=list[VenueOrder])
    cancel_told: bool = False
    unsent: bool = False
    begun_ns: int = 0
    sent_ns: int = 0
    absent: int = 0
    absent_ns: int = 0
    pause_ns: int = 0
    due_ns: int = 0
    held_ns: int = 0
    stray: bool = False

    @property
    def deal(self) -> Deal:
        assert self.order.deal is not None, "an order at a real venue has a deal"
        return self.order.deal

    @property
    def is_over(self) -> bool:
        return not self.order.is_open

    @property
    def wants_end(self) -> str:
        """Why its leg is to be cancelled, or nothing: its own end, or terms that take another leg."""
        deal = self.deal
        if deal.ending or deal.replacing is None or deal.in_place or deal.number == deal.replacing.number:
            return deal.ending
        return "to be replaced"

    def leg(self) -> Leg:
        route, deal = self.order.order, self.deal
        return Leg(
            client_id(route.order_id, deal.number),
            route.symbol,
            route.side,
            route.order_type,
            deal.quantity,
            deal.price,
            route.time_in_force,
            route.post_only,
            self.order.report.venue_order_id,
        )

    def amend(self, **deal: Any) -> None:
        """The deal, changed; to be written down, and not said."""
        self.order = self.order.altered(deal=self.deal.altered(**deal))

    def ask_in(self, wait_ns: int, now_ns: int) -> None:
        """Something is to be asked or sent after a while, which grows for as long as nothing comes of it."""
        due_ns = now_ns + max(wait_ns, self.pause_ns)
        self.due_ns = min(self.due_ns or due_ns, due_ns)
        self.pause_ns = min(self.patience.ask_max_ns, max(self.pause_ns * 2, self.patience.ask_ns))

    def say(self, status: OrderStatus, at_ns: int, reason: str = "", **more: Any) -> None:
        """A report without a fill."""
        if self.sent_ns:
            more["sent_ns"] = self.sent_ns
        self.order = become(self.order, status, at_ns, reason, **more)
        self.said.append(self.order)

    def refuse(self, status: OrderStatus, at_ns: int, reason: str) -> None:
        """A report that the terms on their way will not take effect."""
        replacing = self.deal.replacing
        assert replacing is not None
        self.amend(replacing=None)
        self.say(status, at_ns, reason, refused=replacing.number)

    def stands(self) -> OrderStatus:
        """What a living order is."""
        return OrderStatus.PARTIALLY_FILLED if self.order.report.cumulative_quantity else OrderStatus.WORKING

    def fill(self, number: int, fill: VenueFill, at_ns: int) -> None:
        """Apply a fill of one of its legs, unless it was applied before. A late one is taken whatever was believed."""
        if fill.execution_id in self.seen:
            return
        self.seen.add(fill.execution_id)
        if number == self.deal.number:
            self.leg_filled += fill.quantity
        else:
            self.amend(filled_before=self.deal.filled_before + fill.quantity)
        report = self.order.report
        cumulative = report.cumulative_quantity + fill.quantity
        status = OrderStatus.PARTIALLY_FILLED if self.order.is_open else report.status
        if cumulative >= self.order.order.quantity:
            status = OrderStatus.FILLED
        more: dict[str, Any] = {"cumulative_quantity": cumulative}
        if status is OrderStatus.FILLED and (replacing := self.deal.replacing):
            more["refused"] = replacing.number
            self.amend(replacing=None)
        self.say(status, at_ns, **more)
        report = self.order.report.altered(fill=fill)
        update = {"report": report, "fills": self.order.fills + 1, "since_ns": at_ns}
        self.order = self.said[-1] = self.order.altered(**update)

    def prove(self, venue_order_id: str, at_ns: int) -> None:
        """The venue has this leg. If it came from a replacement, that has taken effect."""
        deal = self.deal
        if venue_order_id and venue_order_id != self.order.report.venue_order_id:
            report = self.order.report.altered(venue_order_id=venue_order_id)
            self.order = self.order.altered(report=report)
        if not deal.proven:
            self.absent = 0
            self.cancel_told &= Errand.CANCEL in self.flying  # one that was answered came too early
            self.amend(proven=True)
            if deal.replacing is not None and deal.replacing.number == deal.number and not self.is_over:
                self.replaced(at_ns)

    def replaced(self, at_ns: int) -> None:
        """The terms on their way stand now."""
        new = self.deal.replacing
        assert new is not None
        route = self.order.order.altered(price=new.price, quantity=new.quantity)
        self.order = self.order.altered(route=route)
        self.amend(replacing=None, price=new.price, quantity=new.quantity - self.deal.filled_before)
        self.say(self.stands(), at_ns, replaced=new.number, price=new.price, quantity=new.quantity)

    def next_leg(self, now_ns: int) -> None:
        """The leg before is proven to be over: what is left of the new terms becomes a leg of its own."""
        new, filled = self.deal.replacing, self.order.report.cumulative_quantity
        assert new is not None
        self.amend(
            number=new.number, price=new.price, quantity=new.quantity - filled, filled_before=filled, proven=False
        )
        report = self.order.report.altered(venue_order_id="")
        self.order = self.order.altered(report=report)
        self.leg_filled, self.absent, self.cancel_told, self.unsent = ZERO, 0, False, True
        self.due_ns, self.begun_ns = 0, now_ns
