"""F2: kill -9 of every other service on the way of an order or a tick."""

from __future__ import annotations

from tests.chaos.fault import Fault, kill_under_load
from tests.chaos.scene import Scene

VICTIMS = ("risk", "live-gateway", "normalizer", "sink-ticks", "gateway", "orchestrator")


async def play(scene: Scene, victim: str) -> None:
    await kill_under_load(scene, victim, allowed_s=3.0, tape=victim == "sink-ticks")


FAULT = Fault("F2", "kill -9 of another service", {"pr": 1, "nightly": 60, "release": 400}, play, VICTIMS)
