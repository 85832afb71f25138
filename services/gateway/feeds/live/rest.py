"""A venue's REST, as far as market data needs it: GET, within a budget of weight, and patient when told to wait."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp

from services.gateway.feeds.live.dialect import Ask
from shared.contract.errors import Unavailable
from shared.kit import Clock

BODY_BYTES_MAX = 64 << 20
AT_ONCE_MAX = 4
WAIT_S = 2.0
TOLD_TO_WAIT = (418, 429)


class Rest:
    """One venue's REST. The budget is refilled evenly; what does not fit into it waits."""

    def __init__(self, session: aiohttp.ClientSession, weight_per_minute: int, clock: Clock, timeout_s: float) -> None:
        self._session = session
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._per_ns = weight_per_minute / 60e9
        self._burst = weight_per_minute / 6
        self._spent = 0.0
        self._at_ns = clock.monotonic_ns()
        self._free_ns = 0
        self._doors = asyncio.Semaphore(AT_ONCE_MAX)
        self.told_to_wait = 0

    async def get(self, ask: Ask) -> bytes:
        """The answer's body; Unavailable, naming the reason and when to ask again, when there is none."""
        async with self._doors:
            await self._let_in(ask.weight)
            try:
                async with self._session.get(ask.url, timeout=self._timeout) as answer:
                    return await self._read(answer)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(f"no answer from the venue ({type(error).__name__})", retry_after_s=WAIT_S) from None

    async def _let_in(self, weight: int) -> None:
        """Wait until the budget has room, and no wait that the venue has ordered is left."""
        while True:
            now_ns = self._clock.monotonic_ns()
            self._spent = max(0.0, self._spent - (now_ns - self._at_ns) * self._per_ns)
            self._at_ns = now_ns
            over = self._spent + weight - max(self._burst, weight)
            wait_ns = max(self._free_ns - now_ns, over / self._per_ns)
            if wait_ns <= 0:
                self._spent += weight
                return
            await self._clock.sleep(wait_ns / 1e9)

    async def _read(self, answer: Any) -> bytes:
        if answer.status in TOLD_TO_WAIT:
            wait_s = _seconds(answer.headers.get("Retry-After"))
            self._free_ns = max(self._free_ns, self._clock.monotonic_ns() + round(wait_s * 1e9))
            self.told_to_wait += 1
            raise Unavailable(f"the venue asks us to wait {wait_s:g} s", retry_after_s=wait_s)
        body = bytearray()
        async for chunk in answer.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise Unavailable(f"the answer is longer than {BODY_BYTES_MAX} bytes", retry_after_s=60)
        if answer.status != 200:
            words = bytes(body[:200]).decode(errors="replace")
            raise Unavailable(f"the venue answered {answer.status}: {words}", retry_after_s=WAIT_S)
        return bytes(body)


def _seconds(told: str | None) -> float:
    """How long `Retry-After` says to wait, between one second and an hour."""
    try:
        return min(3600.0, max(1.0, float(told or WAIT_S)))
    except ValueError:
        return WAIT_S


class Backoff:
    """How long to wait before trying again: twice as long each time, up to a limit, with jitter from `dice`."""

    def __init__(self, dice: random.Random, first_s: float, max_s: float) -> None:
        self._dice = dice
        self._first_s = first_s
        self._max_s = max_s
        self._failures = 0

    def well(self) -> None:
        """It worked: begin again at the shortest wait."""
        self._failures = 0

    def next_s(self) -> float:
        limit_s = min(self._first_s * 2 ** min(self._failures, 30), self._max_s)
        self._failures += 1
        return self._dice.uniform(limit_s / 2, limit_s)
