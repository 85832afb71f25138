"""A whole suite under its supervisor: real processes, really killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.cli import ports
from shared.contract.roster import ROSTER
from shared.kit.life import VERSION
from shared.kit.settings import Suite as Settings
from tests.journeys.rig import CHECKOUT, Suite, running
from tests.servers import is_open, wait_until

pytestmark = pytest.mark.suite

EVERY_PART = ("nats", "valkey", *(entry.name for entry in ROSTER))


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """One suite for the tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("suite") / "var") as started:
        yield started


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Suite]:
    """A suite that has not been started, and is stopped whatever becomes of it."""
    made = Suite(tmp_path / "var")
    yield made
    made.down()


def supervisor(suite: Suite) -> int:
    return int((suite.var / "run" / "suite.lock").read_text())


def family(suite: Suite) -> list[psutil.Process]:
    parent = psutil.Process(supervisor(suite))
    return [parent, *parent.children(recursive=True)]


def left_of(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run. One that ended and waits to be collected by the system's init does not."""
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def comes_back(suite: Suite, service: str) -> None:
    """Kill it, and wait for it under another pid, counted."""
    before = suite.processes()[service]
    os.kill(before["pid"], signal.SIGKILL)

    def back() -> bool:
        row = suite.processes()[service]
        return row["state"] == "ready" and row["pid"] != before["pid"] and row["restarts"] == before["restarts"] + 1

    wait_until(back, f"{service} to come back")


def test_everything_on_the_roster_is_ready_on_its_own_port(suite: Suite) -> None:
    rows = suite.processes()
    assert set(rows) == set(EVERY_PART)
    assert {row["state"] for row in rows.values()} == {"ready"}
    assert all(is_open(row["port"]) for row in rows.values())
    assert len({row["pid"] for row in rows.values()}) == len(rows)


def test_the_preloaded_parent_runs_a_single_thread(suite: Suite) -> None:
    assert psutil.Process(supervisor(suite)).num_threads() == 1


def test_a_second_suite_in_the_same_var_is_refused(suite: Suite) -> None:
    ended = suite.run("up", check=False)
    assert ended.returncode == 1
    assert f"pid {supervisor(suite)}" in ended.stderr


def test_a_suite_on_the_same_ports_is_told_who_has_them(suite: Suite, tmp_path: Path) -> None:
    ended = Suite(tmp_path / "var", offset=suite.offset).run("up", "--detach", check=False)
    port, pid = suite.processes()["oms"]["port"], suite.processes()["oms"]["pid"]
    assert ended.returncode == 1
    assert f"{port} (oms: held by pid {pid}" in ended.stdout
    assert "TRADE2026_PORT_OFFSET" in ended.stdout


def test_the_doctor_knows_that_the_ports_are_our_own(suite: Suite) -> None:
    findings = {one["name"]: one for one in json.loads(suite.run("doctor", "--json").stdout)}
    assert findings["ports"]["detail"] == f"held by this suite (pid {supervisor(suite)})"


def test_the_whole_suite_says_which_commit_it_is(suite: Suite) -> None:
    system = suite.get("/system/status")
    [build] = system["builds"]
    assert build == f"{VERSION}+{json.loads(suite.run('version', '--json').stdout)['git']}"
    assert len({one["git"] for one in system["services"].values()}) == 1
    if (CHECKOUT / ".git").exists():
        assert not build.endswith("unknown")


def test_an_order_goes_in_and_is_listed(suite: Suite) -> None:
    wait_until(lambda: suite.get("/api/gateway/ticker/BTCUSDT")["bid"], "a quote")
    words = ("submit", "btc/usdt", "buy", "0.01", "--account", "cli", "--client-order-id", "one", "--json")
    order = json.loads(suite.run(*words).stdout)
    again = json.loads(suite.run(*words).stdout)
    assert (order["symbol"], order["order_id"]) == ("BTCUSDT", again["order_id"])
    listed = json.loads(suite.run("orders", "--account", "cli", "--json").stdout)
    assert [one["order_id"] for one in listed] == [order["order_id"]]
    suite.await_status(order["order_id"], "FILLED")
    assert "BTCUSDT" in suite.run("positions", "cli").stdout


def test_a_refused_order_is_one_line_that_names_the_field(suite: Suite) -> None:
    ended = suite.run("submit", "BTCUSDT", "buy", "--account", "cli", "--", "-1", check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "quantity" in ended.stderr


def test_an_unknown_order_cannot_be_cancelled(suite: Suite) -> None:
    ended = suite.run("cancel", "nonsense", check=False)
    assert ended.returncode == 1
    assert "404" in ended.stderr


def test_a_file_is_replayed_and_every_line_accounted_for(suite: Suite, tmp_path: Path) -> None:
    file = tmp_path / "trades.csv"
    lines = [f"2026-01-02T03:{m:02d}:00Z,BTCUSDT,{100 + m},1,t{m}" for m in range(10)]
    file.write_text("\n".join(["timestamp,symbol,price,quantity,trade_id", *lines]) + "\n")
    ended = json.loads(suite.run("replay", str(file), "--venue", "file", "--speed", "max", "--json").stdout)
    assert (ended["state"], ended["used_ticks"], ended["bad"]) == ("DONE", 10, 0)

    def said() -> bool:
        return len(json.loads(suite.run("bars", "file", "BTCUSDT", "1m", "--json").stdout)["bars"]) >= 9

    wait_until(said, "the bars of the file")


def test_a_replay_of_nothing_fails_in_one_line(suite: Suite) -> None:
    ended = suite.run("replay", "/nowhere/trades.csv", check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert "/nowhere/trades.csv" in ended.stderr


def test_the_status_is_ready_and_its_json_is_the_front_doors(suite: Suite) -> None:
    assert json.loads(suite.run("status", "--json").stdout)["status"] == "ready"


def test_the_logs_of_all_are_shown_under_their_names(suite: Suite) -> None:
    shown = suite.run("logs", "-n", "1000").stdout.splitlines()
    assert {"oms", "nats", "valkey"} <= {line.split()[0] for line in shown}
    assert all(json.loads(line) for line in suite.run("logs", "oms").stdout.splitlines())


@pytest.mark.parametrize("service", ["oms", "gateway", "valkey", "nats"])
def test_what_is_killed_comes_back_and_is_counted(suite: Suite, service: str) -> None:
    comes_back(suite, service)
    suite.await_ready()


def test_down_leaves_nothing(fresh: Suite) -> None:
    fresh.up()
    processes = family(fresh)
    assert len(processes) >= len(EVERY_PART) + 1
    fresh.run("down")
    assert left_of(processes, 0.5) == []
    assert all(ports.is_free(port) for port in ports.wanted(Settings(port_offset=fresh.offset)).values())
    assert fresh.run("ps", "--json").stdout.strip() == "[]"


def test_nothing_outlives_a_supervisor_that_was_killed(fresh: Suite) -> None:
    fresh.up()
    processes = family(fresh)
    os.kill(supervisor(fresh), signal.SIGKILL)
    assert left_of(processes, 10) == []
    fresh.up()  # and nothing that it left stands in the way


def test_ctrl_c_ends_it_in_order(fresh: Suite) -> None:
    environment = {"TRADE2026_VAR": str(fresh.var), "TRADE2026_PORT_OFFSET": str(fresh.offset)}
    command = [sys.executable, "-m", "shared.cli", "up"]
    environment = {**os.environ, **environment}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        said: list[str] = []
        for line in up.stdout:
            said.append(line)
            if line.startswith("all ready in"):
                break
        assert {line.split()[0] for line in said[:-1]} == set(EVERY_PART)
        processes = family(fresh)
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=30) == 0
    assert left_of(processes, 0.5) == []
    stopped = [line for line in fresh.run("logs", "oms").stdout.splitlines() if '"event": "stopped"' in line]
    assert len(stopped) == 1


def test_a_setting_that_is_wrong_ends_the_start_with_its_reason(fresh: Suite) -> None:
    fresh.environment["OMS_NONSENSE"] = "1"
    ended = fresh.run("up", "--detach", check=False)
    assert ended.returncode == 1
    assert "cannot start: OMS_NONSENSE is not a setting" in ended.stdout + ended.stderr
    fresh.environment.clear()
    assert fresh.run("ps", "--json").stdout.strip() == "[]"
