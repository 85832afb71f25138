"""One suite of containers for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from shared.contract.roster import NATS_PORT, ROSTER, VALKEY_PORT
from tests.compose.containers import PROJECT, STAND_INS, Containers, docker
from tests.conftest import IN_CI
from tests.servers import is_open


def _trouble() -> str | None:
    """Why containers cannot be tested here."""
    if not (STAND_INS / "stand-ins.env").exists():
        return "no stand-ins for the images; run tests/compose/prepare.sh"
    try:
        docker("info")
    except (AssertionError, OSError, subprocess.TimeoutExpired):
        return "no Docker engine answers; tests/compose/prepare.sh starts one"
    return None


@pytest.fixture(scope="session")
def engine() -> None:
    """An engine, and the images. Without: the test is skipped, but in CI it fails."""
    if reason := _trouble():
        pytest.fail(reason) if IN_CI else pytest.skip(reason)


@pytest.fixture(scope="package")
def containers(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The whole suite, up and healthy; `seconds` says how long that took."""
    suite = Containers(tmp_path_factory.mktemp("outside"))
    suite.down(forget=True)
    taken = [port for port in (NATS_PORT, VALKEY_PORT, *(entry.port for entry in ROSTER)) if is_open(port)]
    assert not taken, f"the containers want the suite's own ports, and {taken} are taken; stop what runs there"
    try:
        suite.compose("build")
        suite.make_lanes()
        suite.lanes = {name: docker("network", "inspect", "-f", "{{.Id}}", name) for name in lanes()}
        start = time.monotonic()
        suite.up()
        suite.seconds = time.monotonic() - start
        yield suite
    except BaseException:
        sys.stdout.write(suite.logs()[-20_000:])
        raise
    finally:
        suite.down(forget=True)
        suite.http.close()


def lanes() -> list[str]:
    """The lanes that are there."""
    chosen = ("network", "ls", "--filter", f"label=com.docker.compose.project={PROJECT}", "--format", "{{.Name}}")
    return sorted(docker(*chosen).split())
