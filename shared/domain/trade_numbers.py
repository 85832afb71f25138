"""Trade numbers of one symbol, which the venue counts one by one: which are new, and which are missing."""

from __future__ import annotations

MISSING_MAX = 10_000
RENUMBERED = 1_000_000


class Numbers:
    """What has come so far. A number that was missing may still come late, among the newest `MISSING_MAX`."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._missing: dict[int, None] = {}

    def take(self, number: int) -> tuple[bool, str]:
        """Whether this trade is new, and what is found missing ("" when nothing is)."""
        newest = self._newest
        if newest is None or number == newest + 1:
            self._newest = number
            return True, ""
        if number > newest:
            self._newest = number
            return True, self._miss(newest + 1, number - 1)
        if newest - number > RENUMBERED:
            self._newest, self._missing = number, {}
            return True, f"trades are numbered anew, from {number} on"
        late = number in self._missing
        if late:
            del self._missing[number]
        return late, ""

    def reach(self, number: int) -> str:
        """The venue says that it has come to this number; what is found missing. The first one is where we begin, and
        its trade may still come."""
        newest = self._newest
        if newest is None:
            self._newest, self._missing = number, {number: None}
            return ""
        if number <= newest:
            return ""
        self._newest = number
        return self._miss(newest + 1, number)

    def _miss(self, first: int, last: int) -> str:
        self._missing.update(dict.fromkeys(range(max(first, last - MISSING_MAX + 1), last + 1)))
        for old in list(self._missing)[: max(0, len(self._missing) - MISSING_MAX)]:
            del self._missing[old]
        return f"trade {first} is missing" if first == last else f"trades {first} to {last} are missing"
