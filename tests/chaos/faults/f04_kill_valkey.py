"""F4: kill -9 of Valkey."""

from __future__ import annotations

from tests.chaos.fault import Fault, kill_under_load
from tests.chaos.scene import Scene


async def play(scene: Scene, victim: str) -> None:
    await kill_under_load(scene, victim, allowed_s=3.0)


FAULT = Fault("F4", "kill -9 of Valkey", {"pr": 3, "nightly": 40, "release": 200}, play, ("valkey",))
