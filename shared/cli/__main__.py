"""`python -m shared.cli` is `trade2026`."""

from __future__ import annotations

from shared.cli.main import app

app(prog_name="trade2026")
