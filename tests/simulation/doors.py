"""Doors: HTTP to the services, over a network that loses answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from shared.contract.base import Message
from shared.contract.errors import Refused, Unavailable
from tests.simulation.process import Process
from tests.simulation.store import NOBODY
from tests.simulation.world import World


class Doors:
    """HTTP to the services: an answer, a refusal, or nobody knows."""

    def __init__(self, world: World, processes: Mapping[str, Process]) -> None:
        self._world = world
        self._processes = processes

    async def call(
        self, service: str, method: str, path: str, body: Message | None = None, timeout_s: float = 2.0, **words: Any
    ) -> Any:
        """What the door answered; Unavailable when the answer was lost, or there was none in time."""
        world = self._world
        answer: asyncio.Future[Any] = world.loop.create_future()

        def answered(told: Any, error: Exception | None) -> None:
            if not world.fate("answer_lost"):
                world.loop.call_later(world.hop_s(), settle, told, error, context=NOBODY)

        def settle(told: Any, error: Exception | None) -> None:
            if not answer.done():
                world.note("http", service, method, path, words, told if error is None else repr(error))
                _ = answer.set_result(told) if error is None else answer.set_exception(error)

        def arrive() -> None:
            self._processes[service].ask(method, path, words, body, answered)

        late = Unavailable(f"no answer within {timeout_s} s")
        timer = world.loop.call_later(timeout_s, settle, None, late, context=NOBODY)
        world.loop.call_later(world.hop_s(), arrive, context=NOBODY)
        try:
            return await answer
        finally:
            timer.cancel()

    async def insist(self, ask: Callable[[], Awaitable[Any]], tries: int = 100) -> Any:
        """Ask until somebody answers; None when it is refused, or nobody ever does."""
        for _ in range(tries):
            try:
                return await ask()
            except Refused:
                return None
            except Unavailable:
                await self._world.loop.sleep(self._world.rng.uniform(0.05, 0.2))
        return None
