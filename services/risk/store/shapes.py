"""Shapes of verdicts, each on disk before the first verdict that goes by its name leaves."""

from __future__ import annotations

from shared.contract import keys
from shared.contract.judgement import Judgement, Phrase, Shape
from shared.contract.risk import Verdict
from shared.kit import Journal

SHAPES_MAX = 4_096
"""With so many kept in one life, what would take another shape travels in full."""
IN_FULL = ""
SEEN_MAX = 16_384
"""So many lists of phrases are known by sight; accounts under the same limits share a shape."""


class Shapes:
    """What is known of them ends with risk's life: the next writes its own anew, the same words under the same name."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen: dict[tuple[Phrase, ...], str] = {}
        self._kept: set[str] = set()

    def in_short(self, judgement: Judgement) -> Verdict | None:
        """An approval as it travels; None while nobody knows whether its shape is on disk."""
        name = self._seen.get(judgement.phrases)
        if name:
            return judgement.in_short(name)
        return None if name is None else judgement

    async def learn(self, judgement: Judgement) -> Verdict:
        """The same, once its shape is on disk; in full when that would be one too many."""
        shape = Shape.of(judgement)
        name = shape.name
        if name not in self._kept:
            if len(self._kept) < SHAPES_MAX:
                await self._keep(name, shape)
            else:
                name = IN_FULL
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen[judgement.phrases] = name
        return judgement.in_short(name) if name else judgement

    async def _keep(self, name: str, shape: Shape) -> None:
        transaction = self._journal.transaction()
        transaction.put(keys.shape(name), shape)
        await self._journal.commit(transaction)
        self._kept.add(name)

    def forget(self) -> None:
        """Risk begins anew."""
        self._seen.clear()
        self._kept.clear()
