"""Log files: kept to a size, and read together."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli import logs
from shared.cli.trouble import Trouble


def test_a_log_that_has_grown_too_large_is_set_aside_and_emptied(tmp_path: Path) -> None:
    log = tmp_path / "oms.log"
    with log.open("a") as writing:  # the process goes on with the same open file
        for round_ in "abcde":
            writing.write(round_ * 20 + "\n")
            writing.flush()
            logs.rotate(log, bytes_max=10)
        writing.write("on\n")
    assert log.read_text() == "on\n"
    assert [(tmp_path / f"oms.log.{n}").read_text()[0] for n in (1, 2, 3)] == ["e", "d", "c"]
    assert not (tmp_path / "oms.log.4").exists()


def test_a_log_within_its_size_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "oms.log").write_text("short\n")
    logs.rotate(tmp_path / "oms.log", bytes_max=10)
    logs.rotate(tmp_path / "absent.log", bytes_max=10)
    assert [path.name for path in tmp_path.iterdir()] == ["oms.log"]


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    (tmp_path / "oms.log").write_text("".join(f"{n}\n" for n in range(50_000)))
    assert logs.tail(tmp_path / "oms.log", 2) == ["49998", "49999"]
    assert logs.tail(tmp_path / "oms.log", 0) == []
    assert logs.tail(tmp_path / "absent.log", 5) == []


def test_logs_are_read_together_in_the_order_of_their_times(tmp_path: Path) -> None:
    (tmp_path / "oms.log").write_text(
        '{"event": "first", "timestamp": "2026-01-02T03:04:05.000001Z"}\n'
        '{"event": "fourth", "timestamp": "2026-01-02T03:04:06.5Z"}\nTraceback of the fourth\n'
    )
    (tmp_path / "nats.log").write_text("[7] 2026/01/02 03:04:05.000002 [INF] second\n")
    (tmp_path / "valkey.log").write_text("9:M 2026-01-02T03:04:06.123+00:00 * third\n")
    files = {name: tmp_path / f"{name}.log" for name in ("oms", "nats", "valkey")}

    lines = logs.recent(files, 10)

    assert [line.split()[0] for line in lines] == ["oms", "nats", "valkey", "oms", "oms"]
    events = ("first", "second", "third", '"fourth"', "Traceback")
    assert all(event in line for event, line in zip(events, lines, strict=True)), lines
    assert logs.recent(files, 1) == ["oms    Traceback of the fourth"]


def test_one_log_alone_needs_no_names(tmp_path: Path) -> None:
    (tmp_path / "oms.log").write_text("a line\n")
    assert logs.recent({"oms": tmp_path / "oms.log"}, 10) == ["a line"]


def test_an_unknown_service_is_told_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no service 'omsx'; known: .*oms.*nats"):
        logs.paths(tmp_path, "omsx")
    assert set(logs.paths(tmp_path, None)) == set(logs.KNOWN)


def test_following_shows_whole_lines_as_they_are_written_even_after_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "oms.log"
    log.write_text("old\n")
    coming = logs.coming({"oms": log}, every_s=0.001)
    with log.open("a") as writing:
        writing.write("new\nhalf")
    assert next(coming) == "new"
    with log.open("a") as writing:
        writing.write(" whole\n")
    assert next(coming) == "half whole"
    log.write_text("x\n")
    assert next(coming) == "x"
