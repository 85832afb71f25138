"""F16: a stop is executed, the position is reversed within seconds under a new stop, and then the oms is restarted."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

from tests.chaos.client import Client
from tests.chaos.evidence import Asked, Violation, Words, digest
from tests.chaos.fault import Fault, Profile
from tests.chaos.line import Line, Unanswered, get
from tests.chaos.mix import PLAIN, TICK, Asking
from tests.chaos.scene import Scene
from tests.chaos.waiting import until

REVERSALS = 9
"""At once, each in an account of its own."""

QUANTITY = "0.002"
AWAY = Decimal("0.0005")
"""So far beyond the market a stop is reached by the next quote."""


async def play(scene: Scene, victim: str) -> None:
    stage = scene.stage
    accounts = [f"{scene.name}-{n}" for n in range(REVERSALS)]
    client = Client(stage.port("oms"), Asking(accounts, [], PLAIN), scene.seed, hands=0)
    scene.asked = client.asked
    await until(lambda: _judged(stage.port("oms"), f"probe-{scene.name}"), "risk to know a price", 60)
    await asyncio.gather(*(_reverse(scene, client, account) for account in accounts))
    await scene.moment(0.5)
    killed = stage.signal(victim)
    await until(lambda: stage.is_ready(victim, after=killed), f"{victim} to be back")
    await until(stage.all_ready, "every service to be ready")
    for asked in scene.asked:
        await _done(scene, asked)
    scene.tally["reversals"] = REVERSALS
    evidence = await scene.judged()
    flat = [one for one in evidence.positions if Decimal(one["quantity"])]
    unlike = [one for one in evidence.orders.values() if Decimal(one["filled_quantity"]) != Decimal(QUANTITY)]
    if flat or unlike or len(evidence.orders) != len(scene.asked):
        scene.found.append(Violation("I3", "an order was not executed exactly once", (*flat, *unlike)))


async def _judged(port: int, account: str) -> bool:
    """Whether risk lets an order through: one that began a moment ago has seen no market yet."""
    words: Words = {"account": account, "symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"}
    line = Line(port)
    try:
        return (await line.ask("POST", "/orders", json.dumps(words).encode())).status == 200
    except Unanswered:
        return False
    finally:
        line.close()


async def _reverse(scene: Scene, client: Client, account: str) -> None:
    """Long, stopped out, short within the same moment, and under a stop again."""
    line = Line(scene.stage.port("oms"))
    try:
        await _done(scene, await _ask(scene, client, line, account, "long", "BUY"))
        await _done(scene, await _ask(scene, client, line, account, "stopped", "SELL", stop=True))
        await _done(scene, await _ask(scene, client, line, account, "short", "SELL"))
        await _ask(scene, client, line, account, "covered", "BUY", stop=True)
    finally:
        line.close()


async def _ask(
    scene: Scene, client: Client, line: Line, account: str, name: str, side: str, *, stop: bool = False
) -> Asked:
    words: Words = {"account": account, "client_order_id": name, "symbol": "BTCUSDT", "side": side}
    words |= {"order_type": "MARKET", "quantity": QUANTITY}
    if stop:
        ticker = await get(scene.stage.port("gateway"), "/ticker/BTCUSDT")
        price = Decimal(str(ticker["bid"])) * (1 + AWAY if side == "SELL" else 1 - AWAY)
        words |= {"order_type": "STOP", "stop_price": str(price.quantize(TICK))}
    asked = Asked(account, name, words, digest(words))
    client.asked.append(asked)
    await client.insist(line, asked)
    assert asked.acknowledged, f"{name} was not acknowledged: {asked.denial}"
    return asked


async def _done(scene: Scene, asked: Asked) -> None:
    """Filled: the next step follows at once."""

    async def filled() -> bool:
        try:
            order = await get(scene.stage.port("oms"), f"/orders/{asked.answers[0]['order_id']}")
        except Unanswered:
            return False
        return order["status"] == "FILLED"

    await until(filled, f"{asked.client_order_id} to be filled")


COUNTS: dict[Profile, int] = {"pr": 3, "nightly": 56, "release": 280}
FAULT = Fault("F16", "reversal after a stop, then restart", COUNTS, play, ("oms", "live-gateway"))
