"""Real recordings: how many ticks and quotes they hold, and that every line is accounted for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.gateway.feeds.formats.recording import Recording, open_recording
from services.gateway.feeds.formats.rows import Choice, Rows
from services.gateway.feeds.requests import ReplayState
from shared.contract.subjects import QUOTE
from tests.services.gateway.running import running_gateway

pytestmark = pytest.mark.recorded


def read(path: Path) -> tuple[list[Rows], Recording]:
    recording = open_recording(str(path), None, Choice())
    found: list[Rows] = []
    while (rows := recording.next()) is not None:
        found.append(rows)
    recording.close()
    assert recording.account.balanced
    assert recording.account.bad_lines == []
    return found, recording


def test_the_day_of_spy_is_451545_ticks_in_order(recorded: Path) -> None:
    # The file has 451,544 line ends and no line end after its last line, which is a trade like any other.
    found, recording = read(recorded / "equities" / "spy_20131008_trade.zip")
    account = recording.account
    assert (account.lines, account.used_ticks) == (451_545, 451_545)
    event_ns = np.concatenate([rows.trades.event_ns for rows in found])
    assert (np.diff(event_ns) >= 0).all()
    assert found[0].trades.price[0] == 167.42
    assert found[-1].trades.price[-1] == 165.95


@pytest.mark.parametrize(
    ("name", "lines", "ticks", "quotes", "other"),
    [
        ("usdm_btcusdt_20240808", 93_954, 21_313, 66_089, 6_552),
        ("usdm_ethusdt_20240808", 74_655, 14_076, 53_992, 6_587),
        ("spot_btcusdt_20240809", 58_325, 10_147, 45_134, 3_044),
    ],
)
def test_every_line_of_a_raw_recording_is_accounted_for(
    recorded: Path, name: str, lines: int, ticks: int, quotes: int, other: int
) -> None:
    # Of another kind are the depth updates, and in the futures' files one snapshot of the whole book.
    _, recording = read(recorded / "binance" / f"{name}.jsonl.gz")
    account = recording.account
    assert (account.lines, account.used_ticks, account.used_quotes) == (lines, ticks, quotes)
    assert (account.other, account.bad) == (other, 0)


def test_the_day_of_bac_is_all_one_sided_quotes(recorded: Path) -> None:
    found, recording = read(recorded / "equities" / "bac_20131007_quote.zip")
    assert recording.account.used_quotes == recording.account.lines == 476_855
    for rows in found:
        assert (np.isnan(rows.quotes.bid) != np.isnan(rows.quotes.ask)).all()


def test_crossed_quotes_of_a_day_of_eurusd_are_kept_as_they_are(recorded: Path) -> None:
    found, recording = read(recorded / "forex" / "eurusd_20140508_quote.zip")
    assert recording.account.used_quotes == recording.account.lines == 167_466
    assert sum(int((rows.quotes.bid > rows.quotes.ask).sum()) for rows in found) == 18_285


async def test_a_replay_at_full_speed_says_every_trade_of_the_day_once(recorded: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(str(recorded / "equities" / "spy_20131008_trade.zip"), "max")
        frames = gateway.frames()
    assert (status.state, status.error) == (ReplayState.DONE, None)
    assert sum(map(len, frames)) == status.used_ticks == status.ticks_said == 451_545
    assert max(map(len, frames)) == 4096
    assert np.concatenate([frame.sequence for frame in frames]).tolist() == list(range(1, 451_546))
    assert frames[-1].ended


async def test_a_raw_recording_at_full_speed_accounts_for_every_quote(recorded: Path) -> None:
    with running_gateway(simulate=False) as gateway:
        status = await gateway.replayed(str(recorded / "binance" / "usdm_btcusdt_20240808.jsonl.gz"), "max")
        quotes = gateway.kit.bus.heard(QUOTE)
    assert status.used_quotes == 66_089 == status.quotes_said + status.conflated
    assert len(quotes) == status.quotes_said > 0
    assert sum(map(len, gateway.frames())) == 21_313
