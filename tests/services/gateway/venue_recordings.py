"""What venues said over their websockets and by REST, out of the recordings."""

from __future__ import annotations

import gzip
from pathlib import Path


def said(recorded: Path, venue: str) -> list[tuple[int, bytes]]:
    """Every message of a venue's websocket, each with the time at which it came."""
    found: list[tuple[int, bytes]] = []
    with gzip.open(recorded / "venue_ws" / f"{venue}.ws.txt.gz", "rb") as lines:
        for line in lines:
            time, colon, message = line.rstrip(b"\n").partition(b": ")
            if colon and time.replace(b".", b"").isdigit():
                found.append((round(float(time) * 1e6) * 1000, message))
    return found


def listing(recorded: Path, venue: str) -> bytes:
    """The answer that lists its symbols."""
    with gzip.open(recorded / "venue_ws" / f"{venue}.http.txt.gz", "rb") as lines:
        return next(lines).partition(b" -> ")[2].partition(b": ")[2]
