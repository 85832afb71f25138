"""How far into the stream the fold reaches, and the fold: a checkpoint of each copy.

There are those of one number of copies at any time. When the number has changed, the first copy to save anything makes
the new ones of the old in one step, so that no symbol is ever without one.
"""

from __future__ import annotations

from shared.contract import keys
from shared.domain.bars.parts import Checkpoint, shared_out
from shared.kit import Journal, Shard, Valkey


class Checkpoints:
    """Those of all copies, seen from one of them."""

    def __init__(self, valkey: Valkey, journal: Journal, shard: Shard) -> None:
        self._valkey = valkey
        self._journal = journal
        self._shard = shard
        self._before: dict[Shard, bytes] = {}
        self._parts: dict[int, Checkpoint] = {}

    async def newest(self) -> Checkpoint | None:
        """What this copy goes on from; None to begin with the stream. ValueError when it cannot be read."""
        held = await self._held()
        self._before = {other: words for other, words in held.items() if other.count != self._shard.count}
        if self._before:
            self._parts = self._shared_out()
            return self._parts[self._shard.index]
        mine = next((words for other, words in held.items() if other.index == self._shard.index), None)
        return None if mine is None else Checkpoint.decode(mine)

    async def check_mine(self) -> None:
        """Raise if others have gone on from here, in another number, while this copy was cut off from the store."""
        others = {other for other in await self._held() if other.count != self._shard.count}
        if others - self._before.keys():
            names = ", ".join(sorted(other.name for other in others))
            raise RuntimeError(f"{names} has gone on from here meanwhile, so that {self._shard.name} begins anew")

    async def save(self, checkpoint: Checkpoint) -> int:
        """The fold as it is now; how many bytes that takes."""
        if self._before:
            await self._take_over()
        transaction = self._journal.transaction()
        words = checkpoint.encode()
        transaction.put(keys.checkpoint(self._shard.name), words)
        await self._journal.commit(transaction)
        return len(words)

    async def _held(self) -> dict[Shard, bytes]:
        names = await self._valkey.keys(keys.checkpoint(f"{self._shard.service}*"))
        found = {name: await self._valkey.raw(name) for name in names}
        prefix = keys.checkpoint("")
        return {Shard.named(name.removeprefix(prefix)): words for name, words in found.items() if words is not None}

    def _shared_out(self) -> dict[int, Checkpoint]:
        """The new ones. They follow from the old ones alone, so that every copy makes the same."""
        counts = {other.count for other in self._before}
        if len(counts) > 1:
            raise ValueError(f"there are checkpoints of {sorted(counts)} copies side by side")
        by_index = {other.index: Checkpoint.decode(words) for other, words in self._before.items()}
        before = [by_index.get(index) for index in range(1, counts.pop() + 1)]
        return shared_out(before, self._shard.count, self._shard.owner)

    async def _take_over(self) -> None:
        """Put the new ones in the place of the old ones, if another copy has not done so already."""
        transaction = self._journal.transaction()
        for other, words in self._before.items():
            transaction.expect(keys.checkpoint(other.name), words)
            transaction.drop(keys.checkpoint(other.name))
        for index, part in self._parts.items():
            transaction.put(keys.checkpoint(self._shard.sibling(index).name), part.encode())
        await self._journal.commit(transaction)
        self._before = {}
