"""The normalizer, joined to the world.

It follows the ticks' stream from its own checkpoint, so that after a crash it folds the same ticks into the same bars.
A delivery is folded once, at once; its bars are then kept and said, again and again until the stream has them. Only
then is the next delivery taken, and only then may a checkpoint be saved.
"""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import Any

from services.normalizer import core
from services.normalizer.settings import Settings
from services.normalizer.store import KEEPS, BarStore, Checkpoints
from shared.contract.subjects import BAR, FRAME, TICK
from shared.domain.bars import BarFold, SaidBar, warm
from shared.domain.bars.parts import Checkpoint
from shared.kit import Heard, Kit, Service, each, follow, get
from shared.kit.frames import decode_frame

NS = 1_000_000_000
DELIVERY = 64
"""Messages at a time; twice as many, each perhaps a frame of some hundred kB, wait in memory."""


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the normalizer, and everything it can say."""
    store = BarStore(kit.valkey, kit.journal, settings.bars_kept)
    maker = BarMaker(store, Checkpoints(kit.valkey, kit.journal, kit.shard), kit, settings)
    return Service(
        hears=(follow((TICK, FRAME), maker.take, after=lambda: maker.sequence, count_max=DELIVERY),),
        says=(BAR,),
        keeps=KEEPS,
        serves=(get("/bars/{venue}/{symbol}/{interval}", store.show),),
        every=(each(1.0, maker.close_due), each(settings.checkpoint_every_s, maker.save)),
        recovers=maker.recover,
        closes=maker.close,
        stats=maker.stats,
    )


class BarMaker:
    def __init__(self, store: BarStore, checkpoints: Checkpoints, kit: Kit, settings: Settings) -> None:
        self._store, self._checkpoints = store, checkpoints
        self._share = core.Share(kit.shard.owns if kit.shard.count > 1 else None)
        self._kit, self._settings = kit, settings
        self._fold = BarFold(round(settings.lateness_s * NS))
        self._counted = self._fold.totals
        self._in_hand: list[Heard[Any]] | None = None
        self._unsaid: list[SaidBar] = []
        self._one_at_a_time = asyncio.Lock()
        self._is_recalled, self._is_saved = False, True
        self._save_not_before_ns = self.sequence = 0

    async def recover(self) -> None:
        """Recall the checkpoint, once: what is in memory is never behind it."""
        if self._is_recalled:
            await self._checkpoints.check_mine()
            return
        await asyncio.to_thread(warm)
        try:
            if (saved := await self._checkpoints.newest()) is not None:
                self._fold.load(saved.fold)
                self.sequence = saved.sequence
                self._share.begin(saved.ahead)
        except ValueError as error:
            self._kit.log.warning("checkpoint_unreadable", detail=str(error))
        self._is_recalled = True

    async def take(self, heard: list[Heard[Any]]) -> None:
        """Fold a delivery and say its bars. The same list comes again when they could not all be said."""
        async with self._one_at_a_time:
            if heard is not self._in_hand:
                unreadable = self._fold_in(heard)
                self._in_hand, self.sequence, self._is_saved = heard, heard[-1].sequence, False
                for one, error in unreadable:
                    self._kit.meter.count("unreadable")
                    await self._kit.bus.park(one, error)
            await self._settle()

    async def close_due(self) -> None:
        """Say the live bars whose end has passed."""
        async with self._one_at_a_time:
            said = self._fold.close_due(self._kit.clock.now_ns() - round(self._settings.close_after_s * NS))
            self._unsaid += said
            self._is_saved = self._is_saved and not said
            await self._settle()

    async def save(self) -> None:
        """Save the fold, if there is anything new and all of its bars were said."""
        async with self._one_at_a_time:
            if self._kit.clock.monotonic_ns() >= self._save_not_before_ns:
                await self._save()

    async def close(self) -> None:
        """Say what is left and save."""
        async with self._one_at_a_time:
            await self._settle()
            await self._save()

    def stats(self) -> dict[str, Any]:
        return {**self._fold.totals, "symbols": self._fold.symbols, "sequence": self.sequence}

    def _fold_in(self, heard: list[Heard[Any]]) -> list[tuple[Heard[Any], ValueError]]:
        """Fold in stream order, single ticks that follow each other as columns; what of our share cannot be read."""
        unreadable: list[tuple[Heard[Any], ValueError]] = []
        for is_tick, some in groupby(heard, key=lambda one: one.subject == TICK):
            if is_tick:
                mine = (one.message for one in some if self._share.takes(one.message.symbol, one.sequence))
                for columns in core.columns_of(mine):
                    self._unsaid += self._fold.take(columns)
                continue
            for one in some:
                try:
                    columns = self._share.of(decode_frame(one.message.payload, one.message.venue), one.sequence)
                except ValueError as error:
                    unreadable.append((one, error))
                    continue
                self._unsaid += self._fold.take(columns) if columns is not None else ()
        return [(one, error) for one, error in unreadable if self._kit.shard.owns(one.address)]

    async def _settle(self) -> None:
        """Keep and say every bar that was not said yet."""
        self._count()
        if self._unsaid:
            await self._store.keep([said.bar for said in self._unsaid])
        while self._unsaid:
            some = self._unsaid[: core.wave(self._unsaid, self._settings.says_at_once)]
            sayings = (self._kit.bus.say(BAR, said.bar, id=core.name_of(said)) for said in some)
            for outcome in await asyncio.gather(*sayings, return_exceptions=True):
                if outcome is not None:
                    raise outcome
            del self._unsaid[: len(some)]

    async def _save(self) -> None:
        if self._is_saved or self._unsaid:
            return
        dumped = self._fold.dump()
        await self._checkpoints.save(Checkpoint(self.sequence, dumped, self._share.ahead_of(self.sequence)))
        self._is_saved = True
        pause_ns = round(len(dumped) / self._settings.checkpoint_bytes_per_s * NS)
        self._save_not_before_ns = self._kit.clock.monotonic_ns() + pause_ns

    def _count(self) -> None:
        totals = self._fold.totals
        for what, total in totals.items():
            self._kit.meter.count(what, total - self._counted[what])
        self._counted = totals
