"""Binance's user data over the WebSocket API: one subscription, renewed for ever.

The old way, a listen key kept alive by REST, was closed for spot in February 2026; the subscription is signed instead
and lasts as long as its connection. A connection that is open but dead is found out by our own pings.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from services.live_gateway.venues.binance_rest import BinanceRest, BinanceTerms
from shared.kit import Clock

Event = dict[str, Any]


class UserStream:
    """Calls `joined` after every subscription, before any event of it, and `heard` with each event in order."""

    def __init__(
        self,
        rest: BinanceRest,
        terms: BinanceTerms,
        clock: Clock,
        joined: Callable[[], Awaitable[None]],
        heard: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._rest = rest
        self._terms = terms
        self._clock = clock
        self._joined = joined
        self._heard = heard
        self._jitter = random.Random()
        self.down_since_ns = clock.now_ns()
        self.why_down: str | None = "not connected to the venue yet"
        self.joins = 0

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            joins = self.joins
            try:
                await self._listen()
                self._lost("the venue ended the stream")
            except Exception as error:
                # Whatever it was, the stream is down and has to come back. Its text may hold a signed request.
                self._lost(f"the stream of the venue's words broke ({type(error).__name__})")
            failures = 1 if self.joins > joins else failures + 1
            limit_s = min(0.1 * 2 ** min(failures, 16), self._terms.backoff_max_s)
            await self._clock.sleep(self._jitter.uniform(limit_s / 2, limit_s))

    def _lost(self, why: str) -> None:
        if not self.why_down:
            self.down_since_ns = self._clock.now_ns()
        self.why_down = why

    async def _listen(self) -> None:
        await self._rest.compare_clocks()
        socket = await self._subscribed()
        try:
            await self._joined()
            self.joins += 1
            self.down_since_ns, self.why_down = 0, None
            async for frame in socket:
                if frame.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError("the connection is dead")
                event: Event = frame.json().get("event", {})
                if event.get("e") in ("eventStreamTerminated", "serverShutdown"):
                    return
                await self._heard(event)
        finally:
            await socket.close()

    async def _subscribed(self) -> Any:
        """A connection on which the venue has agreed to tell us of our account."""
        words = {"id": 1, "method": "userDataStream.subscribe.signature", "params": self._rest.signed()}
        closing = aiohttp.ClientWSTimeout(ws_close=1.0)  # pyright: ignore[reportCallIssue]
        async with asyncio.timeout(self._terms.timeout_s):
            session, url = self._rest.session(), self._terms.endpoints.stream
            socket = await session.ws_connect(url, heartbeat=self._terms.ping_s, timeout=closing)
            try:
                await socket.send_json(words)
                answer = await socket.receive_json()
                if answer.get("status") != 200:
                    raise ConnectionError("the venue refused the subscription")
            except BaseException:
                await socket.close()
                raise
        return socket
