"""The normalizer, joined to the world.

It follows the ticks' stream from its own checkpoint, so that after a crash it folds the same ticks into the same bars.
A delivery is folded once, at once; its bars are then kept and said, again and again until the stream has them. Only
then is the next delivery taken, and only then may a checkpoint be saved.
"""

from __future__ import annotations

import asyncio
from typing import Any

from services.normalizer import core
from services.normalizer.settings import Settings
from services.normalizer.store import KEEPS, BarStore, Checkpoints, StoredTicks
from shared.contract.subjects import AMENDMENT, BAR, FRAME, TICK_WORDS
from shared.domain.bars import BarFold, SaidBar, warm
from shared.domain.bars.parts import Checkpoint
from shared.kit import Heard, Kit, Service, Unheard, each, follow, get
from shared.kit.frames import decode_frame

NS = 1_000_000_000
DELIVERY = 1024
"""Messages at a time, of single ticks; of frames fewer, as many as go into the bytes that are asked for at once."""


def wire(kit: Kit, settings: Settings) -> Service:
    """Everything that can reach the normalizer, and everything it can say."""
    store = BarStore(kit.valkey, kit.journal, settings.bars_kept)
    maker = BarMaker(store, kit, settings)
    heard = (TICK_WORDS, FRAME, AMENDMENT)
    return Service(
        hears=(follow(heard, maker.take, after=lambda: maker.sequence, count_max=DELIVERY),),
        says=(BAR,),
        keeps=KEEPS,
        serves=(get("/bars/{venue}/{symbol}/{interval}", store.show),),
        every=(each(1, maker.close_due), each(settings.checkpoint_every_s, maker.save), each(5, maker.amend)),
        recovers=maker.recover,
        closes=maker.close,
        stats=maker.stats,
    )


class BarMaker:
    def __init__(self, store: BarStore, kit: Kit, settings: Settings) -> None:
        self._store, self._kit, self._settings = store, kit, settings
        self._checkpoints = Checkpoints(kit.valkey, kit.journal, kit.shard)
        self._stored = StoredTicks(kit.peers)
        markets = core.timetables(kit.instruments, kit.sessions), core.measures(settings.measures)
        self._fold = BarFold(round(settings.lateness_s * NS), settings.intervals, *markets)
        self._repairs = core.Repairs()
        owns = kit.shard.owns if kit.shard.count > 1 else None
        self._intake = core.Intake(self._fold, self._repairs, decode_frame, owns)
        self._counted, self._unsaid = self._intake.totals, list[SaidBar]()
        self._in_hand, self._unheard = list[Heard[Any]](), Unheard()
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
                self._repairs.begin(saved.amended)
                self._fold.load(saved.fold)
                self.sequence = saved.sequence
                self._intake.begin(saved.ahead)
        except ValueError as error:
            self._repairs.begin(())
            self._kit.log.warning("checkpoint_unreadable", detail=str(error), begins="with the stream")
        self._is_recalled = True

    async def take(self, heard: list[Heard[Any]]) -> Unheard:
        """Fold a delivery and say its bars. The same list comes again when they could not all be said."""
        async with self._one_at_a_time:
            if heard is not self._in_hand:
                said, self._unheard = self._intake.take(heard)
                self._unsaid += said
                self._in_hand, self.sequence, self._is_saved = heard, heard[-1].sequence, False
            await self._settle()
            return self._unheard

    async def close_due(self) -> None:
        """Say the live bars whose end has passed."""
        async with self._one_at_a_time:
            said = self._fold.close_due(self._kit.clock.now_ns() - round(self._settings.close_after_s * NS))
            self._unsaid += said
            self._is_saved = self._is_saved and not said
            await self._settle()

    async def amend(self) -> None:
        """Make the bars again, of the stored ticks, in which a trade was amended."""
        for repair in self._repairs.due(self._fold, now_ns := self._kit.clock.monotonic_ns()):
            self._repairs.put_off(repair, now_ns)  # before anything fails, so that the others are not kept waiting
            remade = core.Remade(repair, self._fold)
            async for ticks in self._stored.pages(repair.venue, repair.symbol, remade.since_ns, repair.end_ns):
                remade.take(ticks)
            if remade.unseen and self._repairs.miss(repair):
                continue  # the sink is not that far yet
            async with self._one_at_a_time:
                if bar := remade.bar(await self._store.said(*repair.key)):
                    self._unsaid.append(SaidBar(bar, ""))
                self._repairs.done(repair)
                self._kit.meter.count("amendments_unseen", remade.unseen)
                self._is_saved = False
                await self._settle()

    async def save(self) -> None:
        """Save the fold, if there is anything new and all of its bars were said."""
        if self._kit.clock.monotonic_ns() >= self._save_not_before_ns:
            async with self._one_at_a_time:
                await self._save()

    async def close(self) -> None:
        """Say what is left and save."""
        async with self._one_at_a_time:
            await self._settle()
            await self._save()

    def stats(self) -> dict[str, Any]:
        now = {"symbols": self._fold.symbols, "amending": len(self._repairs), "sequence": self.sequence}
        return self._intake.totals | now

    async def _settle(self) -> None:
        """Keep and say every bar that was not said yet."""
        self._count()
        if self._unsaid:
            await self._store.keep([said.bar for said in self._unsaid])
        while self._unsaid:
            some = self._unsaid[: core.wave(self._unsaid, self._settings.says_at_once)]
            await self._kit.bus.say_all(BAR, [(core.name_of(said), said.bar) for said in some])
            del self._unsaid[: len(some)]

    async def _save(self) -> None:
        if self._is_saved or self._unsaid:
            return
        dumped, ahead = self._fold.dump(), self._intake.ahead(self.sequence)
        written = await self._checkpoints.save(Checkpoint(self.sequence, dumped, ahead, self._repairs.kept()))
        self._is_saved = True
        pause_ns = round(written / self._settings.checkpoint_bytes_per_s * NS)
        self._save_not_before_ns = self._kit.clock.monotonic_ns() + pause_ns

    def _count(self) -> None:
        before, self._counted = self._counted, self._intake.totals
        for what, total in self._counted.items():
            self._kit.meter.count(what, total - before[what])
