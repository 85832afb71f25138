"""Session calendars: New York and Hong Kong as they are, and a table that is worked out once."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.contract.errors import Refused
from shared.contract.sessions import Sessions, Timetable
from shared.kit import calendars
from shared.kit.calendars import open_calendars, timetable
from shared.kit.fakes import FakeClock, FakeKit
from shared.kit.settings import SettingsError

CHECKOUT = Path(__file__).resolve().parents[2]
INSTRUMENT = 'price_tick: "0.01", lot: "1", quantity_min: "1", quantity_max: "100"'


def ns(text: str) -> int:
    """A time UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


NOW_NS = ns("2025-06-02 12:00")


def kit(folder: Path, now_ns: int = NOW_NS, **symbols: str) -> FakeKit:
    """A kit whose instruments have these calendars."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    rows = [f'- {{symbol: {symbol}, {INSTRUMENT}, calendar: "{code}"}}\n' for symbol, code in symbols.items()]
    (config / "instruments.yaml").write_text("instruments:\n" + "".join(rows))
    return FakeKit(clock=FakeClock(now_ns), config=config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calendars")


@pytest.fixture(scope="module")
def new_york(folder: Path) -> Timetable:
    return timetable("XNYS", folder, 2025)


def session(sessions: Sessions, at: str) -> tuple[bool, int]:
    return sessions.is_open(ns(at)), sessions.session_end(ns(at))


@pytest.mark.parametrize(
    ("at", "is_open", "end"),
    [
        ("2025-06-02 13:29", False, "2025-06-02 20:00"),
        ("2025-06-02 13:30", True, "2025-06-02 20:00"),
        ("2025-06-02 19:59", True, "2025-06-02 20:00"),
        ("2025-06-02 20:00", False, "2025-06-03 20:00"),
    ],
)
def test_a_session_begins_when_it_opens_and_does_not_hold_its_own_end(
    new_york: Timetable, at: str, is_open: bool, end: str
) -> None:
    assert session(new_york, at) == (is_open, ns(end))


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2025-03-07", "14:30", "21:00"),
        ("2025-03-10", "13:30", "20:00"),
        ("2025-10-31", "13:30", "20:00"),
        ("2025-11-03", "14:30", "21:00"),
    ],
)
def test_the_session_follows_the_clocks_of_its_city(new_york: Timetable, day: str, opens: str, closes: str) -> None:
    assert new_york.next_open(ns(f"{day} 00:00")) == ns(f"{day} {opens}")
    assert new_york.session_end(ns(f"{day} 00:00")) == ns(f"{day} {closes}")


def test_a_half_day_ends_early(new_york: Timetable) -> None:
    assert session(new_york, "2025-11-28 17:59") == (True, ns("2025-11-28 18:00"))
    assert session(new_york, "2025-11-28 18:00") == (False, ns("2025-12-01 21:00"))


def test_a_holiday_and_a_weekend_belong_to_the_session_after_them(new_york: Timetable) -> None:
    assert session(new_york, "2025-07-04 15:00") == (False, ns("2025-07-07 20:00"))
    assert session(new_york, "2025-07-05 15:00") == (False, ns("2025-07-07 20:00"))
    assert new_york.next_open(ns("2025-07-03 17:00")) == ns("2025-07-07 13:30")


def test_the_year_ends_and_the_next_begins(new_york: Timetable) -> None:
    assert session(new_york, "2025-12-31 20:59") == (True, ns("2025-12-31 21:00"))
    assert session(new_york, "2025-12-31 21:00") == (False, ns("2026-01-02 21:00"))
    assert new_york.next_open(ns("2025-12-31 15:00")) == ns("2026-01-02 14:30")


def test_what_the_table_does_not_know_is_refused(new_york: Timetable) -> None:
    for at in ("2023-12-31 12:00", "2028-01-03 15:00"):
        with pytest.raises(Refused, match="calendar XNYS is known from 2024-01-02T14:30:00Z to 2027-12-31T21:00:00Z"):
            new_york.session_end(ns(at))
    with pytest.raises(Refused, match="OUTSIDE_CALENDAR"):
        new_york.next_open(ns("2027-12-31 15:00"))


def test_a_market_that_pauses_at_noon_is_closed_and_still_in_its_session(folder: Path) -> None:
    hong_kong = timetable("XHKG", folder, 2025)

    assert session(hong_kong, "2025-06-02 03:59") == (True, ns("2025-06-02 08:00"))
    assert session(hong_kong, "2025-06-02 04:00") == (False, ns("2025-06-02 08:00"))
    assert session(hong_kong, "2025-06-02 05:00") == (True, ns("2025-06-02 08:00"))
    assert hong_kong.next_open(ns("2025-06-02 04:00")) == ns("2025-06-02 05:00")
    assert hong_kong.next_open(ns("2025-06-02 05:00")) == ns("2025-06-03 01:30")


def test_a_calendar_of_which_only_so_much_is_decreed_ends_there(folder: Path) -> None:
    bombay = timetable("XBOM", folder, 2025)

    assert ns("2026-12-01 00:00") < bombay.closes[-1]
    assert bombay.opens[0] < ns("2024-01-03 00:00")


def test_round_the_clock_the_session_is_the_day_in_utc(tmp_path: Path) -> None:
    sessions = kit(tmp_path, BTCUSDT="24/7").sessions("BTCUSDT")

    assert session(sessions, "2025-12-31 23:59") == (True, ns("2026-01-01 00:00"))
    assert session(sessions, "2026-01-01 00:00") == (True, ns("2026-01-02 00:00"))
    assert sessions.next_open(ns("2025-12-31 23:59")) == ns("2026-01-01 00:00")
    assert not (tmp_path / "calendars").exists()


def test_the_table_is_worked_out_once_and_then_read(
    new_york: Timetable, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timetable.cache_clear()
    monkeypatch.setattr(calendars, "PROGRAM", folder / "nothing.py")

    assert timetable("XNYS", folder, 2025) == new_york
    assert timetable("XNYS", folder, 2026) == new_york
    assert {path.suffix for path in folder.iterdir()} == {".json"}
    with pytest.raises(SettingsError, match=r"nothing\.py"):
        timetable("XNYS", folder, 2027)


@pytest.mark.parametrize("how", ["of another library", "of other years", "broken"])
def test_a_table_that_is_out_of_date_is_worked_out_anew(
    new_york: Timetable, folder: Path, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program that is quicker: it says what the real one has said.
    program = tmp_path / "said_before.py"
    program.write_text(f"print(open({str(folder / 'XNYS.json')!r}).read())")
    monkeypatch.setattr(calendars, "PROGRAM", program)
    stale = {
        "of another library": new_york.model_copy(update={"library": "1.0"}).encode(),
        "of other years": new_york.model_copy(update={"year_last": 2025}).encode(),
        "broken": new_york.encode()[:1000],
    }[how]
    (tmp_path / "XNYS.json").write_bytes(stale)

    assert timetable("XNYS", tmp_path, 2025) == new_york
    assert Timetable.decode((tmp_path / "XNYS.json").read_bytes()) == new_york


def test_an_unknown_calendar_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"AAPL: calendar: there is no calendar XXXX; known: 24/7, .*XNYS"):
        _ = kit(tmp_path, AAPL="XXXX").sessions


def test_an_unlisted_symbol_has_no_sessions() -> None:
    with pytest.raises(Refused, match="UNKNOWN_SYMBOL"):
        open_calendars({}, Path("nowhere"), NOW_NS)("AAPL")


def test_a_service_never_loads_what_works_the_table_out(tmp_path: Path) -> None:
    kit(tmp_path, AAPL="XNYS")
    program = f"""
import sys
from pathlib import Path
from shared.kit.fakes import FakeClock, FakeKit
kit = FakeKit(clock=FakeClock({NOW_NS}), config=Path({str(tmp_path / "config")!r}))
print(kit.sessions("AAPL").session_end({NOW_NS}), sorted({{"pandas", "exchange_calendars"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split(maxsplit=1) == [str(ns("2025-06-02 20:00")), "[]\n"], done.stderr
