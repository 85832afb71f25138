"""The trading core under seeds: nothing is violated, a seed is a seed, and what is planted is found."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.run import simulate

CHECKOUT = Path(__file__).resolve().parents[2]
SEEDS = 900
LATE = 100
FOUND_WITHIN = 600


def program(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.simulation", *words]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=900)


def test_no_seed_violates_anything() -> None:
    half = SEEDS // 2
    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(lambda first: program("--seeds", str(half), "--from", str(first)), (0, half)):
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_nor_does_one_in_which_commits_are_made_after_their_sender_gave_them_up() -> None:
    done = program("--seeds", str(LATE), "--from", str(SEEDS), "--late")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_a_seed_leads_to_the_same_log_in_every_process() -> None:
    logs = [
        [line for line in program("--seeds", "25").stdout.splitlines() if line.startswith("log:")] for _ in range(2)
    ]
    assert logs[0]
    assert logs[0] == logs[1]


def test_a_seed_does_not_depend_on_those_before_it() -> None:
    upwards = {seed: simulate(seed).digest for seed in range(12)}
    downwards = {seed: simulate(seed).digest for seed in reversed(range(12))}
    assert upwards == downwards
    assert len(set(upwards.values())) == len(upwards)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found(name: str) -> None:
    done = program("--plant", name, "--seeds", str(FOUND_WITHIN))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
