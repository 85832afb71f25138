"""Reach: how far a hearer has come in its stream, what of it is unread, and what was gone before it was heard."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from shared.contract.subjects import Stream
from shared.kit.clock import Clock
from shared.kit.consumers import hears_all
from shared.kit.meter import Meter
from shared.kit.nats_line import Line
from shared.kit.service import Batch, Follow
from shared.kit.streams import consumers, state_of

LOOKS_EVERY_S = 2.0
SHARE_MAX = 0.5
"""Of what its stream can keep: whoever has more than that unread is in trouble before anything is lost."""
HOLES_MAX = 10_000


class Book:
    """Which numbers of a stream have not been heard. Those that the stream has dropped meanwhile are lost."""

    def __init__(self) -> None:
        self.next: int | None = None
        self.lost = 0
        self._holes: list[tuple[int, int]] = []
        self._settled = 0

    def begin(self, floor: int, delivered: int, pending: int) -> None:
        """All up to `floor` is done with, and of what was delivered beyond it all but `pending`."""
        self.next = delivered + 1
        self._holes = [(floor + 1, delivered + 1)] if pending else []
        self._settled = delivered - floor - pending if pending else 0

    def forget(self) -> None:
        """Whatever comes next is the first; what was lost stays lost."""
        self.next, self._holes = None, []

    def heard(self, sequence: int) -> None:
        """This one came, perhaps not for the first time."""
        if self.next is None or sequence == self.next:
            self.next = sequence + 1
        elif sequence > self.next:
            self._holes.append((self.next, sequence))
            self.next = sequence + 1
            if len(self._holes) > HOLES_MAX:
                self._lose(self._holes.pop(0))
        elif (at := self._hole_with(sequence)) is not None:
            lowest, beyond = self._holes[at]
            parts = ((lowest, sequence), (sequence + 1, beyond))
            self._holes[at : at + 1] = [part for part in parts if part[0] < part[1]]

    def missed(self, sequences: Iterable[int]) -> None:
        """These came and were handed back: they are as if they had not come."""
        for one in sequences:
            if self._hole_with(one) is None:
                insort(self._holes, (one, one + 1))

    def gone(self, first: int) -> None:
        """The stream begins with this number now."""
        for lowest, beyond in self._holes:
            if lowest < first:
                self._lose((lowest, min(beyond, first)))
        self._holes = [(max(lowest, first), beyond) for lowest, beyond in self._holes if beyond > first]
        if self.next is not None and first > self.next:
            self._lose((self.next, first))
            self.next = first

    def _hole_with(self, sequence: int) -> int | None:
        """Which of the holes, which lie in order, this number is in."""
        at = bisect_right(self._holes, sequence, key=itemgetter(0)) - 1
        return at if at >= 0 and sequence < self._holes[at][1] else None

    def _lose(self, hole: tuple[int, int]) -> None:
        count = hole[1] - hole[0]
        # Of what an earlier life was delivered, so many it had finished, though it is not known which.
        settled = min(count, self._settled)
        self._settled -= settled
        self.lost += count - settled


class Reach:
    """One durable or followed row's. `name` is its consumer's.

    What was lost is known of who hears all that its stream keeps; to others, numbers that are passed over mean nothing.
    """

    def __init__(self, name: str, stream: Stream, row: Batch | Follow, meter: Meter) -> None:
        self.name = name
        self.stream = stream
        self.unread = 0
        self.share = 0.0
        self._book = Book()
        self._after = row.after if isinstance(row, Follow) else None
        self._meter = meter
        self._hears_all = hears_all(stream, row.subjects)
        self._told = 0
        meter.count("messages_lost", 0, hearer=name)

    async def begin_durable(self, line: Line) -> None:
        """Where the server has this consumer, the first time that it is opened."""
        if self._book.next is None:
            self._book.begin(*_place(await consumers(line, self.stream), self.name))

    def begin_followed(self, last: int) -> None:
        """Where a follower goes on; the stream may have begun anew."""
        if not last:
            self._book.forget()
        elif self._book.next is None:
            self._book.begin(last, last, 0)

    def heard(self, sequence: int) -> None:
        """This one came."""
        if self._hears_all:
            self._book.heard(sequence)

    def missed(self, sequences: Iterable[int]) -> None:
        """These came and were handed back."""
        if self._hears_all:
            self._book.missed(sequences)

    def trouble(self) -> str | None:
        """Why something of the stream may be lost soon, or None."""
        if self.share < SHARE_MAX:
            return None
        then = "the oldest goes" if self.stream.discard == "old" else "nobody can say anything more on it"
        return f"{self.name} has not read {self.share:.0%} of what {self.stream.name} can keep; then {then}"

    async def look(self, line: Line, clock: Clock) -> None:
        """See what the server says, and tell of it."""
        state = await state_of(line, self.stream)
        mine = next((one for one in await consumers(line, self.stream) if one["name"] == self.name), None)
        if mine is None:
            return
        self.unread = mine["num_pending"] + mine["num_ack_pending"]
        if self._after is not None and self._hears_all:
            # What a follower holds in memory would have to come again.
            self.unread = max(0, min(state["messages"], state["last_seq"] - self._after()))
        # What others hear fills the stream as well, so that it counts in how near the unread are to its end.
        beyond = state["last_seq"] - mine["delivered"]["stream_seq"] if mine["num_pending"] else 0
        self.share = _share(state, self.stream, max(self.unread, beyond), clock.now_ns())
        if self._hears_all:
            self._book.gone(state["first_seq"])
        self._meter.gauge("unread", self.unread, hearer=self.name)
        self._meter.gauge("unread_share", round(self.share, 4), hearer=self.name)
        self._meter.count("messages_lost", self._book.lost - self._told, hearer=self.name)
        self._told = self._book.lost


def _place(known: list[dict[str, Any]], name: str) -> tuple[int, int, int]:
    mine = next((one for one in known if one["name"] == name), None)
    if mine is None:
        return 0, 0, 0
    return mine["ack_floor"]["stream_seq"], mine["delivered"]["stream_seq"], mine["num_ack_pending"]


def _share(state: dict[str, Any], stream: Stream, unread: int, now_ns: int) -> float:
    """What is unread, as a part of the bytes or of the time that the stream keeps, whichever is more."""
    if not state["messages"] or not unread:
        return 0.0
    oldest = datetime.fromisoformat(state["first_ts"]).astimezone(UTC).timestamp()
    kept = max(state["bytes"] / stream.bytes_max, (now_ns / 1e9 - oldest) / stream.age_max_s)
    return min(1.0, unread / state["messages"] * kept)
