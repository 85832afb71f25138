"""The verbs themselves, where no suite is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from tests.journeys.rig import free_offset

VERBS = (
    *("up", "down", "ps", "logs", "doctor", "chaos", "version", "status"),
    *("submit", "replace", "orders", "cancel", "cancel-all", "why", "positions", "bars", "replay"),
    *("reindex", "kill", "lift", "release", "backup", "restore"),
    *("export", "query"),
)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRADE2026_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("TRADE2026_PORT_OFFSET", str(free_offset()))


def trade2026(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_help_lists_every_verb_with_a_sentence() -> None:
    shown = trade2026("--help")
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert all(any(words[:1] == [verb] and len(words) > 2 for words in lines) for verb in VERBS)


def test_help_imports_neither_the_kit_nor_anything_else_that_is_slow() -> None:
    script = (
        "import sys\nfrom shared.cli.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        "print([name for name in ('shared.kit', 'pydantic', 'rich', 'psutil', 'http') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["submit", "BTCUSDT"],
        ["kill", "firm"],
        ["up", "--nonsense"],
        ["bars", "sim", "BTCUSDT", "1m", "--limit", "0"],
    ],
)
def test_a_usage_error_ends_with_2(arguments: list[str]) -> None:
    assert trade2026(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            ["status"],
            ["orders"],
            ["positions"],
            ["cancel", "x"],
            ["bars", "sim", "BTCUSDT", "1m"],
            ["replay", "a.csv"],
        ),
        *(["replace", "x", "--price", "1"], ["cancel-all", "--everything"], ["why", "x"]),
        *(["kill", "firm", "--reason", "now"], ["lift", "firm"], ["release", "firm"], ["release", "default-1"]),
    ],
)
def test_without_a_suite_a_verb_says_how_to_start_one(arguments: list[str]) -> None:
    ended = trade2026(*arguments)
    assert ended.exit_code == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "trade2026 up" in ended.stderr


def test_an_order_without_a_suite_was_not_sent() -> None:
    ended = trade2026("submit", "BTCUSDT", "buy", "1")
    assert ended.exit_code == 1
    assert "may stand" not in ended.stderr


def test_without_a_suite_a_kill_names_the_file_that_does_it(tmp_path: Path) -> None:
    assert (
        f"write the reason to {tmp_path / 'var' / 'kill' / 'firm'}"
        in trade2026("kill", "firm", "--reason", "now").stderr
    )


@pytest.mark.parametrize("options", [[], ["--everything", "--symbol", "SPY"]])
def test_cancel_all_wants_to_know_whose(options: list[str]) -> None:
    ended = trade2026("cancel-all", *options)
    assert (ended.exit_code, "say whose" in ended.stderr) == (1, True)


def test_where_nothing_runs_there_is_nothing_to_list_or_to_stop() -> None:
    assert "nothing runs" in trade2026("ps").stdout
    assert json.loads(trade2026("ps", "--json").stdout) == []
    stopped = trade2026("down")
    assert (stopped.exit_code, "nothing runs" in stopped.stdout) == (0, True)


def test_the_logs_of_an_unknown_service_name_the_known_ones() -> None:
    ended = trade2026("logs", "nonsense")
    assert ended.exit_code == 1
    assert "known: " in ended.stderr


def test_a_wrong_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADE2026_PORT_OFFSET", "many")
    ended = trade2026("ps")
    assert ended.exit_code == 1
    assert "TRADE2026_PORT_OFFSET" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_the_doctor_finds_a_whole_environment_well() -> None:
    ended = trade2026("doctor", "--json")
    findings = {one["name"]: one for one in json.loads(ended.stdout)}
    assert ended.exit_code == 0, findings
    wanted = {
        "python",
        "packages",
        "nats-server",
        "valkey-server",
        "var",
        "disk",
        "open files",
        "configuration",
        "ports",
    }
    assert set(findings) == wanted


def test_the_doctor_says_what_is_missing_and_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_SERVER_BIN", "/nowhere/nats-server")
    monkeypatch.setenv("TRADE2026_QUESTDB_HTTP", "127.0.0.1:1")
    ended = trade2026("doctor")
    missing = [line for line in ended.stdout.splitlines() if line.startswith("missing")]
    assert ended.exit_code == 1
    assert [line.split()[1] for line in missing] == ["nats-server:", "questdb:"]
    assert all(" → " in line for line in missing)


def test_the_version_is_said_in_words_and_in_json() -> None:
    assert trade2026("version").stdout.startswith("trade2026 ")
    assert set(json.loads(trade2026("version", "--json").stdout)) == {"version", "git", "python"}
