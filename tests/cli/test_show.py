"""Columns on a terminal."""

from __future__ import annotations

from shared.cli import show


def test_columns_are_as_wide_as_their_widest_word_and_numbers_stand_right() -> None:
    text = show.table(("symbol", "quantity"), [("BTCUSDT", "0.5"), ("SPY", "-1200")])
    assert text.splitlines() == ["symbol   quantity", "BTCUSDT       0.5", "SPY         -1200"]


def test_what_is_absent_is_a_dash() -> None:
    assert show.columns(("a_b", "c"), [{"c": 1.5}]).splitlines() == ["a b    c", "  -  1.5"]


def test_no_rows_are_said_in_words() -> None:
    assert show.table(("a",), [], "nothing runs") == "nothing runs"
