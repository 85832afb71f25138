"""The store: one for all services, each life with a line of its own to it.

What was sent is carried out whether or not its sender lives to see it, in the order in which it was sent, unless
another life of the same service has put up its fence by then. A commit may be made without an answer, in part, late, or
not at all; in each case its sender hears only that nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, TypeVar

from shared.contract.errors import Unavailable
from shared.kit.fakes import FakeValkey
from shared.kit.valkey import Change
from tests.simulation.loop import Life
from tests.simulation.world import World

T = TypeVar("T")

NOBODY = Context()
"""The context of what happens in the world itself, whoever asked for it."""

Committed = Callable[[str, Change], None]


def at_once(asked: Coroutine[Any, Any, T]) -> T:
    """What a coroutine that never waits returns."""
    try:
        asked.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the twin of the store waits for nothing")


class Store:
    """What is kept, and who must know of every commit."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.twin = FakeValkey()
        self.away_until_s = 0.0
        self.commits = 0
        self.fences: dict[str, int] = {}
        self.committed: list[Committed] = []
        self.lost: Callable[[Life], None] = lambda life: None
        self.struck: Callable[[Life], None] = lambda life: None

    @property
    def away(self) -> bool:
        return self.world.now_s < self.away_until_s

    def make(self, life: Life, changes: Sequence[Change]) -> list[bool]:
        """Carry changes out, each wholly, and tell of each."""
        made: list[bool] = []
        for change in changes:
            [held] = at_once(self.twin.execute([change]))
            made.append(held)
            self.commits += 1
            self.world.note("commit" if held else "not-committed", life, change.commands)
            if held:
                for tell in self.committed:
                    tell(life.name, change)
        return made


class Line:
    """One life's way to the store; `Valkey` in the kit's words."""

    def __init__(self, store: Store, life: Life) -> None:
        self._store = store
        self._world = store.world
        self._life = life
        self._last_s = 0.0
        self._fence = 0

    async def fence(self, owner: str) -> None:
        """From when this arrives, nothing that was sent before it by any life of that name is carried out."""
        await self._world.loop.sleep(self._world.hop_s())
        self._present("read_lost")
        self._fence = self._store.fences[owner] = self._store.fences.get(owner, 0) + 1
        await self._world.loop.sleep(self._world.hop_s())

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Every way of reading is the twin's own, after and before some time on the way."""
        read = getattr(self._store.twin, name)

        async def asked(*words: Any, **named: Any) -> Any:
            loop = self._world.loop
            answer: asyncio.Future[Any] = loop.create_future()
            loop.call_later(self._world.hop_s(), self._read, answer, read, words, named, context=NOBODY)
            return await answer

        setattr(self, name, asked)
        return asked

    def _read(self, answer: asyncio.Future[Any], read: Any, words: tuple[Any, ...], named: dict[str, Any]) -> None:
        try:
            self._present("read_lost")
        except Unavailable as error:
            if not answer.done():
                answer.set_exception(error)
            return
        found = at_once(read(*words, **named))
        self._world.loop.call_later(self._world.hop_s(), _found, answer, found, context=NOBODY)

    def _present(self, fault: str) -> None:
        if self._store.away:
            raise Unavailable("the store is away")
        if self._world.fate(fault):
            raise Unavailable("the store did not answer")

    async def ping(self) -> str | None:
        return "away" if self._store.away else None

    async def execute(self, changes: Sequence[Change]) -> list[bool]:
        """Send all of it, wait for the answer."""
        world, loop = self._world, self._world.loop
        answer: asyncio.Future[list[bool]] = loop.create_future()
        answer.add_done_callback(_retrieved)
        at_s = max(self._last_s, loop.time() + world.hop_s())
        self._last_s = at_s
        loop.call_at(at_s, self._arrived, list(changes), answer, self._fence, context=NOBODY)
        return await answer

    def _arrived(self, changes: list[Change], answer: asyncio.Future[list[bool]], fence: int) -> None:
        world, store = self._world, self._store
        if store.away or self._shut_out(fence):
            self._answer(answer, None)
            return
        if world.fate("commit_unknown"):
            store.make(self._life, changes[: world.rng.randint(0, len(changes))])
            self._answer(answer, None)
            return
        if world.fate("commit_late"):
            world.loop.call_later(world.rng.uniform(0.0, 2.0), self._late, changes, fence, context=NOBODY)
            self._answer(answer, None)
            return
        made = store.make(self._life, changes)
        if not self._life.ended and world.fate("crash_at_commit"):
            store.struck(self._life)
        self._answer(answer, made)

    def _late(self, changes: list[Change], fence: int) -> None:
        if not self._shut_out(fence):
            self._store.make(self._life, changes)

    def _shut_out(self, fence: int) -> bool:
        return fence != self._store.fences.get(self._life.name, 0)

    def _answer(self, answer: asyncio.Future[list[bool]], made: list[bool] | None) -> None:
        self._world.loop.call_later(self._world.hop_s(), self._told, answer, made, context=NOBODY)

    def _told(self, answer: asyncio.Future[list[bool]], made: list[bool] | None) -> None:
        if answer.done():
            return
        if made is not None:
            answer.set_result(made)
            return
        answer.set_exception(Unavailable("the store went away"))
        self._store.lost(self._life)


def _found(answer: asyncio.Future[Any], found: Any) -> None:
    if not answer.done():
        answer.set_result(found)


def _retrieved(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
