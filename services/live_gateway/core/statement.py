"""Statements: what a venue has of an account, in words by which the books can be compared with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.live_gateway.core.orders import ZERO
from shared.contract.dealing import VenueTrade, VenueWord, order_behind
from shared.contract.orders import Report
from shared.contract.venue import StatedOrder, StatedTrade, VenueOrder


def stated(order: VenueOrder) -> StatedOrder:
    """An order on paper."""
    route, report = order.order, order.report
    return StatedOrder(
        order_id=order.order_id,
        venue_order_id=report.venue_order_id,
        symbol=route.symbol,
        side=route.side,
        order_type=route.order_type,
        price=route.price,
        quantity=route.quantity,
        cumulative_quantity=report.cumulative_quantity,
        created_ns=order.arrival,
    )


def trades(order: VenueOrder, fills: Iterable[Report]) -> list[StatedTrade]:
    """The fills of an order on paper, whatever venue it was meant for."""
    return [
        StatedTrade(
            order_id=order.order_id,
            venue_order_id=report.venue_order_id,
            symbol=order.order.symbol,
            side=order.order.side,
            fill=report.fill,
            venue=report.venue,
        )
        for report in fills
        if report.fill is not None
    ]


def listed_order(account: str, word: VenueWord, known: Callable[[str], VenueOrder | None]) -> StatedOrder:
    """An order in a real venue's listing. What earlier legs of ours filled belongs to it."""
    ours = order_behind(account, word.client_id)
    order = known(ours[0]) if ours else None
    before = order.deal.filled_before if order is not None and order.deal is not None else ZERO
    return StatedOrder(
        order_id=ours[0] if ours else None,
        venue_order_id=word.venue_order_id,
        symbol=word.symbol,
        side=word.side,
        order_type=word.order_type,
        price=word.price,
        quantity=before + word.quantity,
        cumulative_quantity=before + word.cumulative_quantity,
        created_ns=word.created_ns,
    )


def listed_trade(account: str, trade: VenueTrade) -> StatedTrade:
    """A trade in a real venue's listing."""
    ours = order_behind(account, trade.client_id)
    return StatedTrade(
        order_id=ours[0] if ours else None,
        venue_order_id=trade.venue_order_id,
        symbol=trade.symbol,
        side=trade.side,
        fill=trade.fill,
    )
