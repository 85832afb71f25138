"""What a fault is: where it is played, whom it may strike, how one loop of it goes, and how often it is played."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.chaos.client import Client
from tests.chaos.scene import Scene
from tests.chaos.waiting import until

Profile = Literal["pr", "nightly", "release"]


@dataclass(frozen=True)
class Fault:
    """`play` is one loop: from load to judgement. `loops` are for each of `victims`, and played on `stage`, those for
    some victims `elsewhere`."""

    id: str
    title: str
    loops: Mapping[Profile, int]
    play: Callable[[Scene, str], Awaitable[None]]
    victims: tuple[str, ...] = ("",)
    stage: str = "plain"
    elsewhere: Mapping[str, str] = field(default_factory=dict[str, str])

    def stage_of(self, victim: str) -> str:
        """Where it is played on this one."""
        return self.elsewhere.get(victim, self.stage)


async def kill_under_load(scene: Scene, victim: str, allowed_s: float, *, tape: bool = False) -> None:
    """kill -9 of one process at any moment of a stream of orders; the supervisor brings it back."""

    async def well() -> bool:
        there = scene.stage.is_ready(victim, after=killed)
        return there and (victim in ("nats", "valkey") or await scene.stage.answers(victim))

    async with scene.load() as client:
        await scene.moment()
        began_s = time.monotonic()
        killed = scene.stage.signal(victim)
        await scene.recovered(client, victim, began_s, allowed_s, well)
        await settled_flow(scene, client)
    await scene.judged(tape=tape)


async def settled_flow(scene: Scene, client: Client) -> None:
    """Everybody is ready and orders flow as before."""
    await until(scene.stage.all_ready, "every service to be ready")
    await scene.flowing(client)
