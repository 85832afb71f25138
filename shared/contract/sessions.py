"""When a market is open."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Protocol, Self

from pydantic import model_validator

from shared.contract.base import Message, rfc3339
from shared.contract.errors import Refused

DAY_NS = 86_400_000_000_000


class Sessions(Protocol):
    """A market's trading sessions; times are nanoseconds UTC. A session's end does not belong to it."""

    def is_open(self, at_ns: int) -> bool:
        """Whether the market trades at that time."""
        ...

    def session_end(self, at_ns: int) -> int:
        """The end of the session in which that time lies; between two sessions, of the next one."""
        ...

    def next_open(self, at_ns: int) -> int:
        """When the first session after that time begins; within a pause, when that ends."""
        ...


class RoundTheClock:
    """A market that never closes. Its session is the day, UTC."""

    def is_open(self, at_ns: int) -> bool:
        return True

    def session_end(self, at_ns: int) -> int:
        return at_ns - at_ns % DAY_NS + DAY_NS

    def next_open(self, at_ns: int) -> int:
        return self.session_end(at_ns)


class Timetable(Message):
    """The sessions of one calendar in the years from `year_first` to `year_last`, as `library` works them out.

    `opens` and `closes` belong together and ascend; half-days, holidays and changes of the clock are in them. `breaks`
    are the pauses within sessions, as pairs of beginning and end. A time outside the table is refused, never guessed.
    """

    calendar: str
    library: str
    year_first: int
    year_last: int
    opens: tuple[int, ...]
    closes: tuple[int, ...]
    breaks: tuple[tuple[int, int], ...] = ()

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.opens or len(self.opens) != len(self.closes):
            raise ValueError("opens: as many as closes, and at least one")
        edges = [edge for session in zip(self.opens, self.closes, strict=True) for edge in session]
        if any(later < earlier for earlier, later in pairwise(edges)):
            raise ValueError("opens: sessions must follow one another")
        return self

    def is_open(self, at_ns: int) -> bool:
        session = bisect_right(self.opens, self._known(at_ns)) - 1
        return at_ns < self.closes[session] and self._pause_end(at_ns) is None

    def session_end(self, at_ns: int) -> int:
        return self.closes[bisect_right(self.closes, self._known(at_ns))]

    def next_open(self, at_ns: int) -> int:
        if pause_end := self._pause_end(self._known(at_ns)):
            return pause_end
        session = bisect_right(self.opens, at_ns)
        return self.opens[session] if session < len(self.opens) else self._known(self.closes[-1])

    def _pause_end(self, at_ns: int) -> int | None:
        """The end of the pause in which that time lies."""
        pause = bisect_right(self.breaks, at_ns, key=_beginning) - 1
        return self.breaks[pause][1] if pause >= 0 and at_ns < self.breaks[pause][1] else None

    def _known(self, at_ns: int) -> int:
        if self.opens[0] <= at_ns < self.closes[-1]:
            return at_ns
        first, last = rfc3339(self.opens[0]), rfc3339(self.closes[-1])
        raise Refused(
            "OUTSIDE_CALENDAR",
            f"calendar {self.calendar} is known from {first} to {last}, not at {rfc3339(at_ns)}; "
            "a start in another year, or a newer exchange-calendars, knows more",
        )


def _beginning(pause: tuple[int, int]) -> int:
    return pause[0]
