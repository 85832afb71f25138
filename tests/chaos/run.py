"""A run: every loop of a plan played and judged, and at the end of each suite's life all of its accounts once more."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.chaos.client import Client
from tests.chaos.evidence import Asked, Sweep, Violation
from tests.chaos.invariants.bounds import Recovery, i12_what_is_used_is_bounded
from tests.chaos.line import Line
from tests.chaos.mix import Asking, Mix
from tests.chaos.plan import Loop, acts
from tests.chaos.scene import Scene
from tests.chaos.stage import Stage
from tests.chaos.stages import STAGES, NotPlayed, Unattended

Say = Callable[[str], None]
LOOP_S = 240.0


@dataclass
class Played:
    """What came of one loop. `loop` is None for the look at everything at the end of a suite's life; `skipped`: this
    machine does not allow it."""

    loop: Loop | None
    skipped: bool = False
    acknowledged: int = 0
    asked: int = 0
    seconds: float = 0.0
    recoveries: list[Recovery] = field(default_factory=list)
    found: list[Violation] = field(default_factory=list)
    tally: dict[str, int] = field(default_factory=dict)
    kills: list[tuple[str, float]] = field(default_factory=list)
    """In which way each was done, and after how many ms the last order was out."""


@dataclass
class Journal:
    """What the clients of one suite noted, all loops together."""

    asked: list[Asked] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)


async def run(
    loops: Sequence[Loop], say: Say, again: Callable[[Loop | None], str], *, strict: bool = False
) -> list[Played]:
    """Play them all; after a violation the suite is replaced, because nothing on it can be trusted any more."""
    played: list[Played] = []
    waiting = acts(list(loops))
    while waiting:
        act = waiting.pop(0)
        try:
            done = await _act(act, say, again, strict=strict)
        except NotPlayed as reason:
            say(f"{act[0].fault.id:<4} not played: {reason}")
            played += [Played(loop, skipped=True) for loop in act]
            continue
        except (AssertionError, OSError) as error:
            what = f"the suite could not be set up: {error}"
            say(what)
            done = [Played(act[0], found=[Violation("I13", what)])]
        played += done
        if left := act[sum(one.loop is not None for one in done) :]:
            waiting.insert(0, left)
    return played


async def _act(act: list[Loop], say: Say, again: Callable[[Loop | None], str], *, strict: bool) -> list[Played]:
    played: list[Played] = []
    journal = Journal()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder:
        async with STAGES[act[0].stage](Path(folder)) as stage:
            for loop in act:
                one = await _play(stage, loop, journal, strict=strict)
                played.append(one)
                say(_line(one))
                if one.found:
                    _tell(one, stage, say, again)
                    return played
            if isinstance(stage, Unattended):
                return played
            last = await _look_at_all(stage, journal)
            played.append(last)
            if last.found:
                _tell(last, stage, say, again)
    return played


async def _play(stage: Stage, loop: Loop, journal: Journal, *, strict: bool) -> Played:
    scene = Scene(stage, loop.fault.id, loop.name, loop.seed, Random(loop.seed), strict)
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(LOOP_S):
            await loop.fault.play(scene, loop.victim)
    except (AssertionError, TimeoutError) as error:
        scene.found.append(Violation("I13", f"it never came to an end: {error!r}"))
    except Exception:
        scene.found.append(Violation("-", f"the harness itself failed:\n{traceback.format_exc()}"))
    stage.sample()
    journal.asked += scene.asked
    journal.sweeps += scene.sweeps
    return Played(
        loop,
        acknowledged=sum(one.acknowledged for one in scene.asked),
        asked=len(scene.asked),
        seconds=time.monotonic() - began_s,
        recoveries=scene.recoveries,
        found=scene.found,
        tally=scene.tally,
        kills=scene.kills,
    )


async def _look_at_all(stage: Stage, journal: Journal) -> Played:
    """Every account of the suite, with the tape: what was right after its loop is right still.

    Every order is cancelled first, so that none fills while the records are read one after the other.
    """
    client = Client(stage.port("oms"), Asking((), (), Mix()), "all", hands=0)
    line = Line(stage.port("oms"))
    try:
        await client.sweep(line, {})
    finally:
        line.close()
    sweeps = [*journal.sweeps, *client.sweeps]
    scene = Scene(stage, "all", "", "", Random(0), asked=journal.asked, sweeps=sweeps)
    await scene.judged(tape=True)
    return Played(None, found=scene.found + i12_what_is_used_is_bounded(stage.samples))


def _line(one: Played) -> str:
    assert one.loop is not None
    loop = one.loop
    recovered = " ".join(f"{recovery.seconds:.2f} s" for recovery in one.recoveries)
    return (
        f"{loop.fault.id:<4} {loop.number:>4} {loop.victim:<32} {one.acknowledged:>5} acknowledged of {one.asked:>5}"
        f"  recovered {recovered or '-':<8} in all {one.seconds:5.1f} s  {'VIOLATED' if one.found else 'ok'}"
    )


def _tell(one: Played, stage: Stage, say: Say, again: Callable[[Loop | None], str]) -> None:
    for violation in one.found:
        say(violation.told())
    lines = stage.suite.run("logs", "-n", "300", check=False).stdout.splitlines()
    # In the order in which they were first said; what is said again and again is said once.
    for said in dict.fromkeys(filter(None, map(_complaint, lines))):
        say(f"  {said[:500]}")
    say(f"  to repeat: {again(one.loop)}")


def _complaint(line: str) -> str:
    """A warning or an error of a service, with the last line of its trace; nothing for anything else."""
    service, _, words = line.partition(" ")
    try:
        entry: dict[str, object] = json.loads(words)
    except ValueError:
        return ""
    if entry.get("level") not in ("error", "warning"):
        return ""
    trace = str(entry.get("exception", "")).splitlines()
    said = [service, entry.get("event"), entry.get("path"), entry.get("subject"), entry.get("detail"), *trace[-3:]]
    return " ".join(str(word).strip() for word in said if word)
