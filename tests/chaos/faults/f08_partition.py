"""F8: services are cut off NATS or Valkey: stalled, deaf to the answers, or reset; and then the way is clear again."""

from __future__ import annotations

import time

from tests.chaos.fault import Fault, settled_flow
from tests.chaos.proxy import Cut
from tests.chaos.scene import Scene
from tests.chaos.stages import Divided

VICTIMS = (
    "oms from nats",
    "oms from valkey",
    "risk from nats",
    "risk from valkey",
    "live-gateway from nats",
    "live-gateway from valkey",
    "all from nats",
    "all from valkey",
)

CUT_S = 2.0


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    assert isinstance(stage, Divided)
    service, _, server = victim.split()
    async with scene.load() as client:
        await scene.moment()
        struck = stage.cut(server, scene.rng.choice(list(Cut)), service)
        assert struck, f"{service} has no connection to {server}; nothing is proven"
        try:
            await scene.moment(CUT_S)
        finally:
            stage.heal()
        began_s = time.monotonic()
        await scene.recovered(client, victim, began_s, 5.0, stage.all_ready)
        await settled_flow(scene, client)
    await scene.judged()


FAULT = Fault("F8", "cut off", {"pr": 1, "nightly": 20, "release": 100}, play, VICTIMS, stage="divided")
