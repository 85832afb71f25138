"""Shard: the share that one of several copies of a service has in its work.

An account (of the oms) or a symbol (of the normalizer) belongs to one copy, by its name alone. A copy goes by a name
that tells how many there are: `oms` where it is the only one, else `oms-1of2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

from shared.contract.roster import BY_NAME
from shared.kit.settings import Suite

_NAME = re.compile(r"(.+?)(?:-(\d+)of(\d+))?")


@dataclass(frozen=True, slots=True)
class Shard:
    """Copy `index` of `count`; what it owns is found `by` this field of a message, "" where there is one copy."""

    service: str
    index: int = 1
    count: int = 1
    by: str = ""

    @classmethod
    def of(cls, service: str, suite: Suite) -> Shard:
        """The share of this process. A service that cannot share its work has all of it."""
        entry = BY_NAME.get(service)
        if entry is None or not entry.shared_by:
            return cls(service)
        return cls(service, suite.shard, suite.shards, entry.shared_by)

    @classmethod
    def named(cls, name: str) -> Shard:
        """The copy that goes by this name."""
        found = _NAME.fullmatch(name)
        assert found is not None, "a copy has a name"
        service, index, count = found.groups()
        return cls(service, int(index or 1), int(count or 1))

    @property
    def name(self) -> str:
        return self.service if self.count == 1 else f"{self.service}-{self.index}of{self.count}"

    @property
    def turn(self) -> tuple[int, int]:
        """Which copy this is, and of how many."""
        return self.index, self.count

    def owns(self, word: str) -> bool:
        """Whether an account or a symbol belongs to this copy."""
        return self.count == 1 or self.owner(word) == self.index

    def owner(self, word: str) -> int:
        """The index of the copy that an account or a symbol belongs to."""
        return crc32(word.encode()) % self.count + 1

    def sibling(self, index: int) -> Shard:
        """Another of these copies."""
        return Shard(self.service, index, self.count, self.by)

    def rivals(self, names: Iterable[str]) -> list[str]:
        """Those of these names by which copies go that share the same work in another number."""
        named = {name: Shard.named(name) for name in names if name}
        return sorted(name for name, one in named.items() if one.service == self.service and one.count != self.count)
