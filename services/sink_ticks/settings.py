"""The sink's knobs."""

from __future__ import annotations

from pydantic import Field

from shared.kit import Settings as ServiceSettings


class Settings(ServiceSettings):
    messages_at_once: int = Field(default=64, ge=1, le=512)
    """How many messages are written together. Twice as many wait in memory, each perhaps a frame of some hundred kB."""

    wait_s: float = Field(default=0.2, gt=0, le=10)
    """How long a message may wait for others to be written with."""

    rows_at_once: int = Field(default=100_000, ge=1)
    """The most rows, give or take a frame, in one write to the tape."""

    lake_commit_s: float = Field(default=30, gt=0, le=3600)
    """How often what waits is committed to the lake. Each commit makes files, so that often means many small ones."""

    lake_rows: int = Field(default=500_000, ge=1, le=5_000_000)
    """So many rows are committed to the lake at once; at the most twice as many wait in memory, some 100 B each."""

    lake_keep_s: float = Field(default=3600, gt=0)
    """How often the lake's small files are made into large ones, and old ones deleted."""

    lake_old_h: int = Field(default=24, ge=1)
    """For so many hours after that a file is still there for who reads an earlier version of a table."""
