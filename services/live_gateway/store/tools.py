"""The kit as the paper venue's floor wants it."""

from __future__ import annotations

from collections.abc import Sequence

from shared.contract.market import Frame
from shared.contract.ticks import TickColumns
from shared.contract.venue import VenueOrder
from shared.kit import Kit
from shared.kit.frames import decode_frame


class Tools:
    """`latency_s` is how long a command travels."""

    def __init__(self, kit: Kit, latency_s: float) -> None:
        self.now_ns = kit.clock.now_ns
        self._clock = kit.clock
        self._meter = kit.meter
        self._latency_s = latency_s

    async def travel(self) -> None:
        if self._latency_s:
            await self._clock.sleep(self._latency_s)

    def count(self, changes: Sequence[VenueOrder]) -> None:
        self._meter.count("reports", len(changes))
        if fills := sum(change.report.fill is not None for change in changes):
            self._meter.count("fills", fills)

    def decode(self, frame: Frame) -> TickColumns:
        return decode_frame(frame.payload, frame.venue)
