"""F20: many clients at once ask for one order more than a limit allows, and the oms or risk is killed meanwhile."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.chaos.client import TICK, Client
from tests.chaos.evidence import Asked, Violation, Words, digest
from tests.chaos.fault import Fault
from tests.chaos.line import Line, get
from tests.chaos.scene import Scene
from tests.chaos.stage import BOUNDS
from tests.chaos.waiting import until

SYMBOL = "SPY"
VICTIMS = ("oms", "risk", "")


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    fits = int(BOUNDS[SYMBOL].long_max)
    ticker = await get(stage.port("gateway"), f"/ticker/{SYMBOL}")
    price = str((Decimal(str(ticker["bid"])) * Decimal("0.95")).quantize(TICK))
    client = Client(stage.port("oms"), scene.accounts, [], scene.seed, hands=0)
    scene.asked = client.asked = [_order(scene.accounts[0], n, price) for n in range(fits + 1)]
    racing = [asyncio.create_task(_race(client, stage.port("oms"), asked)) for asked in client.asked]
    await scene.moment(0.05)
    if victim:
        killed = stage.signal(victim)
        await until(lambda: stage.is_ready(victim, after=killed), f"{victim} to be back")
    await asyncio.wait_for(asyncio.gather(*racing), 60)
    await until(stage.all_ready, "every service to be ready")
    if client.acknowledged > fits:
        what = f"{client.acknowledged} orders were acknowledged, {fits} fit"
        scene.found.append(Violation("I6", what, tuple(scene.asked)))
    scene.tally["limit races: orders that fit"] = fits
    scene.tally["limit races: orders let in"] = client.acknowledged
    await scene.judged()


async def _race(client: Client, port: int, asked: Asked) -> None:
    line = Line(port)
    try:
        await client.insist(line, asked)
    finally:
        line.close()


def _order(account: str, n: int, price: str) -> Asked:
    words: Words = {"account": account, "client_order_id": f"race{n}", "symbol": SYMBOL, "side": "BUY"}
    words |= {"order_type": "LIMIT", "quantity": "1", "price": price}
    return Asked(account, words["client_order_id"], words, digest(words))


FAULT = Fault("F20", "a race for the last of a limit", {"pr": 2, "nightly": 300, "release": 3000}, play, VICTIMS)
