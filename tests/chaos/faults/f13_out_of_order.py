"""F13: fills before acknowledgements, cancels before fills, late fills, all of it repeated; and a crash in between."""

from __future__ import annotations

from tests.chaos.fault import Fault
from tests.chaos.line import get
from tests.chaos.mix import Mix
from tests.chaos.scene import Scene
from tests.chaos.scripted import ScriptedVenue
from tests.chaos.stages import Unattended
from tests.chaos.waiting import until
from tests.chaos.wire import Wire

ORDERS = 600
MIX = Mix(brackets=0, pairs=0, replaced=0)
"""The scripted venue asks nobody, so what it does to siblings would be its own fault."""


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    assert isinstance(stage, Unattended)
    wire = await Wire.open(stage.port("nats"), stage.known)
    venue = ScriptedVenue(wire, scene.rng)
    try:
        for account in scene.accounts:
            await venue.listen(account)
        async with venue.telling(), scene.load(hands=16, mix=MIX) as client:
            await scene.flowing(client, scene.rng.randrange(ORDERS))
            if victim:
                killed = stage.signal(victim)
                await until(lambda: stage.is_ready(victim, after=killed), f"{victim} to be back")
            await until(lambda: client.acknowledged >= ORDERS, f"{ORDERS} orders to be acknowledged", 120)
            await client.stop()
            await client.sweep_all()
            # A stop that is reached from now on finds the venue still there.
            venue.kept = 0
            await until(lambda: _all_over(scene), "every order to be over", 60)
        await until(lambda: wire.heard_out("oms"), "the oms to hear it all", 120)
        scene.tally["orders reported out of order"] = len(venue.venue)
        scene.tally["reports told out of order"] = venue.told
    finally:
        await wire.close()
    scene.outside = lambda: (venue.venue, venue.executions)
    # A late fill may break a limit, and nobody here can help it: the order was over as far as anybody knew.
    await scene.judged(apart=("I6",))


async def _all_over(scene: Scene) -> bool:
    return not (await get(scene.stage.port("oms"), "/stats"))["orders_open"]


FAULT = Fault(
    "F13",
    "reports in any order, 1-5 times",
    {"pr": 1, "nightly": 100, "release": 1000},
    play,
    ("", "oms"),
    stage="unattended",
)
