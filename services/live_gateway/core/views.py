"""What is shown of the gateway: venues, orders, statements, checks."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from heapq import nsmallest
from typing import Any, Protocol

from services.live_gateway.core import statement
from services.live_gateway.core.desk import Desk
from services.live_gateway.core.gates import Gates
from services.live_gateway.core.modes import REAL
from services.live_gateway.core.orders import VENUE
from services.live_gateway.core.paper import PaperVenue
from shared.contract.base import Account
from shared.contract.dealing import VenueTrade, VenueWord
from shared.contract.errors import NotFound
from shared.contract.orders import Report
from shared.contract.venue import StatedOrder, StatedTrade, Statement, StatementRequest, VenueOrder

Real = tuple[list[VenueWord], list[VenueTrade], dict[str, Decimal]]
"""A real venue's listings: open orders, trades, holdings."""

ORDERS_MAX = 400
"""So many open orders are told of at once: whoever reads them has other things to do, too."""


class Store(Protocol):
    async def find(self, account: str, order_id: str) -> VenueOrder | None: ...
    async def find_by_client(self, account: str, client_order_id: str) -> VenueOrder | None: ...
    async def filled_since(self, account: str, since_ns: int) -> tuple[list[VenueOrder], int | None]: ...
    async def fills(self, order: VenueOrder) -> list[Report]: ...


class Dealer(Protocol):
    def line(self, venue: str) -> dict[str, Any]: ...
    async def listings(self, venue: str, account: str, symbols: frozenset[str], since_ns: int) -> Real | None: ...


class Views:
    def __init__(
        self, store: Store, paper: PaperVenue, desk: Desk, gates: Gates, dealer: Dealer, now_ns: Callable[[], int]
    ) -> None:
        self._store = store
        self._paper = paper
        self._desk = desk
        self._gates = gates
        self._dealer = dealer
        self._now_ns = now_ns

    async def venues(self) -> list[dict[str, Any]]:
        """Each venue: its mode, how many orders are open there, and how well it can be dealt with."""
        shown: list[dict[str, Any]] = []
        for venue, mode in self._gates.modes.all().items():
            if venue == VENUE:
                shown.append({"venue": venue, "mode": mode, "orders_open": self._paper.open_count()})
                continue
            standing = self._dealer.line(venue) | self._gates.view(venue, self._now_ns())
            shown.append({"venue": venue, "mode": mode, "orders_open": len(self._desk.orders(venue))} | standing)
        return shown

    async def show(self, order_id: str, account: Account | None = None) -> VenueOrder:
        """What the venue knows of an order, by its id or the client's; an order id begins with its account."""
        if known := self._paper.known(order_id) or self._desk.known(order_id):
            return known
        for name in (account,) if account else (order_id.rpartition("-")[0], "default"):
            found = await self._store.find(name, order_id) or await self._store.find_by_client(name, order_id)
            if found is not None:
                return found
        raise NotFound(f"the venue knows no order {order_id}; name its account with ?account= if it is not default")

    async def statement(self, asked: StatementRequest) -> Statement:
        """What went to paper under the venue's name, and what the venue itself has. Paper keeps no holdings."""
        trades, until_ns = await self._paper_trades(asked)
        orders, after = self._paper_orders(asked)
        real = None
        if asked.orders_after == "":
            since_ns = asked.since_ns or 0
            real = await self._dealer.listings(asked.venue, asked.account, self._paper.symbols, since_ns)
        if real is not None:
            for word in real[0]:
                orders.append(statement.listed_order(asked.account, word, self._desk.known))
            trades += [statement.listed_trade(asked.account, trade) for trade in real[1]]
        return Statement(
            account=asked.account,
            venue=asked.venue,
            at_ns=self._now_ns(),
            orders=tuple(orders),
            trades=tuple(trades),
            trades_until_ns=until_ns,
            orders_after=after,
            holdings=real[2] if real else None,
        )

    async def _paper_trades(self, asked: StatementRequest) -> tuple[list[StatedTrade], int | None]:
        if asked.since_ns is None:
            return [], None
        trades: list[StatedTrade] = []
        filled, until_ns = await self._store.filled_since(asked.account, asked.since_ns)
        for order in filled:
            if order.deal is None and order.order.venue == asked.venue:
                trades += statement.trades(order, await self._store.fills(order))
        return trades, until_ns

    def _paper_orders(self, asked: StatementRequest) -> tuple[list[StatedOrder], str | None]:
        if asked.orders_after is None:
            return [], None
        after, account, venue = asked.orders_after, asked.account, asked.venue
        left = (o for o in self._paper.orders() if o.account == account and o.order_id > after)
        some = nsmallest(ORDERS_MAX, (o for o in left if o.order.venue == venue), key=lambda order: order.order_id)
        return [statement.stated(order) for order in some], some[-1].order_id if len(some) == ORDERS_MAX else None

    def checks(self) -> dict[str, str | None]:
        """A venue that orders go to has to be there."""
        modes = self._gates.modes.all().items()
        return {f"venue {venue}": self._dealer.line(venue)["trouble"] for venue, mode in modes if mode in REAL}

    def stats(self) -> dict[str, Any]:
        return {
            "modes": {venue: mode.value for venue, mode in self._gates.modes.all().items()},
            "orders_open": self._paper.open_count() + len(self._desk.orders()),
            "orders_unknown": self._desk.unknown_count,
            "symbols_resting": len(self._paper.resting),
            "scopes_killed": len(self._gates.kills.scopes),
            "orders_refused": dict(self._gates.refused),
        }
