"""Journal: remember before saying.

A transaction holds what changes and what is to be said of it. `commit` returns once all of it is on disk, after which
the outbox is published, in order, with a stable id, and struck off once the stream has it. Concurrent commits are
written in one pipeline, so that they share one fsync, in the order in which they were decided.

A transaction may state what it expects to find; when something else is there, `commit` says so and nothing is written.

When the outcome of a write is unknown, the journal is *broken*: every commit in line fails, and nothing is committed
until the service has recalled its state anew and called `mend`. So a service may decide in memory, ahead of the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.contract import keys
from shared.contract.errors import Unavailable
from shared.kit.bus import Outgoing
from shared.kit.outbox import Parcel, parcels
from shared.kit.shard import Shard
from shared.kit.transaction import Transaction
from shared.kit.valkey import Change, Command, Valkey

Publish = Callable[[Sequence[Outgoing]], Awaitable[list[Outgoing]]]
"""Into their streams, in order; those that may not have arrived come back."""

PUBLISH_AT_ONCE_MAX = 256
STRIKE_OFF_AFTER_S = 0.05
WRITE_EVERY_S = 0.001
"""A commit is written at once; with more on its heels, what gathers within this is written together.

Under load that takes a tenth off what an order costs all services together: each write is one fsync."""
SAY_EVERY_S = 0.001
"""What is committed leaves at once; with more on its heels, what gathers within this leaves together.

