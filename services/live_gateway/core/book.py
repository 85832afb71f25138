"""One symbol's orders at the paper venue, and how the market's quotes and trades fill them.

market      takes what is displayed on the far side, at the far side's price; what is left waits for the next display
limit       marketable on arrival: likewise, never beyond its limit; what is left rests
resting     a trade through its price, or the far side's best at or through it, fills it at its limit; a trade at its
            price first serves the queue that stood before it
Of each trade and each display no more is given away than it holds, to the best price first, then by arrival.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from services.live_gateway.core.display import Display, Touch, whole_lots
from services.live_gateway.core.orders import ZERO, Terms, become, fill
from shared.contract.market import Aggressor, Instrument, Quote
from shared.contract.orders import OrderStatus, ReplaceOrder, Side, TimeInForce
from shared.contract.venue import VenueOrder

WOULD_TAKE = "post_only: it would have taken what is displayed"

Place = tuple[Decimal, int, str]
"""Distance from the best imaginable price, arrival, order id: sorts by priority."""


class Book:
    """Open orders of one symbol. Every method returns the orders that changed, once for each report."""

    def __init__(self, instrument: Instrument, terms: Terms) -> None:
        self._instrument = instrument
        self._terms = terms
        self._touches: dict[str, Touch] = {}
        self._touch = Touch()
        self.orders: dict[str, VenueOrder] = {}
        self._buys: list[Place] = []
        self._sells: list[Place] = []
        self._waiting: list[Place] = []
        self.queues_moved: set[str] = set()

    def clear(self) -> None:
        """Forget the orders; what the market displays stands."""
        self.orders.clear()
        self.queues_moved.clear()
        for places in (self._buys, self._sells, self._waiting):
            places.clear()

    def rest(self, order: VenueOrder) -> None:
        """Take an open order into its place."""
        self.orders[order.order_id] = order
        insort(self._places(order), _place(order))

    def join(self, order: VenueOrder, at_ns: int) -> list[VenueOrder]:
        """Take in an order that arrived a moment ago: what the market displayed meanwhile is its to take."""
        self.rest(order)
        far = self._far(order)
        if far.price is None or far.free < self._instrument.lot or not self._marketable(order, far):
            return []
        price = far.price if order.is_market else order.price
        return self._taken(order, far, price, at_ns, maker=not order.is_market)

    # What happens to it.

    def arrive(self, order: VenueOrder, at_ns: int) -> list[VenueOrder]:
        """What becomes of an order at once. What is left of it stands nowhere before it has joined."""
        far = self._far(order)
        marketable = self._marketable(order, far)
        if order.order.post_only and marketable:
            return [become(order, OrderStatus.REJECTED, at_ns, WOULD_TAKE)]
        at_once = order.order.time_in_force
        if at_once is TimeInForce.FOK and not (marketable and far.free >= order.leaves):
            return [become(order, OrderStatus.CANCELED, at_ns, "not all of it could be filled at once")]
        changes = self._take(order, far, at_ns) if marketable else []
        last = changes[-1] if changes else order
        if last.leaves == 0:
            return changes
        if at_once in (TimeInForce.IOC, TimeInForce.FOK):
            return [*changes, become(last, OrderStatus.CANCELED, at_ns, "the rest could not be filled at once")]
        if not changes:
            last = become(order, OrderStatus.WORKING, at_ns)
        if not last.is_market and (queue := self._queue(last)) is not None:
            last = last.altered(queue=queue)
        return [*changes[:-1], last]

    def replace(self, wanted: ReplaceOrder, arrival: int, at_ns: int) -> list[VenueOrder]:
        """New terms. Its place in the queue is kept only when the same price asks for less."""
        order = self.orders[wanted.order_id]
        price = order.order.price if wanted.price is None else wanted.price
        route = order.order.altered(price=price, quantity=wanted.quantity)
        told = become(order, order.report.status, at_ns, replaced=wanted.number, price=price, quantity=wanted.quantity)
        changed = told.altered(route=route)
        if price == order.order.price and wanted.quantity <= order.order.quantity:
            self.orders[order.order_id] = changed
            return [changed]
        changed = changed.altered(arrival=arrival, queue=None)
        far = self._far(changed)
        marketable = self._marketable(changed, far)
        if route.post_only and marketable:
            return [self.refuse(wanted, WOULD_TAKE, at_ns)]
        self._leave(order)
        fills = self._take(changed, far, at_ns) if marketable else []
        last = fills[-1] if fills else changed
        if last.leaves > 0:
            last = last if last.is_market else last.altered(queue=self._queue(last))
            self.rest(last)
        return [changed, *fills[:-1], last] if fills else [last]

    def refuse(self, wanted: ReplaceOrder, reason: str, at_ns: int) -> VenueOrder:
        """The order stands as it did."""
        order = self.orders[wanted.order_id]
        told = become(order, order.report.status, at_ns, reason, refused=wanted.number)
        self.orders[order.order_id] = told
        return told

    def cancel(self, order_id: str, at_ns: int, reason: str = "cancelled on request") -> VenueOrder:
        order = become(self.orders[order_id], OrderStatus.CANCELED, at_ns, reason)
        self._keep(order)
        return order

    def quote(self, quote: Quote, at_ns: int) -> list[VenueOrder]:
        """The market displays something new. A crossed quote is an error and not an offer: nothing is displayed."""
        if quote.crossed:
            self._touch = Touch()
            return []
        self._touch = self._touches.setdefault(quote.venue, Touch())
        self._touch.show(quote)
        if not self.orders:
            return []
        changes: list[VenueOrder] = []
        for order in self._in_order(self._waiting):
            far = self._far(order)
            if far.price is not None:
                changes += self._taken(order, far, far.price, at_ns, maker=False)
        for places in (self._buys, self._sells):
            for order in self._in_order(places):
                far = self._far(order)
                if far.price is None or far.free < self._instrument.lot or not _reaches(order, far.price):
                    break
                changes += self._taken(order, far, order.price, at_ns, maker=True)
            self._requeue(places)
        return changes

    def trade(self, price: Decimal, quantity: Decimal, side: Aggressor, at_ns: int) -> list[VenueOrder]:
        """The market traded: orders it went through fill at their limit, those at its price after their queue."""
        changes: list[VenueOrder] = []
        left = quantity
        for places in (self._sells, self._buys) if side is Aggressor.BUYER else (self._buys, self._sells):
            through = ZERO
            served = ZERO
            for order in self._in_order(places):
                if through >= left or not _reaches(order, price):
                    break
                if order.price != price:
                    got = min(order.leaves, left - through)
                    through += self._given(order, got, changes, at_ns)
                else:
                    served += self._served(order, left - through, served, changes, at_ns)
            left -= through + served
        return changes

    def expire(self, at_ns: int) -> list[VenueOrder]:
        """Market orders that have waited too long for something to trade with."""
        wait_ns = self._terms.market_wait_ns
        late = [order for order in self._in_order(self._waiting) if order.since_ns + wait_ns <= at_ns]
        reason = f"nothing to trade with within {wait_ns / 1e9:g} s"
        return [self.cancel(order.order_id, at_ns, reason) for order in late]

    def bounds(self) -> tuple[Decimal | None, Decimal | None]:
        """The highest resting buy and the lowest resting sell: trades between them touch nothing here."""
        buy = -self._buys[0][0] if self._buys else None
        return buy, self._sells[0][0] if self._sells else None

    def best(self, side: Side) -> Decimal | None:
        """The price that an order of this side would find."""
        return (self._touch.ask if side is Side.BUY else self._touch.bid).price

    # How.

    def _marketable(self, order: VenueOrder, far: Display) -> bool:
        return far.price is not None and (order.is_market or _reaches(order, far.price))

    def _take(self, order: VenueOrder, far: Display, at_ns: int) -> list[VenueOrder]:
        """What an order that arrives takes of the far side, at the far side's price."""
        assert far.price is not None
        return self._fill(order, far.take(order.leaves, self._instrument.lot), far.price, at_ns, maker=False)

    def _far(self, order: VenueOrder) -> Display:
        return self._touch.ask if order.is_buy else self._touch.bid

    def _near(self, order: VenueOrder) -> Display:
        return self._touch.bid if order.is_buy else self._touch.ask

    def _taken(self, order: VenueOrder, far: Display, price: Decimal, at_ns: int, *, maker: bool) -> list[VenueOrder]:
        changes = self._fill(order, far.take(order.leaves, self._instrument.lot), price, at_ns, maker=maker)
        for change in changes:
            self._keep(change)
        return changes

    def _served(
        self, order: VenueOrder, traded: Decimal, served: Decimal, changes: list[VenueOrder], at_ns: int
    ) -> Decimal:
        """What a trade at the order's own price gives it, `served` having gone to orders of ours before it."""
        if order.queue is None:
            return ZERO
        self._move_queue(order, max(ZERO, order.queue - traded))
        got = min(order.leaves, traded - order.queue - served)
        return self._given(self.orders[order.order_id], got, changes, at_ns)

    def _given(self, order: VenueOrder, quantity: Decimal, changes: list[VenueOrder], at_ns: int) -> Decimal:
        lots = whole_lots(quantity, self._instrument.lot)
        for change in self._fill(order, lots, order.price, at_ns, maker=True):
            self._keep(change)
            changes.append(change)
            return change.report.cumulative_quantity - order.report.cumulative_quantity
        return ZERO

    def _fill(
        self, order: VenueOrder, quantity: Decimal, price: Decimal, at_ns: int, *, maker: bool
    ) -> list[VenueOrder]:
        if quantity <= 0:
            return []
        fraction = self._terms.maker_fee_fraction if maker else self._terms.taker_fee_fraction
        fee = price * quantity * self._instrument.multiplier * fraction
        return [fill(order, quantity, price, at_ns, fee=fee, maker=maker)]

    def _queue(self, order: VenueOrder) -> Decimal | None:
        """What stands before an order at its price, by what is displayed now.

        At the best price: what is shown there, and never more than stood there before. Better than the best: nobody.
        Behind the best: not known until its price becomes the best.
        """
        near = self._near(order)
        if near.price is None:
            return order.queue
        if order.price == near.price:
            return near.shown if order.queue is None else min(order.queue, near.shown)
        better = order.price > near.price if order.is_buy else order.price < near.price
        return ZERO if better else order.queue

    def _requeue(self, places: list[Place]) -> None:
        for order in self._in_order(places):
            near = self._near(order)
            if near.price is None or (order.price < near.price if order.is_buy else order.price > near.price):
                break
            self._move_queue(order, self._queue(order))

    def _move_queue(self, order: VenueOrder, queue: Decimal | None) -> None:
        if queue != order.queue:
            self.orders[order.order_id] = order.altered(queue=queue)
            self.queues_moved.add(order.order_id)

    def _keep(self, order: VenueOrder) -> None:
        if order.is_open:
            self.orders[order.order_id] = order
        else:
            self._leave(order)

    def _leave(self, order: VenueOrder) -> None:
        del self.orders[order.order_id]
        self.queues_moved.discard(order.order_id)
        places = self._places(order)
        del places[bisect_left(places, _place(order))]

    def _places(self, order: VenueOrder) -> list[Place]:
        if order.is_market:
            return self._waiting
        return self._buys if order.is_buy else self._sells

    def _in_order(self, places: list[Place]) -> Iterator[VenueOrder]:
        """The orders as they stand when each one's turn comes, though the list loses those that end."""
        at = 0
        while at < len(places):
            place = places[at]
            yield self.orders[place[2]]
            at += at < len(places) and places[at] is place


def _place(order: VenueOrder) -> Place:
    if order.is_market:
        return ZERO, order.arrival, order.order_id
    return (-order.price if order.is_buy else order.price), order.arrival, order.order_id


def _reaches(order: VenueOrder, price: Decimal) -> bool:
    """Whether a price is at or beyond an order's limit, in the order's favour."""
    return price <= order.price if order.is_buy else price >= order.price
