"""The switchboard: every way in which a kill or a mode comes about, and that it is kept.

A kill holds from the moment it is heard; that it is kept, and that risk hears of it, comes after.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from services.live_gateway.store.switches import FIRM, OWNER, SwitchStore
from shared.contract.errors import Unavailable
from shared.contract.risk import Kill
from shared.contract.venue import Mode, ModeChange, ModeRequest, PanicRequest
from shared.kit import Kit

CHANGES_SHOWN = 100

Work = Callable[[], Awaitable[None]]


class Kills(Protocol):
    def restore(self, kept: Iterable[Kill], keyed: Iterable[Kill], lifted_ns: Mapping[str, int]) -> list[Kill]: ...
    def hear(self, kill: Kill) -> bool: ...
    def may_lift(self, lift: Kill) -> bool: ...
    def lift(self, lift: Kill) -> None: ...
    def look(self, files: Mapping[str, tuple[str, str]], now_ns: int) -> bool: ...
    def doubtful(self, now_ns: int) -> bool: ...
    @property
    def standstills(self) -> int: ...
    def made_up(self, standstills: int) -> None: ...
    def untold(self, now_ns: int) -> list[Kill]: ...
    @property
    def told(self) -> list[Kill]: ...
    @property
    def scopes(self) -> dict[str, str]: ...


class Modes(Protocol):
    def restore(self, modes: Mapping[str, Mode]) -> dict[str, str]: ...
    def all(self) -> dict[str, Mode]: ...
    def check(self, wanted: ModeRequest) -> dict[str, Mode]: ...
    def set(self, modes: Mapping[str, Mode]) -> None: ...


class Switchboard:
    """`stop` has every working order in a killed scope cancelled; `start` begins what nobody waits for."""

    def __init__(
        self, store: SwitchStore, kills: Kills, modes: Modes, kit: Kit, start: Callable[[Work], None], stop: Work
    ) -> None:
        self._store = store
        self._kills = kills
        self._modes = modes
        self._clock = kit.clock
        self._bus = kit.bus
        self._start = start
        self._stop = stop
        self._unsaid: list[Kill] = []
        self._fallen: list[ModeChange] = []
        self._changes: deque[ModeChange] = deque(maxlen=CHANGES_SHOWN)
        self._in_turn = asyncio.Lock()
        self._making_up: asyncio.Task[None] | None = None
        self._panics = 0
        self._begins = True

    async def recover(self) -> None:
        """What was killed stays killed. Kills that never reached risk are said again."""
        self._begins = True
        self._store.prepare()
        self._kills.look(self._store.lying(), self._clock.monotonic_ns())
        keyed, lifted = await self._store.keyed(), await self._store.lifted()
        self._unsaid = self._kills.restore(self._store.told(), keyed, lifted)
        self._store.keep_told(self._kills.told)
        await self._recover_modes()
        if self._store.open:
            await self.tell()

    async def _recover_modes(self) -> None:
        """A mode that could not be armed any more was changed by nobody but us, which is on record like any other."""
        before = await self._store.modes(self._modes.all())
        self._fallen.clear()
        self._changes = deque(await self._store.changes(CHANGES_SHOWN), CHANGES_SHOWN)
        for venue, why in self._modes.restore(before).items():
            fallen = self._changed({venue: Mode.SHADOW}, OWNER, why, before)
            self._fallen += fallen
            self._changes.extend(fallen)

    def look(self) -> None:
        """Into the kill folder: what lies there holds at once, and is kept like what was told."""
        self._look()
        if self._making_up is None and self._kills.doubtful(self._clock.monotonic_ns()):
            self._start(self._make_up_if_it_can_be)

    def _look(self) -> None:
        if self._kills.look(self._store.lying(), self._clock.monotonic_ns()):
            self._start(self._stop)
        for kill in self._kills.untold(self._clock.now_ns()):
            self._unsaid.append(kill)
            self._kill(kill)

    async def make_up(self) -> None:
        """Return once every kill is known that was told while this process stood still, if it did."""
        while self._kills.doubtful(self._clock.monotonic_ns()):
            if self._making_up is None:
                self._making_up = asyncio.create_task(self._hear_up())
                self._making_up.add_done_callback(self._made_up)
            await asyncio.shield(self._making_up)  # all that wait for it share one

    async def _hear_up(self) -> None:
        self._look()
        standstills = self._kills.standstills
        await self._bus.heard_up()
        await self.look_up()  # if the connection was lost too, the bus may bring what risk holds only later
        self._kills.made_up(standstills)

    def _made_up(self, task: asyncio.Task[None]) -> None:
        self._making_up = None
        if not task.cancelled():
            task.exception()  # whoever waited has it

    async def _make_up_if_it_can_be(self) -> None:
        with contextlib.suppress(Unavailable):  # the next look tries again
            await self.make_up()

    async def tell(self) -> None:
        """Risk and the oms of what was found in the folder, and everybody of modes that fell; what cannot be said now
        is said the next time."""
        kills, fallen = list(self._unsaid), list(self._fallen)
        if kills or fallen:
            await self._store.keep(fallen, kills)
            self._unsaid = [kill for kill in self._unsaid if kill not in kills]
            self._fallen = [change for change in self._fallen if change not in fallen]

    async def look_up(self) -> None:
        """What risk has committed, also while the bus brings nothing. At the start, what was killed before that."""
        for kill in await self._store.keyed():
            self._kill(kill)
        if self._begins:
            self._begins = False
            self._start(self._stop)

    async def hear(self, kill: Kill) -> None:
        """A kill, or risk's word that one is lifted; a scope that risk still holds to be killed stays so."""
        if kill.active:
            self._kill(kill)
        elif not await self._store.stands(kill.scope) and self._kills.may_lift(kill):
            # Asked in this order: it is heard live and durably, and what was looked up is old news by now.
            self._kills.lift(kill)
            self._store.keep_told(self._kills.told)

    async def panic(self, body: PanicRequest | None = None) -> dict[str, Any]:
        """Kill the firm, cancel everything, and let nothing out anywhere until the modes are set anew."""
        body = body or PanicRequest()
        kill = Kill(scope=FIRM, reason=body.reason, actor=body.actor, at_ns=self._clock.now_ns())
        self._kill(kill)
        self._panics += 1
        changes = self._changed(dict.fromkeys(self._modes.all(), Mode.SHADOW), body.actor, body.reason)
        self._modes.set({change.venue: change.mode for change in changes})
        await self._store.keep(changes, [kill])
        self._changes.extend(changes)
        return await self.mode()

    async def mode(self) -> dict[str, Any]:
        """Every venue's mode, what is killed, and the latest changes of modes, newest first."""
        return {"modes": self._modes.all(), "killed": self._kills.scopes, "changes": list(reversed(self._changes))}

    async def set_mode(self, body: ModeRequest) -> dict[str, Any]:
        """In force once it is on disk, unless a panic came meanwhile."""
        async with self._in_turn:
            changes = self._changed(self._modes.check(body), body.actor)
            panics = self._panics
            await self._store.keep(changes)
            self._changes.extend(changes)
            if panics == self._panics:
                self._modes.set({change.venue: change.mode for change in changes})
        return await self.mode()

    def _changed(
        self, modes: Mapping[str, Mode], actor: str, reason: str = "", before: Mapping[str, Mode] | None = None
    ) -> list[ModeChange]:
        """These on record, also those that were so already."""
        before, at_ns = before or self._modes.all(), self._clock.now_ns()
        return [
            ModeChange(venue=venue, before=before[venue], mode=mode, actor=actor, reason=reason, at_ns=at_ns)
            for venue, mode in modes.items()
        ]

    def _kill(self, kill: Kill) -> None:
        if self._kills.hear(kill):
            self._start(self._stop)
            self._store.keep_told(self._kills.told)
