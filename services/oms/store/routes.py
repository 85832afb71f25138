"""The doors through which people look at what the oms remembers, end orders and have it held against a venue's word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from services.oms.store.accounts import Accounts
from services.oms.store.archive import Archive
from shared.kit import delete, get, post
from shared.kit.service import Route, websocket

Handler = Callable[..., Awaitable[Any]]


class Reconciler(Protocol):
    @property
    def reconcile(self) -> Handler: ...
    @property
    def latest(self) -> Handler: ...


def views(archive: Archive, accounts: Accounts) -> tuple[Route, ...]:
    """What is read out of the store."""
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
    )


def attended(cancel: Handler, cancel_all: Handler, feed: Handler, reconciler: Reconciler) -> tuple[Route, ...]:
    """What somebody stands behind: the end of orders, the feed, and reconciling, which mends what it finds."""
    return (
        post("/orders/cancel-all", cancel_all),
        delete("/orders/{order_id}", cancel),
        post("/orders/{order_id}/cancel", cancel),
        websocket("/ws/accounts/{account}", feed),
        get("/reconcile", reconciler.latest),
        post("/reconcile", reconciler.reconcile),
    )
