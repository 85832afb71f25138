"""Which commit this code is."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from shared.kit.settings import HOME

QUICK_S = 2.0


def commit_of(given: str, home: Path = HOME) -> str:
    """What git calls this checkout, as `make build` asks it; `given` where there is none, or no git to ask."""
    if not (home / ".git").exists():  # or git would speak of whatever this lies in
        return given
    command = ["git", "-C", str(home), "describe", "--always", "--dirty"]
    try:
        asked = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=QUICK_S,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
        return asked.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return given
