"""F5: kill -9 of everything within 50 ms, the supervisor too, and a cold start."""

from __future__ import annotations

import time

from tests.chaos.evidence import Violation
from tests.chaos.fault import Fault, settled_flow
from tests.chaos.scene import Scene

WITHIN_S = 0.05


async def play(scene: Scene, _victim: str) -> None:
    async with scene.load() as client:
        await scene.moment()
        began_s = time.monotonic()
        scene.stage.kill_all(scene.rng)
        took_s = time.monotonic() - began_s
        if took_s > WITHIN_S:
            scene.found.append(Violation("F5", f"the killing itself took {took_s:.3f} s; nothing is proven"))
        await scene.stage.up()
        await scene.recovered(client, "all", began_s, 15.0, scene.stage.all_ready)
        await settled_flow(scene, client)
    await scene.judged()


FAULT = Fault("F5", "kill -9 of everything, cold start", {"pr": 3, "nightly": 50, "release": 300}, play)
