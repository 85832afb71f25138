"""The archive: what the oms remembers, as people ask for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field

from services.oms.store.orders import OrderStore
from shared.contract.accounts import Position
from shared.contract.base import Account, Symbol
from shared.contract.errors import NotFound, Refused
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.domain.identity import account_of
from shared.domain.lifecycle import OPEN

Limit = Annotated[int, Field(ge=1, le=1000)]
PAGE = 500


class Archive:
    """Orders, fills, positions and balances as last committed."""

    def __init__(self, store: OrderStore) -> None:
        self._store = store

    async def order(self, order_id: str) -> Order:
        """One order; NotFound when there is none of that id."""
        order = await self._store.order(account_of(order_id), order_id)
        if order is None:
            raise NotFound(f"there is no order {order_id}; GET /orders lists them", field="order_id")
        return order

    async def orders(
        self,
        account: Account | None = None,
        status: OrderStatus | None = None,
        symbol: Symbol | None = None,
        active_only: bool = False,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Newest first; `next_cursor` leads to the page after this one, null at the end."""

        def wanted(order: Order) -> bool:
            return (
                (status is None or order.status is status)
                and (symbol is None or order.symbol == symbol)
                and (not active_only or order.status in OPEN)
            )

        before_ns = _before(cursor)
        found: list[Order] = []
        for one in [account] if account else await self._store.accounts():
            found += await self._some(one, wanted, limit + 1, before_ns, active_only)
        found.sort(key=lambda order: order.created_ns, reverse=True)
        more = len(found) > limit
        page = found[:limit]
        return {"orders": page, "next_cursor": str(page[-1].created_ns) if more else None}

    async def _some(self, account: str, wanted: Any, count: int, before_ns: int | None, active: bool) -> list[Order]:
        if active:
            standing = await self._store.open_orders(account)
            return [o for o in standing if wanted(o) and (before_ns is None or o.created_ns < before_ns)]
        found: list[Order] = []
        while len(found) < count:
            page = await self._store.newest(account, PAGE, before_ns)
            found += [order for order in page if wanted(order)]
            if len(page) < PAGE:
                break
            before_ns = page[-1].created_ns
        return found[:count]

    async def order_fills(self, order_id: str) -> dict[str, Any]:
        order = await self.order(order_id)
        fills = await self._store.fills(order.account, await self._store.fills_of(order.account, order_id))
        return {"order_id": order_id, "fills": sorted(fills, key=lambda fill: fill.committed_ns)}

    async def order_events(self, order_id: str) -> dict[str, Any]:
        order = await self.order(order_id)
        events: list[OrderEvent] = await self._store.events(order.account, order_id)
        verdict = await self._store.verdict(order.account, order_id)
        return {"order_id": order_id, "verdict": verdict, "events": events}

    async def fills(
        self, account: Account = "default", limit: Limit = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        fills = await self._store.newest_fills(account, limit + 1, _before(cursor))
        page = fills[:limit]
        return {"fills": page, "next_cursor": str(page[-1].committed_ns) if len(fills) > limit else None}

    async def positions(self, account: Account) -> dict[str, Position]:
        """By symbol; an account that never traded has none."""
        return {position.symbol: position for position in await self._store.positions(account)}

    async def all_positions(self) -> dict[str, dict[str, Position]]:
        return {account: await self.positions(account) for account in await self._store.accounts()}

    async def account(self, account: Account) -> dict[str, Any]:
        balance = await self._store.balance(account)
        if balance is None:
            raise NotFound(f"account {account} has not traded yet", field="account")
        positions = await self._store.positions(account)
        realized = sum((position.realized_pnl for position in positions), Decimal(0))
        return {
            **balance.model_dump(mode="json"),
            "realized_pnl": str(realized),
            "positions": {position.symbol: position for position in positions},
            "open_orders": len(await self._store.open_orders(account)),
        }


def _before(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isdigit():
        raise Refused("INVALID", "cursor: give the next_cursor of an earlier page, unchanged", field="cursor")
    return int(cursor)
