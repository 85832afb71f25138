"""F19: a kill by each of its three ways, under load, also while NATS or Valkey stand still; it outlives everything."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

from tests.chaos.binance import Dealing
from tests.chaos.client import Client
from tests.chaos.evidence import Killed
from tests.chaos.fault import Fault
from tests.chaos.invariants.kills import last_out_ns
from tests.chaos.line import Line, Unanswered, get
from tests.chaos.mix import Mix
from tests.chaos.scene import Scene
from tests.chaos.waiting import until
from tests.chaos.wire import Wire

ON_PAPER = (
    "by http",
    "by nats",
    "by file",
    "by http, nats frozen",
    "by file, nats frozen",
    "by file, valkey frozen",
    "by nats, valkey frozen",
)
AT_A_VENUE = ("by http, at a venue", "by nats, at a venue", "by file, at a venue")
HANDS = 12
MIX = Mix(far=0.3, cancelled=0.3)
ROUNDS = 2
"""Kills in a loop, all but the last lifted again at once; while a server stands still there is the last one only."""

WITHIN_S = 30.0
PROMISED_NS = 250_000_000
BUSY_NS = 2_500_000_000
"""The promise is kept by a machine that has the time; where others use it too, it is reported, and this holds."""


async def play(scene: Scene, victim: str) -> None:
    way, _, how = victim.removeprefix("by ").partition(", ")
    frozen = how.removesuffix(" frozen") if how.endswith("frozen") else ""
    venue = "binance" if isinstance(scene.stage, Dealing) else "paper"
    scopes = ("firm", f"account.{scene.accounts[0]}", "symbol.BTCUSDT", "strategy.alpha", f"venue.{venue}")
    scope = scene.rng.choice(scopes)
    wire = await Wire.open(scene.stage.port("nats"), scene.stage.known)
    try:
        async with scene.load(hands=HANDS, mix=MIX, venue=venue) as client:
            for _ in range(0 if frozen else ROUNDS - 1):
                await _round(scene, client, wire, way, scene.rng.choice(scopes))
                await scene.flowing(client)
            await scene.moment()
            async with _frozen(scene, frozen):
                await _kill(scene, wire, way, scope, prompt=frozen != "valkey")
            await until(lambda: _stands(scene, scope), "the live gateway to hold the kill", WITHIN_S)
            await _goes_on(client)
            await _crash(scene)
            assert await _stands(scene, scope), f"the kill of {scope} did not outlive the crash"
            await _goes_on(client)
    finally:
        await wire.close()
    evidence = await scene.judged()
    scene.kills = [(victim, last_out_ns(kill, evidence) / 1e6) for kill in scene.killed]
    await _lift(scene, scope)
    scene.tally["kills that held, and were lifted"] = len(scene.killed)


async def _round(scene: Scene, client: Client, wire: Wire, way: str, scope: str) -> None:
    """A kill, and its end."""
    await _kill(scene, wire, way, scope, prompt=True)
    await until(lambda: _stands(scene, scope), "the live gateway to hold the kill", WITHIN_S)
    await _goes_on(client)
    scene.killed[-1] = replace(scene.killed[-1], lifted_ns=time.time_ns())
    await _lift(scene, scope)


@asynccontextmanager
async def _frozen(scene: Scene, server: str) -> AsyncGenerator[None]:
    if not server:
        yield
        return
    scene.stage.signal(server, signal.SIGSTOP)
    try:
        yield
        await scene.moment(1.0)
    finally:
        scene.stage.signal(server, signal.SIGCONT)


async def _kill(scene: Scene, wire: Wire, way: str, scope: str, *, prompt: bool) -> None:
    """Returns once it is acknowledged. `prompt`: nothing keeps the gateway from cancelling at once. That NATS stands
    still does not, since a kill also lies in the store; that the store does may."""
    words = {"scope": scope, "reason": "chaos", "actor": "setter"}
    if way == "file":
        (scene.stage.var / "kill" / scope).write_text("chaos")
    elif way == "nats":
        await wire.store("risk.kill", json.dumps(words).encode())
    else:
        await until(lambda: _asked(scene, "POST", "/kill", json.dumps(words).encode()), "the kill", WITHIN_S)
    within_ns = PROMISED_NS if scene.strict else BUSY_NS
    scene.killed.append(Killed(scope, time.time_ns(), 0, within_ns, within_ns if prompt else 0))


async def _crash(scene: Scene) -> None:
    """Of everything, or of those two that hold the kill."""
    stage = scene.stage
    if scene.rng.random() < 0.4:
        stage.kill_all(scene.rng)
        await stage.up()
        return
    for service, killed in [(service, stage.signal(service)) for service in ("risk", "live-gateway")]:
        await until(partial(stage.is_ready, service, after=killed), f"{service} to be back")
    await until(stage.all_ready, "every service to be ready")


async def _lift(scene: Scene, scope: str) -> None:
    """By another person, of every way it may have been done."""
    with contextlib.suppress(FileNotFoundError):
        (scene.stage.var / "kill" / scope).unlink()

    async def lifted() -> bool:
        # Asked each time: a kill by file may have been lifted before the gateway saw that the file is gone.
        await _asked(scene, "DELETE", f"/kill/{scope}?actor=second")
        return not await _stands(scene, scope)

    await until(lifted, "the kill to be lifted", WITHIN_S)


async def _asked(scene: Scene, method: str, path: str, body: bytes = b"") -> bool:
    """Whether risk did as it was asked, or had nothing to do."""
    line = Line(scene.stage.port("risk"), 2.0)
    try:
        return (await line.ask(method, path, body)).status in (200, 404)
    except Unanswered:
        return False
    finally:
        line.close()


async def _stands(scene: Scene, scope: str) -> bool:
    try:
        return scope in (await get(scene.stage.port("live-gateway"), "/mode"))["killed"]
    except Unanswered:
        return False


async def _goes_on(client: Client) -> None:
    """Orders are asked for as before, whatever the answer."""
    asked = len(client.asked)
    await until(lambda: len(client.asked) > asked + 3 * HANDS, "more orders to be asked for")


FAULT = Fault(
    "F19",
    "the kill switch under load",
    {"pr": 1, "nightly": 8, "release": 45},
    play,
    ON_PAPER + AT_A_VENUE,
    elsewhere=dict.fromkeys(AT_A_VENUE, "dealing"),
)
