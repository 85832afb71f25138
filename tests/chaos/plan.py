"""The plan of a run: every loop, its fault, its victim and its own seed, all of it from one number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from tests.chaos.fault import Fault, Profile

SEPARATELY_MAX = 80
"""So many loops are played on one suite before it is replaced by a fresh one."""


@dataclass(frozen=True)
class Loop:
    """`number` counts the loops of one fault in the order of the plan."""

    fault: Fault
    victim: str
    number: int
    seed: str

    @property
    def stage(self) -> str:
        """The kind of suite that it is played on."""
        return self.fault.stage_of(self.victim)

    @property
    def name(self) -> str:
        """What its accounts are named after."""
        return f"{self.fault.id.lower()}n{self.number}"


def plan(faults: Iterable[Fault], profile: Profile, seed: int, loops: int | None = None) -> list[Loop]:
    """All loops, those of one stage together and mixed; the same seed gives the same plan, whatever else is in it."""
    made: list[Loop] = []
    for fault in faults:
        victims = [victim for victim in fault.victims for _ in range(fault.loops[profile])]
        Random(f"{seed}/{fault.id}").shuffle(victims)
        for number, victim in enumerate(victims[:loops]):
            made.append(Loop(fault, victim, number, f"{seed}/{fault.id}/{number}"))
    Random(f"{seed}").shuffle(made)
    return sorted(made, key=lambda loop: loop.stage)


def acts(loops: list[Loop]) -> list[list[Loop]]:
    """The loops that share a suite, in order."""
    made: list[list[Loop]] = []
    for loop in loops:
        if not made or made[-1][0].stage != loop.stage or len(made[-1]) >= SEPARATELY_MAX:
            made.append([])
        made[-1].append(loop)
    return made
