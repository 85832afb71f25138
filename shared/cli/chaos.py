"""The chaos harness of a checkout, started from the command line: it stands among the tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.cli.trouble import Trouble

CHECKOUT = Path(__file__).resolve().parents[2]


def play(
    profile: str,
    seed: int | None,
    faults: Sequence[str],
    loops: int | None,
    only: int | None = None,
    *,
    checkout: Path = CHECKOUT,
) -> int:
    """Run it to its end, its output on ours; its exit code."""
    if not (checkout / "tests" / "chaos" / "__main__.py").is_file():
        raise Trouble(
            f"the chaos harness is not in {checkout}: it comes with the project's checkout, among its tests; "
            "get one and use `make chaos` there"
        )
    words = ["--profile", profile]
    words += [] if seed is None else ["--seed", str(seed)]
    words += ["--faults", *faults] if faults else []
    words += [] if loops is None else ["--loops", str(loops)]
    words += [] if only is None else ["--only", str(only)]
    return subprocess.run([sys.executable, "-m", "tests.chaos", *words], cwd=checkout, check=False).returncode
