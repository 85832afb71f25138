"""The plan follows from its seed, and a violation says how to have it again."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import main
from tests.chaos.evidence import Violation
from tests.chaos.faults import FAULTS
from tests.chaos.invariants.bounds import Recovery
from tests.chaos.plan import SEPARATELY_MAX, acts, plan
from tests.chaos.report import summary
from tests.chaos.run import Played


def test_the_same_seed_gives_the_same_plan() -> None:
    assert plan(FAULTS.values(), "pr", 7) == plan(FAULTS.values(), "pr", 7)
    assert plan(FAULTS.values(), "pr", 7) != plan(FAULTS.values(), "pr", 8)


def test_a_loop_is_the_same_whatever_else_is_played() -> None:
    together = {loop.name: loop for loop in plan(FAULTS.values(), "pr", 7)}
    for fault in FAULTS.values():
        assert all(together[loop.name] == loop for loop in plan([fault], "pr", 7))


def test_every_victim_is_struck_in_every_profile() -> None:
    for profile in ("pr", "nightly", "release"):
        loops = plan(FAULTS.values(), profile, 1)
        assert len({loop.name for loop in loops}) == len(loops)
        for fault in FAULTS.values():
            assert {loop.victim for loop in loops if loop.fault is fault} == set(fault.victims)


def test_a_suite_is_shared_by_loops_of_one_stage_only_and_not_for_ever() -> None:
    loops = plan(FAULTS.values(), "nightly", 1)
    made = acts(loops)
    assert [loop for act in made for loop in act] == loops
    assert all(len(act) <= SEPARATELY_MAX and len({loop.stage for loop in act}) == 1 for act in made)


def test_the_summary_counts_what_was_played() -> None:
    loop = plan([FAULTS["F1"]], "pr", 7)[0]
    times = [Recovery("F1", "oms", n / 100, 3.0) for n in range(1, 101)]
    played = [Played(loop, acknowledged=1000, recoveries=times), Played(None, found=[Violation("I1", "lost")])]
    told = summary(played, seed=7, profile="pr", seconds=12.3).splitlines()
    assert told[1].split()[-7:] == ["1,000", "0", "0", "0.51", "s", "1.00", "s"]
    assert told[-1] == "1 loops, 1,000 acknowledged orders checked, 1 violations; seed 7, profile pr, 12 s"


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["--faults", "F99"])
