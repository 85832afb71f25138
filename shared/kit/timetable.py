"""A program of its own: one calendar's sessions, printed as a timetable.

    python shared/kit/timetable.py XNYS 2025 2028

Its library brings pandas, three times what a whole service weighs, so it runs apart and nothing imports this file.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version

from exchange_calendars import calendar_utils


def main(code: str, first: int, last: int) -> int:
    """Print the sessions from the year `first` to the year `last`, as far as they are known; 2 for no such calendar."""
    known = sorted(name for name in calendar_utils.get_calendar_names(include_aliases=False) if name.isalnum())
    if code not in calendar_utils.get_calendar_names():
        sys.stderr.write(f"there is no calendar {code}; known: 24/7, {', '.join(known)}\n")
        return 2
    # The holidays of some are fixed by decree, and known only so far.
    bound = calendar_utils.get_calendar(code).bound_max()
    end = f"{last}-12-31" if bound is None or last <= bound.year else bound
    calendar = calendar_utils.get_calendar(code, start=f"{first}-01-01", end=end)
    pauses = ([start.value, end.value] for start, end in zip(calendar.break_starts, calendar.break_ends, strict=True))
    words = {
        "calendar": code,
        "library": version("exchange-calendars"),
        "year_first": first,
        "year_last": last,
        "opens": [at.value for at in calendar.opens],
        "closes": [at.value for at in calendar.closes],
        "breaks": [pause for pause in pauses if pause[0] > 0],  # no pause that day is a "not a time" far below nought
    }
    sys.stdout.write(json.dumps(words))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
