"""Simulate many seeds: `python -m tests.simulation --seeds 1000 --from 0`, or look at one with --trace."""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import sys
import time
from collections import Counter

HASH_SEED = "0"


def main() -> int:
    """0: nothing was violated; with a plant, 0: it was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first one (0)")
    parser.add_argument("--trace", action="store_true", help="print every delivery, commit and answer")
    parser.add_argument("--failures", type=int, default=10, help="end after so many seeds that failed (10)")
    parser.add_argument("--late", action="store_true", help="let commits be made after their sender gave them up, too")
    parser.add_argument("--plant", help="put this bug in, and see whether it is found (tests/simulation/plants.py)")
    words = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        # The order of a set of strings must be the same when a seed is repeated.
        arguments = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, arguments, {**os.environ, "PYTHONHASHSEED": HASH_SEED})
    gc.freeze()
    seeds = range(words.first, words.first + words.seeds)
    return _search(seeds, words.plant) if words.plant else _simulate(seeds, words)


def _simulate(seeds: range, words: argparse.Namespace) -> int:
    from tests.simulation.run import simulate

    totals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    did: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failed: list[int] = []
    digest = hashlib.sha256()
    began_s, cpu_s = time.monotonic(), time.process_time()
    for seed in seeds:
        outcome = simulate(seed, trace=words.trace, late=words.late)
        digest.update(outcome.digest.encode())
        faults += outcome.faults
        did += outcome.did
        refused += outcome.refused
        totals.update(seeds=1, orders=outcome.orders, fills=outcome.fills, commits=outcome.commits, steps=outcome.steps)
        if outcome.violations:
            failed.append(seed)
            _tell(f"seed {seed}: {len(outcome.violations)} violations")
            for violation in outcome.violations[:5]:
                _tell(f"  {violation[:600]}")
            if len(failed) >= words.failures:
                break
        if totals["seeds"] % 50 == 0:
            gc.collect()
    seconds, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
    count = totals["seeds"]
    _tell(f"seeds run: {count} in {seconds:.1f} s ({cpu_s / count * 1e3:.1f} ms of CPU each)")
    _tell(f"acknowledged orders: {totals['orders']}, fills: {totals['fills']}, commits: {totals['commits']}")
    _tell(f"load: {_listed(did)}")
    _tell(f"refused: {_listed(refused)}")
    _tell(f"faults injected: {_listed(faults)}")
    _tell(f"log: {totals['steps']} steps, sha256 {digest.hexdigest()}")
    _tell(f"violations: {len(failed)} seeds")
    _tell(f"repeat one: python -m tests.simulation --seeds 1 --from {failed[0] if failed else seeds[0]} --trace")
    return 1 if failed else 0


def _search(seeds: range, name: str) -> int:
    """Whether a plant shows: as a violation that is not there without it."""
    from tests.simulation.plants import PLANTS
    from tests.simulation.run import simulate

    code, plant = PLANTS[name]
    for seed in seeds:
        found = [one for one in simulate(seed, plant=plant).violations if one.split(" ", 1)[1].startswith(code)]
        if found and not any(code in violation for violation in simulate(seed).violations):
            _tell(f"found by seed {seed}: {found[0][:600]}")
            return 0
    _tell(f"{len(seeds)} seeds, and nobody noticed {name}")
    return 1


def _listed(counts: Counter[str]) -> str:
    return f"{sum(counts.values())} ({', '.join(f'{name} {count}' for name, count in sorted(counts.items()))})"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
