"""The sessions that the fold needs, put in arrays as its series become known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from shared.contract.sessions import Timetable
from shared.domain.bars.layout import Hours


class Calendars:
    """Without `sessions`, every market trades round the clock."""

    def __init__(self, sessions: Callable[[str], Timetable | None] | None) -> None:
        self._sessions = sessions
        self._timetables: list[Timetable] = []
        self._hours = Hours(np.empty(0, np.int64), *_joined([]))

    def hours(self, names: Sequence[tuple[str, str]], room: int) -> Hours:
        """Those of these series and no others, with room for so many."""
        self._hours = self._hours._replace(calendar=np.full(room, -1, np.int64))
        for number, (_, symbol) in enumerate(names):
            self.with_series(number, symbol)
        return self._hours

    def with_series(self, number: int, symbol: str) -> Hours:
        """Those of one series more."""
        timetable = self._sessions(symbol) if self._sessions is not None else None
        if timetable is not None:
            if timetable not in self._timetables:
                self._timetables.append(timetable)
                self._hours = Hours(self._hours.calendar, *_joined(self._timetables))
            self._hours.calendar[number] = self._timetables.index(timetable)
        return self._hours

    def make_room(self, room: int) -> None:
        """For so many series in all."""
        calendar = np.full(room, -1, np.int64)
        calendar[: len(self._hours.calendar)] = self._hours.calendar
        self._hours = self._hours._replace(calendar=calendar)


def _joined(timetables: Sequence[Timetable]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    begins = np.cumsum([0, *(len(timetable.opens) for timetable in timetables)]).astype(np.int64)
    opens = np.array([at for timetable in timetables for at in timetable.opens], np.int64)
    closes = np.array([at for timetable in timetables for at in timetable.closes], np.int64)
    return begins, opens, closes
