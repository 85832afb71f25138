"""Errands: what is done beside the hearing: calls to venues, and looks that must go on whatever is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from structlog.typing import FilteringBoundLogger

from services.live_gateway.venues.venue import Venue
from shared.contract.dealing import Answer, Ask, Errand, Outcome, Unsure
from shared.contract.errors import Unavailable


class Errands:
    """Each in a task of its own; what fails is told in the log and changes nothing."""

    def __init__(self, venues: Mapping[str, Venue], log: FilteringBoundLogger) -> None:
        self._venues = venues
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._make_up: Callable[[], Awaitable[None]] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Callable[..., Awaitable[None]], *words: Any) -> None:
        task = asyncio.create_task(self._run(work, *words))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep_looking(self, every_s: float, look: Callable[[], None], make_up: Callable[[], Awaitable[None]]) -> None:
        """Now, and every so often from now on, also while the store or the bus is away; `make_up` for missed looks."""
        self._make_up = make_up
        if self._timer is not None:
            self._timer.cancel()
        try:
            look()
        except Exception:
            self._log.exception("look_failed")
        self._timer = asyncio.get_running_loop().call_later(every_s, self.keep_looking, every_s, look, make_up)

    async def hindrance(self) -> str:
        """Why nothing new may leave, or nothing, once what was missed while this process stood still is made up for."""
        try:
            if self._make_up is not None:
                await self._make_up()
        except Unavailable as error:
            return f"this gateway stood still, and what was killed meanwhile is not known: {error.detail}"
        return ""

    async def perform(self, ask: Ask) -> Outcome | Answer:
        """Ask a venue. Whatever goes wrong on the way proves nothing."""
        venue = self._venues.get(ask.venue)
        if venue is None:
            return Unsure(f"{ask.venue} is not configured any more")
        try:
            match ask.errand:
                case Errand.SUBMIT:
                    return await venue.submit(ask.leg)
                case Errand.CANCEL:
                    return await venue.cancel(ask.leg)
                case Errand.REPLACE:
                    return await venue.replace(ask.leg, ask.price, ask.quantity)
                case Errand.FIND:
                    return await venue.find(ask.leg)
        except Exception as error:
            self._log.exception("errand_failed", errand=ask.errand, venue=ask.venue)
            return Unsure(f"the errand broke: {type(error).__name__}")

    async def done(self) -> None:
        """Return once nothing is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """End what is under way: it is written down, and asked for at the next start."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for venue in self._venues.values():
            await venue.close()

    async def _run(self, work: Callable[..., Awaitable[None]], *words: Any) -> None:
        try:
            await work(*words)
        except Unavailable as error:
            # The store is recalled when it is back, and the venue then asked for everything.
            self._log.warning("errand_put_off", detail=error.detail)
        except Exception:
            self._log.exception("errand_failed")
