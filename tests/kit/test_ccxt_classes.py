"""ccxt's classes, taken one by one, also out of what the image keeps of it."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from shared.kit.ccxt_classes import ccxt_class, ccxt_venues

SLIM = Path(__file__).parents[2] / "docker" / "slim.py"
SOME = """
import sys
from shared.kit.ccxt_classes import ccxt_class, ccxt_venues
for venue in ("okx", "gateeu", "bybitid", "kucoinfutures", "bequant", "binanceusdm"):
    assert ccxt_class("ccxt.pro", venue)().id == venue
assert sys.modules["ccxt"].__path__[0].startswith(sys.argv[1])
print(len(ccxt_venues("ccxt.pro")))
"""


def test_a_venue_is_found_without_being_loaded() -> None:
    assert {"okx", "bybit", "binance"} <= set(ccxt_venues("ccxt.pro"))
    assert ccxt_class("ccxt.pro", "okx")().has["watchTrades"]


def test_what_the_image_keeps_of_ccxt_is_enough_for_every_venue(tmp_path: Path) -> None:
    found = find_spec("ccxt")
    assert found is not None
    assert found.submodule_search_locations
    kept = tmp_path / "ccxt"
    shutil.copytree(found.submodule_search_locations[0], kept, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in runpy.run_path(str(SLIM))["UNUSED"]:
        for path in tmp_path.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert not (kept / "binance.py").exists()
    environment = {"PYTHONPATH": f"{tmp_path}:{SLIM.parents[1]}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SOME, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.stderr, done.stdout) == ("", f"{len(ccxt_venues('ccxt.pro'))}\n")
