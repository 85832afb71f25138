"""F12: everything that the venue ever said of some accounts is said again, several times over and in any order."""

from __future__ import annotations

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.fault import Fault
from tests.chaos.scene import Scene
from tests.chaos.waiting import until
from tests.chaos.wire import Wire

ORDERS = 250
REPEATS_MAX = 5
ROUNDS = 3


async def play(scene: Scene, _victim: str) -> None:
    async with scene.load(hands=12) as client:
        await until(lambda: client.acknowledged >= ORDERS, f"{ORDERS} orders to be acknowledged", 60)
        await client.stop()
        # Nothing is left near the market, where the next trade could move the books as well.
        await client.sweep_all()
    before = await scene.judged()
    wire = await Wire.open(scene.stage.port("nats"), scene.stage.known)
    try:
        again = [
            (subject, report)
            for account in scene.accounts
            for subject in (f"orders.{account}.report",)
            for report in await wire.said(subject)
            for _ in range(scene.rng.randint(1, REPEATS_MAX))
        ]
        scene.tally["reports said again"] = 0
        for _ in range(ROUNDS):
            scene.rng.shuffle(again)
            scene.tally["reports said again"] += await wire.say(again)
        await until(lambda: wire.heard_out("oms"), "the oms to hear it all", 120)
    finally:
        await wire.close()
    after = await scene.judged()
    if moved := [(then, now) for then, now in zip(_books(before), _books(after), strict=True) if then != now]:
        scene.found.append(Violation("I3", "what was said again moved the books", tuple(moved)))


def _books(evidence: Evidence) -> list[object]:
    """How many fills, and what they came to, whatever order it was found in."""
    positions = sorted((one["account"], one["symbol"], one["quantity"]) for one in evidence.positions)
    return [len(evidence.fills), positions, sorted((one["account"], one["cash"]) for one in evidence.balances.values())]


FAULT = Fault("F12", "all reports again, 1-5 times", {"pr": 2, "nightly": 170, "release": 1700}, play)
