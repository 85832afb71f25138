"""Containers are saved while they run, and what was saved comes back in new volumes, as the README says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose.containers import FILES, PROJECT, STAND_INS, Containers
from tests.compose.load import Trader
from tests.compose.test_trading import DONE, books, every_fill, every_order
from tests.journeys.rig import CHECKOUT
from tests.servers import wait_until

pytestmark = pytest.mark.suite

KILL = {"scope": "strategy.saved", "reason": "a test", "actor": "ada"}


def make(containers: Containers, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb of the Makefile, in these containers, with what is installed here."""
    compose = ("docker", "compose", "--env-file", str(STAND_INS / "stand-ins.env"), "-p", PROJECT, *FILES)
    chosen = (f"COMPOSE={' '.join(compose)}", f"BIN={Path(sys.executable).parent}")
    outside = {"DOCKER_CONFIG": str(STAND_INS), "KILL_FOLDER": str(containers.var / "kill")}
    outside |= {"RECORDINGS_FOLDER": str(containers.var / "recordings")}
    command = ["make", "--assume-old=.venv/core.stamp", *arguments, *chosen]
    return subprocess.run(
        command, cwd=CHECKOUT, env={**os.environ, **outside}, capture_output=True, text=True, timeout=600
    )


def test_what_is_saved_of_containers_comes_back_in_new_volumes(containers: Containers, tmp_path: Path) -> None:
    containers.await_ready(60)
    with Trader(str(containers.http.base_url)) as trader:
        wait_until(lambda: len(trader.acknowledged) > 20, "orders to flow")
    containers.call("POST", "/api/risk/kill", json=KILL)
    wait_until(lambda: all(one["status"] in DONE for one in every_order(containers)), "every order to be done", 60)
    seen, fills = books(containers), len(every_fill(containers))
    assert seen["fills"]
    containers.await_count("fills", fills)

    done = make(containers, "backup", f"to={tmp_path / 'saved'}")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert (tmp_path / "saved" / "var" / "live-gateway" / "kills.json").exists()

    containers.down()
    done = make(containers, "restore", f"from={tmp_path / 'saved'}")
    assert done.returncode != 0
    assert "the volume nats is not empty" in done.stderr
    containers.down(forget=True)
    done = make(containers, "restore", f"from={tmp_path / 'saved'}")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    containers.up()
    containers.await_ready(60)
    assert books(containers) == seen
    assert containers.get("/api/sink-ticks/count/fills")["count"] == fills
    assert KILL["scope"] in containers.get("/api/live-gateway/mode")["killed"]
