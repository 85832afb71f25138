"""Ears: what every way of hearing needs: to read a message, to acknowledge it, to set aside what cannot be read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from structlog.typing import FilteringBoundLogger

from shared.contract.base import Message
from shared.contract.subjects import Subject
from shared.kit.bus import NatsBus
from shared.kit.clock import Clock
from shared.kit.meter import Meter
from shared.kit.nats_wire import Incoming
from shared.kit.shard import Shard

ACKNOWLEDGED = b"+ACK"

Gate = Callable[[], Awaitable[None]]
"""Raises Unavailable while the service may not handle anything."""


@dataclass(frozen=True)
class Ears:
    """One service's."""

    shard: Shard
    bus: NatsBus
    gate: Gate
    clock: Clock
    meter: Meter
    log: FilteringBoundLogger

    def reply(self, message: Incoming, words: bytes) -> None:
        """Acknowledge or hand back. When it gets lost, the message is heard again."""
        self.bus.line.acknowledge(message.reply, words)

    async def in_place(self) -> None:
        """Unavailable while copies in another number may do this work: their consumers are not to be ended."""
        if self.shard.by:
            await self.gate()

    async def set_aside(self, message: Incoming, error: Exception) -> None:
        """Park what cannot be read; where several copies hear it, one of them does."""
        if self.shard.owns(message.address):
            await self.bus.park_raw(message.address, message.data, error, message.sequence)

    def read(self, subject: Subject[Any], message: Incoming) -> Message | ValueError:
        """The message's words, or why they are none."""
        try:
            return subject.decode(message.data, message.address)
        except ValueError as error:
            return error


def hand_back(delay_s: float) -> bytes:
    """The words that have a message come again after so long."""
    return b"-NAK " + orjson.dumps({"delay": int(delay_s * 1e9)})
