"""The README's tour, executed to the letter."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from shared.contract.roster import ROSTER
from tests.conftest import IN_CI
from tests.journeys.rig import CHECKOUT, Suite
from tests.servers import is_open, wait_until

pytestmark = pytest.mark.suite

README = (CHECKOUT / "README.md").read_text()
TOUR = re.search(r"<!-- tour -->\n```bash\n(.*?)```\n<!-- /tour -->", README, re.S)


def test_the_tour_runs_to_its_end(tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.fail("the tour wants curl") if IN_CI else pytest.skip("the tour wants curl")
    assert TOUR is not None, "the README has a tour"
    taken = [entry.port for entry in ROSTER if is_open(entry.port)]
    assert not taken, f"the tour is run on the suite's own ports, and {taken} are taken; stop what runs there"
    suite = Suite(tmp_path, offset=0)
    suite.up()
    try:
        suite.await_ready()
        wait_until(lambda: all(t["ask"] for t in suite.get("/api/gateway/tickers")), "the simulated market to quote")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", TOUR[1]], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        wait_until(lambda: suite.get("/api/oms/positions/default"), "the fill to arrive")
        assert suite.get("/api/oms/positions/default")["BTCUSDT"]["quantity"] == "0.01"
        assert suite.get("/api/risk/kill") in ([], {"kills": []})
    finally:
        suite.down()
