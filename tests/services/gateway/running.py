"""A gateway over the twins, and words to ask it with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from services.gateway.feeds.requests import ReplayRequest, ReplayState, ReplayStatus
from services.gateway.service import wire
from services.gateway.settings import Settings
from shared.contract.subjects import FRAME
from shared.contract.ticks import TickColumns
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from shared.kit.frames import decode_frame
from shared.kit.web import open_app


class SharedClock(FakeClock):
    """Moves by itself when slept on, and lets others act meanwhile."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await asyncio.sleep(0)


class StoppedClock(FakeClock):
    """Stands still: who sleeps, sleeps until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        await self.go.wait()
        self.advance(seconds)
        await asyncio.sleep(0)


async def eventually(true: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(20):
        while not (await claim if isinstance(claim := true(), Awaitable) else claim):
            await asyncio.sleep(0.0005)


class RunningGateway:
    """The gateway's rows, called as the kit would."""

    def __init__(self, kit: FakeKit, **settings: Any) -> None:
        self.kit = kit
        self.service = wire(kit, Settings(**settings))
        self._every = [row.handler for row in self.service.every]
        doors = [row for row in self.service.serves if row.method != "SOCKET"]
        self._doors = open_app("gateway", "0", doors, self._open)

    async def _open(self) -> None:
        return None

    async def step(self, times: int = 1) -> None:
        """Let the simulated market move."""
        for _ in range(times):
            await self._every[0]()

    async def retell(self) -> None:
        """What happens once a second."""
        await self._every[1]()

    async def tell_books(self) -> None:
        """What happens a few times a second."""
        await self._every[2]()

    async def request(self, method: str, path: str, **words: Any) -> httpx.Response:
        """Over HTTP, as far as the doors go."""
        transport = httpx.ASGITransport(app=self._doors)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, **words)

    async def begin(self, path: str, speed: float | str = 1, **words: Any) -> ReplayStatus:
        route = next(row for row in self.service.serves if (row.method, row.path) == ("POST", "/replay"))
        reply = await route.handler(ReplayRequest.model_validate({"path": path, "speed": speed, **words}))
        return reply.body

    async def status(self, id: str) -> ReplayStatus:
        return ReplayStatus.model_validate((await self.request("GET", f"/replays/{id}")).json())

    async def ended(self, id: str) -> ReplayStatus:
        """How a replay ended."""

        async def over() -> bool:
            return (await self.status(id)).state is not ReplayState.RUNNING

        await eventually(over)
        return await self.status(id)

    async def replayed(self, path: str, speed: float | str = 1, **words: Any) -> ReplayStatus:
        return await self.ended((await self.begin(path, speed, **words)).id)

    def frames(self, venue: str | None = None) -> list[TickColumns]:
        frames = [decode_frame(frame.payload, frame.venue) for frame in self.kit.bus.heard(FRAME)]
        return [frame for frame in frames if venue in (None, frame.venue)]


@contextmanager
def running_gateway(clock: FakeClock | None = None, **settings: Any) -> Iterator[RunningGateway]:
    """A gateway for as long as the block lasts."""
    yield RunningGateway(fake_kit("gateway", clock=clock or SharedClock()), **settings)
