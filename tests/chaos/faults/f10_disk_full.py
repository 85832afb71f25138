"""F10: the disk under NATS, Valkey or everything is full to the last byte; once there is room, all mends itself."""

from __future__ import annotations

import time

from tests.chaos.fault import Fault, settled_flow
from tests.chaos.scene import Scene
from tests.chaos.stages import Cramped

DISKS = {"nats": ("nats",), "valkey": ("valkey",), "all": ("", "nats", "valkey")}
"""Whose disks are full, as folders of the suite's state."""


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    assert isinstance(stage, Cramped)

    async def well() -> bool:
        return await stage.all_ready() and await stage.stores()

    async with scene.load() as client:
        await scene.moment()
        stage.fill(DISKS[victim])
        try:
            await scene.moment(4.0)
        finally:
            began_s = time.monotonic()
            stage.free(DISKS[victim])
        await scene.recovered(client, victim, began_s, 10.0, well)
        await settled_flow(scene, client)
    await scene.judged()


FAULT = Fault("F10", "the disk is full", {"pr": 1, "nightly": 10, "release": 40}, play, tuple(DISKS), stage="cramped")
