"""What a market has of its own: a timetable, and measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from shared.contract.market import Instrument
from shared.contract.sessions import Sessions, Timetable


def timetables(
    instruments: Mapping[str, Instrument], sessions: Callable[[str], Sessions]
) -> Callable[[str], Timetable | None] | None:
    """The timetable of a symbol's market, where it has one; None when no listed market has."""
    known = {symbol: found for symbol in instruments if isinstance(found := sessions(symbol), Timetable)}
    return known.get if known else None


def measures(named: Mapping[str, Sequence[str]]) -> Callable[[str], Sequence[str]]:
    """The measures of a symbol; those under `*` are for every symbol that is not named."""
    return lambda symbol: named.get(symbol, named.get("*", ()))
