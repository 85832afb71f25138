"""The suite as containers: brought up, looked into, broken and ended as its user would, under a name of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.journeys.rig import CHECKOUT, Suite

STAND_INS = Path.home() / ".cache" / "trade2026" / "compose"
"""Where prepare.sh leaves Compose, and the names of the images that it made."""

PROJECT = "trade2026-test"
FILES = ("-f", "docker-compose.core.yml", "-f", "docker-compose.apps.yml")
RUN_ONCE = {"volumes"}
BACK_MAX_S = 180


def docker(*arguments: str, check: bool = True, **environment: str) -> str:
    """What the engine's client prints."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "DOCKER_CONFIG": str(STAND_INS), **environment},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}: {done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Containers(Suite):
    """`var` holds what lies outside of the containers: the folder of kills."""

    offset: int = field(default=0)
    seconds: float = 0
    """How long it took to come up."""

    lanes: dict[str, str] = field(default_factory=dict[str, str])
    """The lanes that were made before it came up, and the engine's name of each."""

    def compose(self, *arguments: str, check: bool = True) -> str:
        """`docker compose` with these arguments."""
        outside = {"KILL_FOLDER": str(self.var / "kill"), "RECORDINGS_FOLDER": str(self.var / "recordings")}
        chosen = ("--env-file", str(STAND_INS / "stand-ins.env"), "-p", PROJECT)
        return docker("compose", *chosen, *FILES, *arguments, check=check, **outside, **self.environment)

    def make_lanes(self) -> None:
        """As `make networks` does."""
        words = self.compose("config", "--format", "json")
        environment = {**os.environ, "DOCKER_CONFIG": str(STAND_INS)}
        program = ["python3", "docker/networks.py"]
        subprocess.run(program, cwd=CHECKOUT, input=words, env=environment, text=True, check=True, timeout=60)

    def up(self) -> None:
        for name in ("kill", "recordings"):
            (self.var / name).mkdir(exist_ok=True)
            (self.var / name).chmod(0o755)
        self.compose("up", "--detach", "--wait", "--wait-timeout", "180")

    def up_beside(self, profile: str, name: str) -> None:
        """What is only there when it is asked for."""
        self.compose("--profile", profile, "up", "--detach", "--wait", "--wait-timeout", "180", name)

    def down(self, *, forget: bool = False) -> None:
        self.compose("--profile", "*", "down", *(["--volumes"] if forget else []), check=not forget)

    def names(self) -> list[str]:
        """Every container that keeps running."""
        return sorted(set(self.compose("config", "--services").split()) - RUN_ONCE)

    def inspect(self, name: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        return json.loads(docker("inspect", f"{PROJECT}-{name}-1"))[0]

    def is_healthy(self, name: str) -> bool:
        state = self.inspect(name)["State"]
        return state["Running"] and state["Health"]["Status"] == "healthy"

    def crash(self, name: str) -> None:
        """Kill what runs in a container, and wait until the engine has brought it back and it is healthy."""
        before, start = self.inspect(name), time.time()
        os.kill(before["State"]["Pid"], signal.SIGKILL)
        asked = f"docker events --since {start} --until {start + BACK_MAX_S} --format {{{{.Action}}}}"
        asked += f" --filter event=health_status --filter container={PROJECT}-{name}-1"
        with subprocess.Popen(asked.split(), stdout=subprocess.PIPE, text=True) as events:
            assert events.stdout is not None
            back = "health_status: healthy\n" in events.stdout
            events.kill()
        assert back, f"{name} is not back after {BACK_MAX_S} s"
        assert self.inspect(name)["RestartCount"] > before["RestartCount"]

    def python(self, name: str, program: str, words: Any = None) -> Any:
        """What a program prints that runs in a container, both as JSON."""
        return json.loads(self.compose("exec", "-T", name, "python3", "-c", program, json.dumps(words)))

    def logs(self) -> str:
        return self.compose("logs", "--tail", "60", check=False)
