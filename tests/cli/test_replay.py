"""What is shown of a replay."""

from __future__ import annotations

from shared.cli import replay

NOW = {"id": "r1", "state": "RUNNING", "read": 50, "total": 200, "lines": 9, "used_ticks": 5, "used_quotes": 2}


def test_progress_is_the_part_of_the_file_that_was_read() -> None:
    assert replay.fraction(NOW) == 0.25
    assert replay.fraction({**NOW, "total": 0}) is None
    assert replay.fraction({"state": "DONE", "read": 0, "total": 0}) == 1.0


def test_the_summary_accounts_for_every_line_and_shows_the_first_bad_ones() -> None:
    bad = [{"line": n, "reason": "not a number"} for n in range(1, 9)]
    text = replay.summary({**NOW, "state": "DONE", "other": 0, "bad": 8, "bad_lines": bad})
    assert "used ticks 5" in text
    assert "bad 8" in text
    assert "line 5: not a number" in text
    assert "line 6" not in text
    assert "and more" in text


def test_a_replay_that_failed_says_why() -> None:
    assert replay.failed({"state": "DONE"}) is None
    assert "ended FAILED: the file ends early" in str(
        replay.failed({"state": "FAILED", "error": "the file ends early"})
    )
