"""F21: several times more orders than can be taken, for a while: each is answered in time or put off, none is lost."""

from __future__ import annotations

import asyncio
import time
from random import Random

from tests.chaos.client import Client
from tests.chaos.evidence import Asked
from tests.chaos.fault import Fault
from tests.chaos.line import Line
from tests.chaos.scene import Scene
from tests.chaos.waiting import until

TIMES = 5
MEASURE_S, OVERLOAD_S = 1.0, 4.0
OUTSTANDING_MAX = 1500
WELL_S = 0.25


async def play(scene: Scene, _victim: str) -> None:
    async with scene.load(hands=8) as client:
        started, began_s = client.acknowledged, time.monotonic()
        await until(lambda: time.monotonic() - began_s >= MEASURE_S, "the capacity to be measured")
        capacity = (client.acknowledged - started) / (time.monotonic() - began_s)
        offered = await _overload(scene, client, Random(f"{scene.seed}/overload"), TIMES * capacity)
        scene.tally["orders offered at five times what can be taken"] = offered
        over_s = time.monotonic()
        await scene.recovered(client, "all", over_s, 5.0, lambda: _well(client, over_s))
    await scene.judged()


async def _overload(scene: Scene, client: Client, rng: Random, rate_per_s: float) -> int:
    """Orders at this rate whatever the answers do, each asked once; returns when the last is answered. How many."""
    idle: list[Line] = []
    tasks: set[asyncio.Task[None]] = set()
    offered = 0

    async def one(asked: Asked) -> None:
        line = idle.pop() if idle else Line(scene.stage.port("oms"))
        try:
            await client.once(line, asked)
        finally:
            idle.append(line)

    began_s = time.monotonic()
    while (elapsed_s := time.monotonic() - began_s) < OVERLOAD_S:
        while offered < elapsed_s * rate_per_s and len(tasks) < OUTSTANDING_MAX:
            asked = client.next(rng, f"over{offered}", offered)
            task = asyncio.create_task(one(asked))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            offered += 1
        scene.stage.sample()
        await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    for line in idle:
        line.close()
    return offered


def _well(client: Client, since_s: float) -> bool:
    """Whether the latest orders of those sent since are answered as fast as ever."""
    since_ns = time.time_ns() - int((time.monotonic() - since_s) * 1e9)
    latest = [one.attempts[-1] for one in client.asked[-40:] if one.attempts and one.attempts[0].sent_ns > since_ns]
    return len(latest) >= 20 and all(attempt.seconds < WELL_S for attempt in latest[-20:])


FAULT = Fault("F21", "five times too many orders", {"pr": 1, "nightly": 5, "release": 20}, play)
