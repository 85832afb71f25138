"""Every replay of this process: begun, shown, cancelled, and at most one at a time for a market."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from services.gateway.feeds.formats.recording import open_recording
from services.gateway.feeds.formats.rows import Choice, Market
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.replay import Limits, Replay
from services.gateway.feeds.requests import ReplayRequest, ReplayState, ReplayStatus
from shared.contract.base import rfc3339
from shared.contract.errors import Conflict, NotFound, Refused, Unavailable
from shared.kit import Bus, Clock

_WHYS = {
    ReplayState.DONE: "replay ended",
    ReplayState.FAILED: "replay failed",
    ReplayState.CANCELLED: "replay cancelled",
}


@dataclass
class Running:
    """A replay, and how it stands."""

    replay: Replay
    started_ns: int
    task: asyncio.Task[None] | None = None
    state: ReplayState = ReplayState.RUNNING
    ended_ns: int | None = None
    error: str | None = None


class Replays:
    """Begun replays by id, the newest last. `taken` says who provides a market already, "" when nobody does."""

    def __init__(
        self,
        limits: Limits,
        kept: int,
        taken: Callable[[str, str], str],
        *,
        outlet: Outlet,
        bus: Bus,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._limits = limits
        self._kept = kept
        self._taken = taken
        self._outlet = outlet
        self._bus = bus
        self._clock = clock
        self._log = log
        self._all: dict[str, Running] = {}
        self._claims: dict[Market, str] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """The symbols that replays provide just now, at whatever venue."""
        return frozenset(symbol for _, symbol in self._claims)

    def holder(self, venue: str, symbol: str) -> str:
        """The replay that provides a market just now, "" when none does."""
        return self._claims.get((venue, symbol), "")

    async def begin(self, request: ReplayRequest) -> ReplayStatus:
        """Start a replay; Refused when the file cannot be, Conflict when one of its markets is being replayed."""
        choice = Choice(request.venue, request.symbol, request.date)
        recording = await asyncio.to_thread(open_recording, request.path, request.format, choice)
        id = self._fresh_id(recording.path.name)
        try:
            for market in recording.markets.known:
                self._claim(market, id)
        except Refused:
            self._release(id)
            recording.close()
            raise
        replay = Replay(
            id,
            request,
            recording,
            self._limits,
            outlet=self._outlet,
            bus=self._bus,
            clock=self._clock,
            claim=lambda market: self._claim(market, id),
        )
        running = self._all[id] = Running(replay, self._clock.now_ns())
        running.task = asyncio.create_task(self._run(running))
        self._forget()
        return self._status(running)

    def list(self) -> list[ReplayStatus]:
        return [self._status(running) for running in self._all.values()]

    def show(self, id: str) -> ReplayStatus:
        return self._status(self._find(id))

    async def cancel(self, id: str) -> ReplayStatus:
        """Stop a replay; one that has ended stays as it is."""
        running = self._find(id)
        await self._stop(running)
        return self._status(running)

    async def close(self) -> None:
        """Stop them all."""
        await asyncio.gather(*(self._stop(running) for running in self._all.values()))

    async def _stop(self, running: Running) -> None:
        if running.task is not None and running.state is ReplayState.RUNNING:
            running.task.cancel()
            await asyncio.wait({running.task})
            if running.state is ReplayState.RUNNING:
                # Cancelled before it had begun, so that nothing of it has run.
                await self._end(running, ReplayState.CANCELLED)

    async def _run(self, running: Running) -> None:
        state = ReplayState.FAILED
        try:
            await running.replay.play()
            state = ReplayState.DONE
        except asyncio.CancelledError:
            state = ReplayState.CANCELLED
        except Refused as error:
            running.error = error.detail
        except Unavailable as error:
            running.error = f"the bus stayed away: {error.detail}"
        except Exception:
            running.error = "an error on our side; the log has it"
            self._log.exception("replay_failed", replay=running.replay.id)
        await self._end(running, state)

    async def _end(self, running: Running, state: ReplayState) -> None:
        replay = running.replay
        try:
            await replay.end(_WHYS[state])
        except Unavailable as error:
            self._log.warning("replay_end_not_said", replay=replay.id, detail=error.detail)
        finally:
            self._release(replay.id)
            running.state, running.ended_ns = state, self._clock.now_ns()
        self._log.info("replay_ended", replay=replay.id, state=state, error=running.error)

    def _claim(self, market: Market, id: str) -> None:
        venue, symbol = market
        if taker := self._taken(venue, symbol):
            raise Conflict("VENUE_RESERVED", f"venue: {venue} is {taker}; give another venue", field="venue")
        holder = self._claims.setdefault(market, id)
        if holder != id:
            detail = f"symbol: {symbol} at {venue} is being replayed; wait for it, or DELETE /replays/{holder}"
            raise Conflict("REPLAY_RUNNING", detail, field="symbol")

    def _release(self, id: str) -> None:
        self._claims = {market: holder for market, holder in self._claims.items() if holder != id}

    def _fresh_id(self, name: str) -> str:
        stem = re.sub(r"[^A-Za-z0-9]+", "-", name.partition(".")[0]).strip("-")[:32] or "replay"
        at_ns = self._clock.now_ns()
        while (id := f"{stem}-{at_ns:x}") in self._all:
            at_ns += 1
        return id

    def _forget(self) -> None:
        ended = [id for id, running in self._all.items() if running.state is not ReplayState.RUNNING]
        for id in ended[: max(0, len(ended) - self._kept)]:
            del self._all[id]

    def _find(self, id: str) -> Running:
        if id not in self._all:
            raise NotFound(f"there is no replay {id[:64]}; GET /replays lists those that are known", field="id")
        return self._all[id]

    def _status(self, running: Running) -> ReplayStatus:
        replay, progress = running.replay, running.replay.progress
        account = progress.account
        return ReplayStatus(
            id=replay.id,
            state=running.state,
            path=replay.request.path,
            format=replay.recording.format,
            speed=replay.request.speed,
            markets=tuple(f"{venue}:{symbol}" for venue, symbol in replay.recording.markets.known[:1000]),
            read=progress.read,
            total=progress.total,
            lines=account.lines,
            used_ticks=account.used_ticks,
            used_quotes=account.used_quotes,
            further=account.further,
            other=account.other,
            bad=account.bad,
            bad_lines=tuple(account.bad_lines),
            ticks_said=progress.ticks_said,
            quotes_said=progress.quotes_said,
            frames_said=progress.frames_said,
            conflated=replay.conflated,
            waiting=progress.waiting,
            started_at=rfc3339(running.started_ns),
            ended_at=None if running.ended_ns is None else rfc3339(running.ended_ns),
            error=running.error,
        )
