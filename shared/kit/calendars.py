"""Session calendars: each timetable worked out once, by a program of its own, and kept as a file under `var`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from shared.contract.market import Instrument
from shared.contract.sessions import RoundTheClock, Sessions, Timetable
from shared.kit.settings import SettingsError, known_instrument

ROUND_THE_CLOCK = "24/7"
YEARS_BEFORE, YEARS_AFTER = 1, 2
"""Enough for orders of last year and for a process that runs for longer than a year."""

PROGRAM = Path(__file__).with_name("timetable.py")
PROGRAM_MAX_S = 120


def open_calendars(instruments: Mapping[str, Instrument], folder: Path, now_ns: int) -> Callable[[str], Sessions]:
    """The sessions of every listed symbol, by symbol; `SettingsError` when one names a calendar that is not there."""
    year = datetime.fromtimestamp(now_ns / 1e9, UTC).year
    calendars: dict[str, Sessions] = {ROUND_THE_CLOCK: RoundTheClock()}
    for instrument in instruments.values():
        if instrument.calendar not in calendars:
            try:
                calendars[instrument.calendar] = timetable(instrument.calendar, folder, year)
            except SettingsError as error:
                raise SettingsError(f"instruments.yaml: {instrument.symbol}: calendar: {error}") from None

    def sessions(symbol: str) -> Sessions:
        return calendars[known_instrument(instruments, symbol).calendar]

    return sessions


@cache  # every service built in one process shares one table
def timetable(code: str, folder: Path, year: int) -> Timetable:
    """The timetable of the years around `year`: the one that is kept, unless it is out of date."""
    path = folder / f"{code}.json"
    kept = _kept(path)
    if kept is not None and kept.library == _library() and kept.year_first < year < kept.year_last:
        return kept
    worked_out = _work_out(code, year)
    folder.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}")
    written.write_bytes(worked_out.encode())
    written.replace(path)  # whole or not at all, whoever else writes or reads it
    return worked_out


def _library() -> str:
    return version("exchange-calendars")


def _kept(path: Path) -> Timetable | None:
    try:
        return Timetable.decode(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _work_out(code: str, year: int) -> Timetable:
    years = str(year - YEARS_BEFORE), str(year + YEARS_AFTER)
    # -P: the folder of the program is not searched for modules. Its library warns of what pandas will once drop.
    command = [sys.executable, "-P", "-W", "ignore", str(PROGRAM), code, *years]
    done = subprocess.run(command, capture_output=True, timeout=PROGRAM_MAX_S, check=False)
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        raise SettingsError(told[-1] if told else f"{PROGRAM.name} ended with {done.returncode}")
    return Timetable.decode(done.stdout)
