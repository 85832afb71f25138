"""The switchboard: every way in which a kill or a mode comes about, and that it is kept.

A kill holds from the moment it is heard; that it is kept, and that risk hears of it, comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from services.live_gateway.store.switches import FIRM, SwitchStore
from shared.contract.risk import Kill
from shared.contract.venue import Mode, ModeRequest, PanicRequest
from shared.kit import Clock


class Kills(Protocol):
    def restore(self, kept: Iterable[Kill], keyed: Iterable[Kill], lifted_ns: Mapping[str, int]) -> list[Kill]: ...
    def hear(self, kill: Kill) -> bool: ...
    def may_lift(self, lift: Kill) -> bool: ...
    def lift(self, lift: Kill) -> None: ...
    def look(self, files: Mapping[str, str]) -> bool: ...
    @property
    def told(self) -> list[Kill]: ...
    @property
    def scopes(self) -> dict[str, str]: ...


class Modes(Protocol):
    def restore(self, modes: Mapping[str, Mode]) -> None: ...
    def all(self) -> dict[str, Mode]: ...
    def check(self, wanted: ModeRequest) -> dict[str, Mode]: ...
    def set(self, modes: Mapping[str, Mode]) -> None: ...


class Switchboard:
    """`stop` has every working order in a killed scope cancelled."""

    def __init__(self, store: SwitchStore, kills: Kills, modes: Modes, clock: Clock, stop: Callable[[], None]) -> None:
        self._store = store
        self._kills = kills
        self._modes = modes
        self._clock = clock
        self._stop = stop

    async def recover(self) -> None:
        """What was killed stays killed. Kills that never reached risk are said again."""
        self._store.prepare()
        self._kills.look(self._store.lying())
        unknown = self._kills.restore(self._store.told(), await self._store.keyed(), await self._store.lifted())
        self._store.keep_told(self._kills.told)
        self._modes.restore(await self._store.modes(self._modes.all()))
        if unknown:
            await self._store.keep({}, unknown)

    def look(self) -> None:
        """Into the kill folder."""
        if self._kills.look(self._store.lying()):
            self._stop()

    async def look_up(self) -> None:
        """What risk has committed, whether we have heard of it or not."""
        for kill in await self._store.keyed():
            self._kill(kill)

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
        modes = dict.fromkeys(self._modes.all(), Mode.SHADOW)
        self._modes.set(modes)
        await self._store.keep(modes, [kill])
        return await self.mode()

    async def mode(self) -> dict[str, Any]:
        return {"modes": self._modes.all(), "killed": self._kills.scopes}

    async def set_mode(self, body: ModeRequest) -> dict[str, Any]:
        """In force once it is on disk."""
        modes = self._modes.check(body)
        await self._store.keep(modes)
        self._modes.set(modes)
        return await self.mode()

    def _kill(self, kill: Kill) -> None:
        if self._kills.hear(kill):
            self._stop()
            self._store.keep_told(self._kills.told)
