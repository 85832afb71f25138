"""`python -m tests.chaos`: play a plan of faults and print what came of it; 0 when no invariant was violated."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from functools import partial
from random import SystemRandom

from tests.chaos.fault import Profile
from tests.chaos.faults import FAULTS
from tests.chaos.plan import Loop, plan
from tests.chaos.report import summary
from tests.chaos.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Play; 0: no violation, 1: at least one."""
    given = _read(arguments)
    faults = [FAULTS[id] for id in given.faults]
    loops = plan(faults, given.profile, given.seed, given.loops)
    if given.only is not None:
        loops = [loop for loop in loops if loop.number == given.only]
    _say(f"{len(loops)} loops of {', '.join(given.faults)}; profile {given.profile}, seed {given.seed}")
    began_s = time.monotonic()
    strict = given.profile != "pr"
    again = partial(_again, given.profile, given.seed, given.faults)
    played = asyncio.run(run(loops, _say, again, strict=strict))
    _say(summary(played, seed=given.seed, profile=given.profile, seconds=time.monotonic() - began_s))
    _say(f"to repeat: {again(None)}{f' --loops {given.loops}' if given.loops else ''}")
    return 1 if any(one.found for one in played) else 0


def _read(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    profiles: tuple[Profile, ...] = ("pr", "nightly", "release")
    parser.add_argument("--profile", choices=profiles, default="pr", help="how many loops of each fault")
    parser.add_argument("--seed", type=int, default=None, help="everything follows from it; drawn when left out")
    parser.add_argument("--faults", nargs="+", choices=sorted(FAULTS), default=list(FAULTS), metavar="F")
    parser.add_argument("--loops", type=int, help="at most so many of each fault")
    parser.add_argument("--only", type=int, help="of each fault only the loop of this number")
    given = parser.parse_args(arguments)
    given.seed = SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    return given


def _again(profile: str, seed: int, faults: Sequence[str], loop: Loop | None) -> str:
    command = f"python -m tests.chaos --profile {profile} --seed {seed} --faults"
    return f"{command} {loop.fault.id} --only {loop.number}" if loop else f"{command} {' '.join(faults)}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
