"""F8: services are cut off NATS or Valkey, or the live gateway off a real venue, and then the way is clear again.

Stalled, deaf to the answers, reset, or slow. Orders are in flight, and whoever does not know what became of one asks.
"""

from __future__ import annotations

import time

from tests.chaos.binance import Dealing
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

FROM_THE_VENUE = tuple(f"live-gateway from venue, {how.value}" for how in Cut)

CUT_S = 2.0


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    at_venue = isinstance(stage, Dealing)
    async with scene.load(venue="binance" if at_venue else "paper") as client:
        await scene.moment()
        try:
            struck = _cut(scene, victim)
            assert struck, f"{victim} has no connection to cut; nothing is proven"
            await scene.moment(CUT_S)
        finally:
            _heal(scene)
        began_s = time.monotonic()
        await scene.recovered(client, victim, began_s, 5.0, stage.deals if at_venue else stage.all_ready)
        await settled_flow(scene, client)
    await scene.judged()


def _cut(scene: Scene, victim: str) -> int:
    stage = scene.stage
    if isinstance(stage, Dealing):
        return stage.cut(Cut(victim.partition(", ")[2]))
    assert isinstance(stage, Divided)
    service, _, server = victim.split()
    return stage.cut(server, scene.rng.choice(list(Cut)), service)


def _heal(scene: Scene) -> None:
    if isinstance(scene.stage, Dealing):
        scene.stage.peace()
    elif isinstance(scene.stage, Divided):
        scene.stage.heal()


FAULT = Fault(
    "F8",
    "cut off",
    {"pr": 1, "nightly": 13, "release": 67},
    play,
    VICTIMS + FROM_THE_VENUE,
    stage="divided",
    elsewhere=dict.fromkeys(FROM_THE_VENUE, "dealing"),
)
