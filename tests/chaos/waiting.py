"""Waiting: for a condition, never for time to pass; the moment of a fault is a condition on the clock."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

LOOK_S = 0.005


class Late(AssertionError):
    """What was waited for never came."""


async def until(true: Callable[[], object | Awaitable[object]], what: str, timeout_s: float = 30.0) -> float:
    """Return once `true()` is, with the seconds that took; Late when it never is."""
    began_s = time.monotonic()
    while True:
        there = true()
        if inspect.isawaitable(there):
            there = await there
        now_s = time.monotonic()
        if there:
            return now_s - began_s
        if now_s - began_s > timeout_s:
            raise Late(f"waited {timeout_s:.0f} s for {what}")
        await asyncio.sleep(LOOK_S)


async def moment(seconds: float) -> None:
    """Until the drawn moment of a fault."""
    at_s = time.monotonic() + seconds
    await until(lambda: time.monotonic() >= at_s, "the moment", seconds + 5)
