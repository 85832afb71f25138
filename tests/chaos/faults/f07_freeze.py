"""F7: a process stands still (SIGSTOP) for a while and goes on as if nothing had been (SIGCONT)."""

from __future__ import annotations

import signal
import time

from tests.chaos.fault import Fault, settled_flow
from tests.chaos.scene import Scene
from tests.chaos.stage import SERVERS, SERVICES

FROZEN_S = 1.5


async def play(scene: Scene, victim: str) -> None:
    async with scene.load() as client:
        await scene.moment()
        pid = scene.stage.signal(victim, signal.SIGSTOP)
        try:
            await scene.moment(FROZEN_S)
        finally:
            began_s = time.monotonic()
            scene.stage.signal(victim, signal.SIGCONT)
        await scene.recovered(client, victim, began_s, 2.0, lambda: scene.stage.pid(victim) == pid)
        await settled_flow(scene, client)
    await scene.judged()


VICTIMS = (*SERVERS, *SERVICES, "supervisor")
FAULT = Fault("F7", "a process stands still", {"pr": 1, "nightly": 50, "release": 200}, play, VICTIMS)
