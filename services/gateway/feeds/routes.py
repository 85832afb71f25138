"""The doors of the gateway: what is seen of the markets, and the feeds that people begin and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from services.gateway.feeds.replays import Replays
from services.gateway.feeds.requests import ReplayRequest, ReplayStatus
from services.gateway.feeds.subscriptions import Subscriptions
from shared.kit import Reply, delete, get, post, websocket
from shared.kit.service import Route

Handler = Callable[..., Awaitable[Any]]


class Views(Protocol):
    """What is seen of the markets; see the core."""

    @property
    def tickers(self) -> Handler: ...
    @property
    def ticker(self) -> Handler: ...
    @property
    def symbols(self) -> Handler: ...
    @property
    def feeds(self) -> Handler: ...
    @property
    def book(self) -> Handler: ...
    @property
    def read(self) -> Handler: ...


def views_of(views: Views) -> tuple[Route, ...]:
    """What is looked at and not changed."""
    return (
        get("/tickers", views.tickers),
        get("/ticker/{symbol}", views.ticker),
        get("/symbols", views.symbols),
        get("/feeds", views.feeds),
        get("/book/{symbol}", views.book),
        websocket("/ws/ticks", views.read),
    )


def subscriptions_of(subscriptions: Subscriptions) -> tuple[Route, ...]:
    """What is followed, and what can be."""
    return (
        post("/subscriptions", subscriptions.subscribe),
        get("/subscriptions", subscriptions.subscriptions),
        delete("/subscriptions/{id}", subscriptions.unsubscribe),
        get("/venues", subscriptions.venues),
        get("/venues/{venue}/symbols", subscriptions.symbols),
    )


def replays_of(replays: Replays) -> tuple[Route, ...]:
    """Replays: begun, listed, looked at, cancelled."""

    async def replay(body: ReplayRequest) -> Reply:
        status = await replays.begin(body)
        return Reply(status, status=202, headers={"Location": f"/replays/{status.id}"})

    async def every() -> list[ReplayStatus]:
        return replays.list()

    async def show(id: str) -> ReplayStatus:
        return replays.show(id)

    return (
        post("/replay", replay),
        get("/replays", every),
        get("/replays/{id}", show),
        delete("/replays/{id}", replays.cancel),
    )
