"""One symbol's book, kept equal to the venue's: a whole book, then every change in the venue's order, or none at all.

The rule is the same for every venue that numbers its books' states: a change that leads up to a state we have had is
old, one that begins at a state we have had brings ours up to its end, any other shows that something is missing. Then
the book waits for a whole one while newer changes are kept. Where states are not numbered, a whole book comes in line
with the changes, and a checksum proves what it can.
"""

from __future__ import annotations

from collections import deque

from services.gateway.core.levels import Levels
from shared.contract.feeds import BookChange, BookWhole, Checksum

OLD_MAX = 1000


class Synchroniser:
    """`waiting` for a whole book, or equal to the venue's as of `last`.

    What it returns is why it is not to be trusted any more. It may wait again without a why: when the whole book had
    been made before the first change we heard of, nothing is missing but a newer one.
    """

    def __init__(self, levels: Levels, checksum: Checksum | None, pending_max: int) -> None:
        self.levels = levels
        self.waiting = True
        self.last: int | None = None
        self.event_ns: int | None = None
        self.overflowed = 0
        self._checksum = checksum
        self._pending: deque[BookChange] = deque(maxlen=pending_max)
        self._old = 0
        self._joined = False

    @property
    def unproven(self) -> bool:
        """Nothing in the changes themselves would show that one is missing."""
        return self.last is None and self._checksum is None

    def begin(self) -> None:
        """Wait for a whole book; what has come so far counts for nothing."""
        self.waiting = True
        self._pending.clear()

    def change(self, change: BookChange) -> str:
        """Take a change in, in its place."""
        if self.waiting:
            self._keep(change)
            return ""
        last = change.last
        if last is not None and change.previous is not None and self.last is not None:
            if last <= self.last:
                return self._count_old(change)
            if change.previous > self.last and not self._joined:
                return self._lose(change, "")
            if change.previous > self.last:
                return self._lose(change, f"changes {self.last + 1} to {change.previous} of the book are missing")
        self._old, self._joined = 0, True
        self.levels.change(change.bids, change.asks)
        self.last, self.event_ns = last, change.event_ns
        return self._proven(change.checksum)

    def whole(self, book: BookWhole) -> str:
        """Begin from this book, unless it is older than the changes kept; then it goes on waiting."""
        if book.last is not None and not self.waiting:
            return ""
        pending = list(self._pending)
        if book.last is not None and pending and (pending[0].previous or 0) > book.last:
            return ""
        self.waiting, self._old, self._joined = False, 0, bool(pending)
        self._pending.clear()
        self.levels.replace(book.bids, book.asks)
        self.last, self.event_ns = book.last, book.event_ns
        why = self._proven(book.checksum)
        for change in pending:
            why = self.change(change) or why
        return why

    def settle(self) -> str:
        """Put the changes in their places."""
        try:
            self.levels.settle()
        except ValueError as error:
            return self._lose(None, f"the book cannot be read: {error}")
        return ""

    def lose(self, why: str) -> str:
        """It is not to be trusted any more."""
        return self._lose(None, why)

    def _proven(self, checksum: int | None) -> str:
        if checksum is None or self._checksum is None:
            return ""
        if why := self.settle():
            return why
        if self._checksum.of(*self.levels.depth(self._checksum.levels)) != checksum:
            return self._lose(None, "the book's checksum does not match")
        return ""

    def _count_old(self, change: BookChange) -> str:
        """A few are told twice or late; nothing but old ones means that the venue has begun to count anew."""
        self._old, self._joined = self._old + 1, True
        return self._lose(change, "the book's states are numbered anew") if self._old > OLD_MAX else ""

    def _lose(self, change: BookChange | None, why: str) -> str:
        self.begin()
        if change is not None:
            self._keep(change)
        return why

    def _keep(self, change: BookChange) -> None:
        if change.last is not None:
            # The oldest gives way: then a whole book comes before what is kept, or it is asked for again.
            self.overflowed += len(self._pending) == self._pending.maxlen
            self._pending.append(change)
