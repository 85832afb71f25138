"""The archive: orders and fills as last committed, as people ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field

from services.oms.store.orders import OrderStore
from shared.contract import keys
from shared.contract.base import Account, Name, Symbol
from shared.contract.errors import NotFound, Refused
from shared.contract.orders import Order, OrderEvent, OrderStatus
from shared.contract.risk import Release, Verdict
from shared.domain.identity import account_of
from shared.domain.lifecycle import OPEN
from shared.kit import Valkey

Limit = Annotated[int, Field(ge=1, le=1000)]
PAGE = 500

Explain = Callable[[Order, Sequence[OrderEvent], Verdict | None, Release | None, Sequence[Order]], dict[str, Any]]


class Archive:
    """Orders with all that is on record of them, and fills."""

    def __init__(self, store: OrderStore, valkey: Valkey, explain: Explain) -> None:
        self._store = store
        self._valkey = valkey
        self._explain = explain

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
        strategy: Name | None = None,
        group: Name | None = None,
        active_only: bool = False,
        limit: Limit = 100,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Newest first; `next_cursor` leads to the page after this one, null at the end."""

        def wanted(order: Order) -> bool:
            return (
                (status is None or order.status is status)
                and (symbol is None or order.symbol == symbol)
                and (strategy is None or order.strategy == strategy)
                and (not active_only or order.status in OPEN)
            )

        before_ns = before(cursor)
        found: list[Order] = []
        for one in [account] if account else await self._store.accounts():
            if group or active_only:
                key = keys.group(one, group) if group else keys.open_orders(one)
                found += [order for order in await self._listed(one, key, before_ns) if wanted(order)]
            else:
                found += await self._newest(one, wanted, limit + 1, before_ns)
        found.sort(key=lambda order: order.created_ns, reverse=True)
        more = len(found) > limit
        page = found[:limit]
        return {"orders": page, "next_cursor": str(page[-1].created_ns) if more else None}

    async def _listed(self, account: str, key: str, before_ns: int | None) -> list[Order]:
        """Those whose ids are in a set."""
        ids = sorted(await self._valkey.members(key))
        found: list[Order] = []
        for start in range(0, len(ids), PAGE):
            # In pages, so that orders can be worked in between.
            found += await self._store.orders(account, ids[start : start + PAGE])
        return [order for order in found if before_ns is None or order.created_ns < before_ns]

    async def _newest(
        self, account: str, wanted: Callable[[Order], bool], count: int, before_ns: int | None
    ) -> list[Order]:
        found: list[Order] = []
        while len(found) < count:
            page = await self._store.newest(account, PAGE, before_ns)
            found += [order for order in page if wanted(order)]
            if len(page) < PAGE:
                break
            before_ns = page[-1].created_ns
        return found[:count]

    async def why(self, order_id: str) -> dict[str, Any]:
        """Everything on record of an order, from its intent to its latest commit."""
        order = await self.order(order_id)
        account = order.account
        events = await self._store.events(account, order_id)
        verdict = await self._store.verdict(account, order_id)
        release = await self._valkey.get(keys.released(account, order_id), Release)
        group = await self._listed(account, keys.group(account, order.group), None) if order.group else []
        return self._explain(order, events, verdict, release, group)

    async def order_fills(self, order_id: str) -> dict[str, Any]:
        """What an order was filled with, in the order of the commits."""
        order = await self.order(order_id)
        fills = await self._store.fills(order.account, await self._store.fills_of(order.account, order_id))
        return {"order_id": order_id, "fills": sorted(fills, key=lambda fill: fill.committed_ns)}

    async def order_events(self, order_id: str) -> dict[str, Any]:
        """An order's commits, and what risk said of it."""
        order = await self.order(order_id)
        events: list[OrderEvent] = await self._store.events(order.account, order_id)
        verdict = await self._store.verdict(order.account, order_id)
        return {"order_id": order_id, "verdict": verdict, "events": events}

    async def fills(
        self, account: Account = "default", limit: Limit = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Newest first; `next_cursor` leads to the page after this one, null at the end."""
        fills = await self._store.newest_fills(account, limit + 1, before(cursor))
        page = fills[:limit]
        return {"fills": page, "next_cursor": str(page[-1].committed_ns) if len(fills) > limit else None}


def before(cursor: str | None) -> int | None:
    """Where a page begins; None for the first."""
    if cursor is None:
        return None
    if not cursor.isdigit():
        raise Refused("INVALID", "cursor: give the next_cursor of an earlier page, unchanged", field="cursor")
    return int(cursor)
