"""F20: many clients at once ask for one order more than a limit allows, and the oms or risk is killed meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

from tests.chaos.client import Client
from tests.chaos.evidence import Asked, Violation, Words, digest
from tests.chaos.fault import Fault
from tests.chaos.line import Line, get
from tests.chaos.mix import PLAIN, TICK, Asking
from tests.chaos.scene import Scene
from tests.chaos.stage import BOUNDS
from tests.chaos.waiting import until

SYMBOL = "SPY"
RACES = 7
"""At once, each in an account of its own."""

VICTIMS = ("oms", "risk", "")


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    fits = int(BOUNDS[SYMBOL].long_max)
    accounts = [f"{scene.name}-{n}" for n in range(RACES)]
    ticker = await get(stage.port("gateway"), f"/ticker/{SYMBOL}")
    price = str((Decimal(str(ticker["bid"])) * Decimal("0.95")).quantize(TICK))
    client = Client(stage.port("oms"), Asking(accounts, [], PLAIN), scene.seed, hands=0)
    scene.asked = client.asked = [_order(account, n, price) for account in accounts for n in range(fits + 1)]
    racing = [asyncio.create_task(_race(client, stage.port("oms"), asked)) for asked in client.asked]
    await scene.moment(0.05 * RACES)
    if victim:
        killed = stage.signal(victim)
        await until(lambda: stage.is_ready(victim, after=killed), f"{victim} to be back")
    await asyncio.wait_for(asyncio.gather(*racing), 60)
    await until(stage.all_ready, "every service to be ready")
    let_in = Counter(asked.account for asked in scene.asked if asked.acknowledged)
    if over := {account: count for account, count in let_in.items() if count > fits}:
        scene.found.append(Violation("I6", f"more orders were acknowledged than the {fits} that fit", (over,)))
    scene.tally["limit races"] = RACES
    scene.tally["limit races: orders that fit"] = fits * RACES
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


FAULT = Fault("F20", "a race for the last of a limit", {"pr": 1, "nightly": 48, "release": 477}, play, VICTIMS)
