"""The front door, joined to the services behind it."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

import orjson

from services.orchestrator import core
from services.orchestrator.settings import Settings
from shared.contract.base import Account
from shared.contract.errors import NotFound, Unavailable
from shared.contract.roster import BY_NAME, ROSTER
from shared.kit import Kit, Reply, Request, Service, SocketStream, any_method, get, websocket


def wire(kit: Kit, settings: Settings) -> Service:
    """What the front door serves; it neither hears nor says."""
    door = FrontDoor(kit, settings)
    return Service(
        serves=(
            get("/system/status", door.status),
            any_method("/api/{service}/{path:path}", door.forward),
            websocket("/api/oms/ws/accounts/{account}", door.follow),
            websocket("/api/gateway/ws/ticks", door.ticks),
        ),
    )


class FrontDoor:
    """Asks every service how it is, and carries requests to the one they name."""

    def __init__(self, kit: Kit, settings: Settings) -> None:
        self._name = kit.name
        self._peers = kit.peers
        self._settings = settings

    async def status(self) -> dict[str, Any]:
        """Every service, what it needs, which build it runs, and how far each feed can be trusted."""
        names = [entry.name for entry in ROSTER]
        states = await asyncio.gather(*(self._state(name) for name in names))
        return core.system(dict(zip(names, states, strict=True)), await self._feeds())

    async def forward(self, request: Request) -> Reply:
        """The named service's own answer to this very request, whatever its status."""
        service = request.path_params["service"]
        if service not in BY_NAME or service == self._name:
            known = ", ".join(entry.name for entry in ROSTER if entry.name != self._name)
            raise NotFound(f"there is no service {service} behind this door; known: {known}", field="service")
        # The path as it was sent, so that an escaped character stays escaped.
        path = request.scope["raw_path"].decode("latin-1").removeprefix(f"/api/{service}")
        body, timeout_s = await request.body(), self._settings.peer_timeout_s
        answer = await self._peers.pass_on(service, request, path or "/", body, timeout_s=timeout_s)
        headers = dict(answer.headers)
        return Reply(answer.body, answer.status, headers, content_type=headers.pop("content-type", "application/json"))

    async def follow(self, stream: SocketStream, account: Account) -> None:
        """What the oms says of an account, word for word; a reader who falls behind is cut here as he is there."""
        await self._peers.follow("oms", f"/ws/accounts/{account}", stream.put)

    async def ticks(self, stream: SocketStream, symbols: str = "", venue: str = "", depth: int = 0) -> None:
        """What the gateway says of these markets, in the same way."""
        query = urlencode({"symbols": symbols, "venue": venue, "depth": depth})
        await self._peers.follow("gateway", f"/ws/ticks?{query}", stream.put)

    async def _state(self, service: str) -> dict[str, Any]:
        if service == self._name:
            health, version = (
                {"status": "ready", "state": "RUNNING", "checks": []},
                await self._ask(service, "/version"),
            )
            return {**health, "version": version.get("version"), "git": version.get("git")}
        health, version = await asyncio.gather(self._ask(service, "/readyz"), self._ask(service, "/version"))
        return {
            "status": health.get("status", "down"),
            "state": health.get("state"),
            "checks": health.get("checks", []),
            "detail": health.get("detail", ""),
            "version": version.get("version"),
            "git": version.get("git"),
        }

    async def _feeds(self) -> list[dict[str, Any]]:
        feeds: Any = await self._ask("gateway", "/feeds")
        return feeds if isinstance(feeds, list) else []

    async def _ask(self, service: str, path: str) -> dict[str, Any]:
        try:
            answer = await self._peers.request(service, "GET", path, timeout_s=self._settings.status_timeout_s)
        except Unavailable as error:
            return {"detail": error.detail}
        return orjson.loads(answer.body)