Ten messages published together cost 21 µs each, one by itself 86."""
UNSAID_MAX = 10_000
"""With more than this in the outbox the service takes nothing new on; what is in hand may still add to it."""


@dataclass(frozen=True, slots=True)
class _InLine:
    """A commit that waits to be written, and what it says once it is."""

    change: Change
    parcels: list[Parcel]
    made: asyncio.Future[bool]


class Journal:
    """The one way in which a service's state changes."""

    def __init__(self, owner: str, valkey: Valkey, publish: Publish, shard: Shard | None = None) -> None:
        self._owner = owner
        self._shard = shard or Shard(owner)
        self._valkey = valkey
        self._publish = publish
        self._waiting: list[_InLine] = []
        self._writer: asyncio.Task[None] | None = None
        self._next_write_s = 0.0
        self._outbox: asyncio.Queue[Parcel] = asyncio.Queue()
        self._unsaid: dict[tuple[str, str], Parcel] = {}
        self._sayer: asyncio.Task[None] | None = None
        self._said: list[Parcel] = []
        self._broken: str | None = None
        self.refused = 0

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop that this journal lives on; to ask which one is running takes a system call."""
        return asyncio.get_running_loop()

    def transaction(self) -> Transaction:
        return Transaction(self._owner)

    @property
    def broken(self) -> str | None:
        """Why the state must be recalled before anything is committed again, or None."""
        return self._broken

    @property
    def trouble(self) -> str | None:
        """Why nothing new should be taken on just now, or None."""
        if len(self._unsaid) > UNSAID_MAX:
            return f"{len(self._unsaid)} commits wait for the streams to take their messages"
        return self._broken

    @property
    def unsaid(self) -> int:
        """How many commits have words that have not reached their stream yet."""
        return len(self._unsaid)

    async def commit(self, transaction: Transaction) -> bool:
        """True: on disk. False: an expectation did not hold, and nothing changed. Unavailable: unknown; the service
        will be recovered."""
        if self._broken:
            self.refused += 1
            raise Unavailable(self._broken)
        change, said = transaction.sealed()
        line = _InLine(change, said, self._loop.create_future())
        self._waiting.append(line)
        self._start_writer()
        return await line.made

    def doubt(self, why: str) -> Unavailable:
        """What was decided rests on what was not committed: nothing more is, until the service has been recovered."""
        self._break(why, [])
        return Unavailable(why)

    async def recover(self, recovers: Callable[[], Awaitable[None]], address: Callable[[], str] | None = None) -> None:
        """Have the service recall its state, and see that nobody has changed it since: what is decided before commits
        may begin again is in memory alone, and what is built upon it later must not be written. Unavailable: once more.
        """
        await self.recall(address)
        refused = self.refused
        await recovers()
        if self.refused != refused:
            raise Unavailable("something was decided while the state was being recalled; it is recalled again")

    async def recall(self, address: Callable[[], str] | None = None) -> None:
        """Take up what was committed and not yet said; called before the service recovers.

        From here on nothing that an earlier life still had under way can be written. One of several copies lets the
        others know its `address`.
        """
        await self._valkey.fence(self._shard.name)
        if address is not None and self._shard.count > 1:
            await self._valkey.execute([Change([("SET", keys.shard(self._shard.name), address())])])
        self._hand_out(await parcels(self._valkey, self._shard))

    def mend(self) -> None:
        """The state was recalled: commits may begin again."""
        self._broken = None
        if self._said:
            self._start_writer()

    async def close(self) -> None:
        """Publish what is left, for two seconds at most; the rest is said at the next start."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.said(), 2)
        if self._sayer is not None:
            self._sayer.cancel()
            await asyncio.gather(self._sayer, return_exceptions=True)
        if self._said and not self._broken:
            self._start_writer()
        if self._writer is not None:
            await self._writer

    async def said(self) -> None:
        """Return once everything committed has been said and struck off."""
        await self._outbox.join()

    # Writing.

    def _start_writer(self) -> None:
        if self._writer is None and not self._broken:
            self._writer = self._loop.create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._waiting or self._said:
                if (wait_s := self._next_write_s - self._loop.time()) > 0:
                    await asyncio.sleep(wait_s)
                self._next_write_s = self._loop.time() + WRITE_EVERY_S
                line, self._waiting = self._waiting, []
                said, self._said = self._said, []
                try:
                    changes = [one.change for one in line] + [Change(_struck_off(said))] * bool(said)
                    made = await self._valkey.execute(changes)
                except Unavailable as error:
                    self._said = said + self._said  # to be struck off once the journal is mended
                    self._break(f"the last write's outcome is unknown: {error.detail}", line)
                    return
                for one, held in zip(line, made, strict=False):
                    self._hand_out(one.parcels if held else [])
                    if not one.made.done():  # whoever waited may be gone; what was committed is said all the same
                        one.made.set_result(held)
        finally:
            self._writer = None

    def _break(self, why: str, line: list[_InLine]) -> None:
        self._broken = why
        line, self._waiting = line + self._waiting, []
        for one in line:
            if not one.made.done():
                one.made.set_exception(Unavailable(self._broken))
                one.made.exception()  # whoever waited may be gone; the error is told by `trouble`

    # Saying.

    def _hand_out(self, some: list[Parcel]) -> None:
        for one in some:
            if (one.key, one.id) not in self._unsaid:
                self._unsaid[one.key, one.id] = one
                self._outbox.put_nowait(one)
        if self._sayer is None and self._unsaid:
            self._sayer = self._loop.create_task(self._say_all())

    async def _say_all(self) -> None:
        loop = self._loop
        next_s = 0.0
        while True:
            some = [await self._outbox.get()]
            if (wait_s := next_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            next_s = loop.time() + SAY_EVERY_S
            while not self._outbox.empty() and len(some) < PUBLISH_AT_ONCE_MAX:
                some.append(self._outbox.get_nowait())
            left: Sequence[Outgoing] = [letter for parcel in some for letter in parcel.letters]
            while left := await self._publish(left):
                await asyncio.sleep(0.1)
            self._strike_off(some)
            for _ in some:
                self._outbox.task_done()

    def _strike_off(self, said: list[Parcel]) -> None:
        """What was said rides along with the next write, or one of its own a moment later.

        Nobody waits for it: an entry that outlives a crash is said again under the id that its stream knows.
        """
        for one in said:
            del self._unsaid[one.key, one.id]
        self._said.extend(said)
        if len(self._said) == len(said):
            self._loop.call_later(STRIKE_OFF_AFTER_S, self._start_writer)


def _struck_off(said: list[Parcel]) -> list[Command]:
    by_key: dict[str, list[str]] = {}
    for one in said:
        by_key.setdefault(one.key, []).append(one.id)
    return [("HDEL", key, *ids) for key, ids in by_key.items()]
