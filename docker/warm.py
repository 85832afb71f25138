"""Import what the services import, and compile the bars: run once while the image is made."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.cli.preload import LATE
from shared.contract.roster import ROSTER

OTHERS = ("shared.kit.questdb_tape", "services.sink_alt.feeds.reading")
"""Imported once a tape is opened; and by the process that reads a page."""

for name in ("shared.kit.run", *LATE, *OTHERS, *(f"services.{entry.package}.service" for entry in ROSTER)):
    importlib.import_module(name)
importlib.import_module("shared.domain.bars").warm()
