"""Consumers: how far a service has come in a stream, kept by the server (durable) or by itself (followed)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.contract.subjects import Stream, Subject
from shared.kit.nats_line import Line
from shared.kit.shard import Shard
from shared.kit.streams import drop_consumer, durables, in_ns, last_sequence, make_consumer

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


def consumer_name(owner: str, subjects: tuple[Subject[Any], ...], into: str = "") -> str:
    """What a consumer goes by: whose it is, what it reads and what that fills, so that permissions can name it."""
    return f"{owner}-{_what(subjects, into)}"


def _what(subjects: tuple[Subject[Any], ...], into: str) -> str:
    words = [s.pattern.replace("{", "").replace("}", "").replace(".", "_") for s in subjects]
    return "-".join([*words, into] if into else words)


async def durable(line: Line, shard: Shard, subjects: tuple[Subject[Any], ...], window: int, into: str = "") -> str:
    """Make or find the consumer whose place the server keeps; its name. Those of another number of copies end."""
    stream = stream_of(subjects)
    before = Before(shard, _what(subjects, into), await durables(line, stream) if shard.by else ())
    start = before.start()
    name = consumer_name(shard.name, subjects, into)
    config = {
        "name": name,
        "durable_name": name,
        "ack_policy": "explicit",
        "ack_wait": in_ns(ACK_WAIT_S),
        "max_ack_pending": window * 2,
        # Nobody reads through it for so long: all that it had not read is gone from the stream as well.
        "inactive_threshold": in_ns(stream.age_max_s),
        **({"deliver_policy": "all"} if start is None else _from(start)),
    }
    await make_consumer(line, stream, config, _filters(stream, subjects))
    for other in before.over():
        await drop_consumer(line, stream, other)
    return name


def _from(sequence: int) -> dict[str, Any]:
    return {"deliver_policy": "by_start_sequence", "opt_start_seq": max(1, sequence)}


class Before:
    """How far a service had come, told by its consumers: those of the same copies, and those of another number of them.

    A new one begins where the slowest of the others had come to; what some of them had done already is done again. Of
    a copy that never came this far nothing is known, so there it begins where the others had begun.
    """

    def __init__(self, shard: Shard, what: str, durables: Iterable[Mapping[str, Any]]) -> None:
        self._shard = shard
        self._known: dict[Shard, Mapping[str, Any]] = {}
        for one in durables:
            other = Shard.named(one["name"].removesuffix(f"-{what}"))
            if one["name"].endswith(f"-{what}") and other.service == shard.service:
                self._known[other] = one

    def start(self) -> int | None:
        """The first message that this copy is to hear; None: the first there is."""
        mine = next((one for other, one in self._known.items() if other.name == self._shard.name), None)
        if mine is not None:
            return mine["config"].get("opt_start_seq")
        counts = Counter(other.count for other in self._known)
        starts: list[int] = []
        for other, one in self._known.items():
            is_over = other.count != self._shard.count and counts[other.count] == other.count
            starts.append(one["ack_floor"]["stream_seq"] + 1 if is_over else one["config"].get("opt_start_seq", 1))
        return min(starts, default=None)

    def over(self) -> list[str]:
        """The consumers of another number of copies: nobody hears through them any more."""
        return [one["name"] for other, one in self._known.items() if other.count != self._shard.count]


async def followed(line: Line, shard: Shard, subjects: tuple[Subject[Any], ...], place: Place, into: str = "") -> str:
    """Make a consumer that begins just after `place`; its name. One that is there of that name is ended."""
    stream = stream_of(subjects)
    if place.last > await last_sequence(line, stream):
        # The stream was lost and made anew, so its numbers began again: follow it from its beginning.
        place.last = 0
    name = consumer_name(shard.name, subjects, into)
    await drop_consumer(line, stream, name)
    config = {
        "name": name,
        "ack_policy": "none",
        **_from(place.last + 1),
        "inactive_threshold": in_ns(30),
        "mem_storage": True,
    }
    return await make_consumer(line, stream, config, _filters(stream, subjects))


def _filters(stream: Stream, subjects: tuple[Subject[Any], ...]) -> list[str]:
    """What of the stream is wanted; nothing in particular where that is all of it.

    To look for one of three patterns costs the server 23 µs a message, and 2 to take the next.
    """
    if len(subjects) > 1 and hears_all(stream, subjects):
        return []
    return [subject.wildcard for subject in subjects]


def hears_all(stream: Stream, subjects: tuple[Subject[Any], ...]) -> bool:
    """Whether these are all that the stream keeps."""
    return {_first(one) for one in stream.subjects} == {_first(one.pattern) for one in subjects}


def _first(pattern: str) -> str:
    return pattern.partition(".")[0]


def stream_of(subjects: tuple[Subject[Any], ...]) -> Stream:
    """The one stream that keeps all of these."""
    stream = subjects[0].stream
    assert stream is not None, f"{subjects[0].pattern} has no stream to be heard from durably"
    assert all(subject.stream is stream for subject in subjects), "one row, one stream"
    return stream
