"""Trading on a recorded market, over containers: the tests are those of the journey. Last, since others count fills."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.compose.containers import Containers
from tests.journeys.test_recording import *  # noqa: F403
from tests.journeys.test_recording import FILE, play


@pytest.fixture(scope="module")
def recording(containers: Containers, recorded: Path) -> Path:
    """The recording, as the gateway's container finds it."""
    name = Path(FILE).name
    shutil.copy(recorded / FILE, containers.var / "recordings" / name)
    return Path("/recordings") / name


@pytest.fixture(scope="module")
def suite(containers: Containers, recording: Path) -> Containers:
    """The containers with the recording playing."""
    play(containers, recording)
    return containers
