"""The doors through which people look at what the oms remembers, and have it held against a venue's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from services.oms.store.accounts import Accounts
from services.oms.store.archive import Archive
from shared.kit import get, post
from shared.kit.service import Route, websocket


class Reconciler(Protocol):
    @property
    def reconcile(self) -> Callable[..., Awaitable[Any]]: ...
    @property
    def latest(self) -> Callable[..., Awaitable[Any]]: ...


def views(
    archive: Archive, accounts: Accounts, feed: Callable[..., Awaitable[None]], reconciler: Reconciler
) -> tuple[Route, ...]:
    """All of them; only a reconciliation that finds something changes anything."""
    return (
        get("/orders", archive.orders),
        get("/orders/{order_id}", archive.order),
        get("/orders/{order_id}/fills", archive.order_fills),
        get("/orders/{order_id}/events", archive.order_events),
        get("/orders/{order_id}/why", archive.why),
        get("/fills", archive.fills),
        get("/positions", accounts.all_positions),
        get("/positions/{account}", accounts.positions),
        get("/accounts/{account}", accounts.account),
        get("/accounts/{account}/strategies", accounts.strategies),
        get("/accounts/{account}/entries", accounts.entries),
        websocket("/ws/accounts/{account}", feed),
        get("/reconcile", reconciler.latest),
        post("/reconcile", reconciler.reconcile),
    )
