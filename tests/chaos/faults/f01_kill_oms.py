"""F1: kill -9 of the oms at any moment."""

from __future__ import annotations

from tests.chaos.fault import Fault, kill_under_load
from tests.chaos.scene import Scene


async def play(scene: Scene, victim: str) -> None:
    await kill_under_load(scene, victim, allowed_s=3.0)


FAULT = Fault("F1", "kill -9 of the oms", {"pr": 10, "nightly": 300, "release": 2000}, play, ("oms",))
