"""Keeping: the lake's many small files become few large ones, and those that nothing holds any more are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from shared.contract.errors import Unavailable
from shared.contract.tables import LakeTable
from shared.kit.lake import Lake
from shared.kit.meter import Meter


class Keeper:
    """A table that somebody else is at, or that is away, is left as it is until the next time."""

    def __init__(self, lake: Lake, tables: Sequence[LakeTable], old_h: int, meter: Meter, log: FilteringBoundLogger):
        self._lake, self._tables, self._old_h = lake, tables, old_h
        self._meter, self._log = meter, log

    async def keep(self) -> None:
        """Look after each table once."""
        for table in self._tables:
            try:
                files = await self._lake.compact(table)
                deleted = await self._lake.vacuum(table, self._old_h)
            except Unavailable as error:
                self._meter.count("lake_keeping_skipped", table=table.name)
                self._log.warning("lake_keeping_skipped", table=table.name, detail=error.detail)
            else:
                self._log.info("lake_kept", table=table.name, deleted=deleted, **files)
