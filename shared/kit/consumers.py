"""Consumers: how far a service has come in a stream, kept by the server (durable) or by itself (followed)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

from shared.contract.subjects import Stream, Subject
from shared.kit.nats_line import Line
from shared.kit.nats_wire import Incoming
from shared.kit.streams import in_ns, last_sequence, make_consumer

ACK_WAIT_S = 3.0
"""A message in hand is said to be every second; one that fell silent comes again after this."""


@dataclass
class Place:
    """How far a followed stream has been handled."""

    last: int = 0

    def advance(self, sequence: int) -> bool:
        """True for a message that was not handled yet; the place moves behind it."""
        new = sequence > self.last
        self.last = max(self.last, sequence)
        return new


async def durable(line: Line, service: str, subjects: tuple[Subject[Any], ...], window: int) -> str:
    """Make or find the consumer whose place the server keeps; its name."""
    what = "-".join(s.pattern.replace("{", "").replace("}", "").replace(".", "_") for s in subjects)
    config = {
        "name": f"{service}-{what}",
        "durable_name": f"{service}-{what}",
        "ack_policy": "explicit",
        "ack_wait": in_ns(ACK_WAIT_S),
        "max_ack_pending": window * 2,
        "deliver_policy": "all",
        "filter_subjects": [s.wildcard for s in subjects],
    }
    return await make_consumer(line, stream_of(subjects), config)


async def ephemeral(line: Line, subjects: tuple[Subject[Any], ...], place: Place) -> str:
    """Make a consumer that begins just after `place`; its name."""
    stream = stream_of(subjects)
    if place.last > await last_sequence(line, stream):
        # The stream was lost and made anew, so its numbers began again: follow it from its beginning.
        place.last = 0
    config = {
        "ack_policy": "none",
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": place.last + 1,
        "filter_subjects": [s.wildcard for s in subjects],
        "inactive_threshold": in_ns(30),
        "mem_storage": True,
    }
    return await make_consumer(line, stream, config)


def stream_of(subjects: tuple[Subject[Any], ...]) -> Stream:
    """The one stream that keeps all of these."""
    stream = subjects[0].stream
    assert stream is not None, f"{subjects[0].pattern} has no stream to be heard from durably"
    assert all(subject.stream is stream for subject in subjects), "one row, one stream"
    return stream


async def gather(waiting: asyncio.Queue[Incoming], count_max: int, wait_s: float) -> list[Incoming]:
    """The next message and those behind it, until `count_max` or until `wait_s` has passed."""
    messages = [await waiting.get()]
    loop = asyncio.get_running_loop()
    until = loop.time() + wait_s
    while len(messages) < count_max:
        if not waiting.empty():
            messages.append(waiting.get_nowait())
            continue
        left = until - loop.time()
        if left <= 0:
            break
        with contextlib.suppress(TimeoutError):
            messages.append(await asyncio.wait_for(waiting.get(), left))
    return messages
