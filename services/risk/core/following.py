"""What the oms committed, taken up: at a start all of it, from then on event by event, each by its version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Protocol

from services.risk.core.controls import Controls
from services.risk.core.exposure.account import Exposure
from services.risk.core.exposure.accounts import Exposures
from services.risk.core.exposure.book import ONE
from services.risk.core.exposure.holds import EXPOSED, UNDECIDED, Ended, Hold
from services.risk.core.market import Market, Terms, worst_price
from shared.contract.accounts import Balance, Position
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.contract.risk import Reservation
from shared.domain.lifecycle import TERMINAL

NS = 1_000_000_000
KILLED = ("kill ", "killed")
"""So begins why an order ends that a kill has ended: that is no message of its owner's (RTS 9 Art. 1)."""

ZERO = Decimal(0)


class Held(Protocol):
    """An account as committed."""

    @property
    def account(self) -> str: ...
    @property
    def reservations(self) -> Mapping[str, Reservation]: ...
    @property
    def orders(self) -> Iterable[Order]: ...
    @property
    def positions(self) -> Iterable[Position]: ...
    @property
    def shares(self) -> Iterable[Position]: ...
    @property
    def balance(self) -> Balance | None: ...


class Follower:
    """Keeps exposures in step with what is committed."""

    def __init__(self, exposures: Exposures, controls: Controls, market: Market, slippage: Decimal) -> None:
        self._exposures = exposures
        self._controls = controls
        self._market = market
        self._slippage = slippage
        self._ended = Ended()

    def unseen(self, event: OrderEvent) -> bool:
        """Whether more has happened than was heard: an open order has no reservation here, being lost or old news, or
        an order has filled more, the word of which has been overtaken, and with it the position."""
        order = event.order
        if self._ended.knows(order):
            return False
        hold = self._exposures.of(order.account).holds.get(order.order_id)
        if hold is None:
            return order.status in EXPOSED
        heard = hold.filled + (event.fill.quantity if event.fill is not None else ZERO)
        return order.version > hold.version and order.filled_quantity > heard

    def hear(self, event: OrderEvent, now_ns: int) -> bool:
        """Take over what the oms committed; True when a reservation ended with it."""
        order = event.order
        exposure = self._exposures.settle(
            event.account,
            () if event.position is None else (event.position,),
            () if event.strategy_position is None else (event.strategy_position,),
            event.balance,
        )
        self._controls.health.heard(order.updated_ns, now_ns)
        hold = exposure.holds.get(order.order_id)
        if self._ended.knows(order) or (hold is not None and order.version <= hold.version):
            return False
        self._count(event, now_ns)
        ended = exposure.follow(order, self._worst(exposure))
        if order.status in TERMINAL:
            self._ended.add(order)
        return ended

    def _count(self, event: OrderEvent, now_ns: int) -> None:
        """What a committed event, heard for the first time, counts as."""
        order, controls = event.order, self._controls
        if order.status in UNDECIDED:
            return
        if (spent := controls.releases.forget(order.account, order.order_id)) is not None:
            controls.spent.append(spent)
        if event.fill is None and not _cancelled(order):
            return
        flow = controls.allowance(order.account, order.strategy, order.symbol).flow
        if event.fill is not None:
            change = controls.flow.heard(event, flow, now_ns)
        else:
            change = controls.flow.cancelled(order.account, order.strategy, order.symbol, order.venue, flow, now_ns)
        if change is not None:
            controls.changes.append(change)

    def take(self, held: Held) -> None:
        """Take up an account as it was committed; what is known better by now stays."""
        exposure = self._exposures.settle(held.account, held.positions, held.shares, held.balance)
        worst = self._worst(exposure)
        for order in held.orders:
            if self._ended.knows(order):
                continue
            reserved = held.reservations.get(order.order_id)
            if reserved is not None and order.status in EXPOSED and order.order_id not in exposure.holds:
                exposure.keep(Hold(reserved, terms=(order.price, order.stop_price)))
            exposure.follow(order, worst)

    def lapsed(self, now_ns: int, age_max_s: float) -> list[Hold]:
        """What was approved so long ago without being heard of that it may never have been committed."""
        before_ns = now_ns - round(age_max_s * NS)
        return [
            hold
            for exposure in self._exposures.accounts.values()
            for hold in exposure.unheard()
            if (hold.asked.asked_ns if hold.asked else hold.reservation.reserved_ns) < before_ns
        ]

    def let_go(self, hold: Hold) -> bool:
        """Release what lapsed, unless it was renewed or its order heard of meanwhile."""
        return self._exposures.of(hold.reservation.account).lapse(hold)

    def _worst(self, exposure: Exposure) -> Callable[[Order], Decimal]:
        """The worst price of an open order whose terms are not those it was approved with. Without a price just now, it
        is what it was; and when it was never known, all the cash."""

        def worst(order: Order) -> Decimal:
            terms = Terms(order.side.value, order.order_type.value, order.price, order.stop_price, order.trail)
            known = worst_price(terms, self._market.latest(order.symbol), self._slippage)
            if known is None and (hold := exposure.holds.get(order.order_id)) is not None:
                known = max(hold.reservation.price, order.stop_price or ZERO)
            return known or max(exposure.balance.cash, ONE) / max(order.leaves, order.quantity)

        return worst


def _cancelled(order: Order) -> bool:
    """Whether its owner has it cancelled: not a kill, and not the venue by itself, as when the connection is lost."""
    if order.status is not OrderStatus.PENDING_CANCEL or order.venue_status is not None:
        return False
    return not order.leaving.startswith(KILLED)
