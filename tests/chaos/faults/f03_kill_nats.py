"""F3: kill -9 of NATS."""

from __future__ import annotations

from tests.chaos.fault import Fault, kill_under_load
from tests.chaos.scene import Scene


async def play(scene: Scene, victim: str) -> None:
    await kill_under_load(scene, victim, allowed_s=3.0)


FAULT = Fault("F3", "kill -9 of NATS", {"pr": 6, "nightly": 200, "release": 1000}, play, ("nats",))
