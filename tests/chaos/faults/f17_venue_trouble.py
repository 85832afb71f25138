"""F17: a third of the requests to a real venue go wrong: done and not answered, not done, cut, late, limited."""

from __future__ import annotations

from tests.chaos.binance import Dealing
from tests.chaos.fault import Fault
from tests.chaos.mix import Mix
from tests.chaos.scene import Scene
from tests.chaos.waiting import until

ORDERS = 300
"""Bounded, since what comes in while the gateway is away must be asked for at a venue that answers three in four."""
MIX = Mix(far=0.25, near=0.1, stops=0.08, brackets=0.08, pairs=0.05, cancelled=0.6)
SHARE = 0.3


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    assert isinstance(stage, Dealing)
    async with scene.load(hands=6, mix=MIX, venue="binance", most=ORDERS) as client:
        stage.trouble(scene.rng, SHARE, 4 * ORDERS)
        if victim:
            await scene.flowing(client, scene.rng.randrange(ORDERS // 2))
            killed = stage.signal(victim)
            await until(lambda: stage.is_ready(victim, after=killed), f"{victim} to be back")
        await until(lambda: client.acknowledged >= ORDERS, f"{ORDERS} orders to be acknowledged", 120)
    stage.peace()
    await scene.judged()


FAULT = Fault(
    "F17",
    "a real venue in trouble",
    {"pr": 1, "nightly": 50, "release": 500},
    play,
    ("", "live-gateway"),
    stage="dealing",
)
