"""The same files as a stack of a swarm of one node: the oms and the normalizer twice, and none of their work twice.

It comes before the tests of the containers: both want the front door's port.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.kit.shard import Shard
from tests.compose.containers import FILES, STAND_INS, Containers, docker
from tests.journeys import stored
from tests.journeys.copies import ACCOUNTS, Traders, every
from tests.journeys.rig import CHECKOUT
from tests.servers import is_open, wait_until

pytestmark = pytest.mark.suite

STACK = "trade2026-test"
DONE = {"FILLED", "DENIED", "REJECTED", "CANCELED", "EXPIRED"}
SHARED = ("oms", "normalizer")
OPERATOR = Path(os.environ.get("USERS_FOLDER", CHECKOUT / "secrets.example")) / "operator_password"


@dataclass
class Stack(Containers):
    """The suite on a swarm."""

    def deploy(self) -> None:
        """As `make stack` does."""
        for name in ("kill", "recordings"):
            (self.var / name).mkdir(exist_ok=True)
            (self.var / name).chmod(0o755)
        words = docker(
            *(
                "compose",
                "-p",
                STACK,
                "--env-file",
                str(STAND_INS / "stand-ins.env"),
                *FILES,
                "-f",
                "docker-compose.stack.yml",
            ),
            *("config", "--format", "json"),
            KILL_FOLDER=str(self.var / "kill"),
            RECORDINGS_FOLDER=str(self.var / "recordings"),
        )
        said = subprocess.run(["python3", "docker/stack.py"], cwd=CHECKOUT, input=words, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        (self.var / "stack.json").write_text(said.stdout)
        docker("stack", "deploy", "--resolve-image", "never", "-c", str(self.var / "stack.json"), STACK)

    def running(self) -> dict[str, str]:
        """How many copies run of each service, of how many: 2/2."""
        words = docker(
            "service",
            "ls",
            "--filter",
            f"label=com.docker.stack.namespace={STACK}",
            "--format",
            "{{.Name}} {{.Replicas}}",
        )
        return dict(line.split() for line in words.splitlines())

    def copy(self, name: str) -> str:
        """The engine's id of the container of a copy, such as oms.2; "" while there is none."""
        return docker("ps", "-q", "--filter", f"name={STACK}_{name}.").strip()

    def stored(self, stream: str, subject: str) -> list[dict[str, Any]]:
        """Every message that a stream keeps on a subject: streams are reached from within only."""
        password = OPERATOR.read_text().strip() if OPERATOR.exists() else ""
        program = Path(stored.__file__).read_text()
        words = ("-c", program, "nats://nats:4222", "operator", password, stream, subject)
        found = json.loads(docker("exec", self.copy("gateway.1"), "/opt/venv/bin/python", *words))
        return [orjson.loads(words) for _, words in found]

    def logs(self) -> str:
        names = docker("service", "ls", "--format", "{{.Name}}", check=False).split()
        tasks = docker(
            "stack", "ps", "--no-trunc", "--format", "{{.Name}} {{.CurrentState}} {{.Error}}", STACK, check=False
        )
        return tasks + "\n".join(docker("service", "logs", "--tail", "30", name, check=False) for name in names)


def in_a_swarm() -> bool:
    return docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() != "inactive"


def clear() -> None:
    """End the stack and the swarm; nothing is left of them."""
    docker("stack", "rm", STACK, check=False)
    label = f"label=com.docker.stack.namespace={STACK}"
    wait_until(lambda: not docker("ps", "-aq", "--filter", label), "the stack's containers to be gone", 60)
    wait_until(lambda: docker("swarm", "leave", "--force", check=False) and not in_a_swarm(), "the swarm to end", 60)
    docker("volume", "rm", "--force", *docker("volume", "ls", "-q", "--filter", label).split())


@pytest.fixture(scope="module")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A swarm with the suite on it, ready."""
    assert not in_a_swarm(), "this engine is in a swarm; the test makes one of its own and ends it"
    assert not is_open(8000), "port 8000 is taken, which the stack's front door wants; stop what runs there"
    made = Stack(tmp_path_factory.mktemp("stack"))
    made.compose("build")
    try:
        docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        made.deploy()
        made.await_ready(150)
        wait_until(lambda: all(made.running()[f"{STACK}_{name}"] == "2/2" for name in SHARED), "both of each", 60)
        wait_until(lambda: all(one["ask"] for one in made.get("/api/gateway/tickers")), "the market to quote")
        yield made
    except BaseException:
        sys.stdout.write(made.logs()[-20_000:])
        raise
    finally:
        clear()
        made.http.close()


def orders(stack: Stack) -> list[dict[str, Any]]:
    return every(stack.http, "/api/oms/orders", "orders")


def test_no_order_fill_or_bar_is_lost_or_double_although_a_copy_is_killed(stack: Stack) -> None:
    with Traders([f"{stack.http.base_url}".rstrip("/") + "/api/oms"], "stack", 60) as traders:
        wait_until(lambda: len(traders.answers) > 40, "orders to flow")
        killed = stack.copy("oms.2")
        docker("kill", killed)
        wait_until(lambda: stack.copy("oms.2") not in {"", killed}, "another copy in its place", 60)
    wait_until(lambda: all(one["status"] in DONE for one in orders(stack)), "every order to be done", 60)

    assert {Shard("oms", 1, 2).owner(account) for account, _ in traders.answers} == {1, 2}, "both have had orders"
    assert {one["order_id"] for one in traders.answers.values()} == {one["order_id"] for one in orders(stack)}
    signs, fills = {"BUY": 1, "SELL": -1}, [fill for account in ACCOUNTS for fill in stack.fills(account)]
    assert len({fill["fill_id"] for fill in fills}) == len(fills) > 0
    held = Counter[str]()
    for fill in fills:
        held[fill["account"]] += signs[fill["side"]] * Decimal(fill["quantity"])
    positions = stack.get("/api/oms/positions")
    assert {account: Decimal(one["BTCUSDT"]["quantity"]) for account, one in positions.items() if one} == held

    said = Counter(fill["fill_id"] for fill in stack.stored("ORDERS", "fills.>"))
    assert said == Counter(fill["fill_id"] for fill in fills), "each is said once"
    told = Counter(
        (one["order"]["order_id"], one["order"]["version"]) for one in stack.stored("ORDERS", "orders.*.event")
    )
    assert set(told.values()) == {1}
    stack.await_count("fills", len(fills))
    assert stack.get("/api/sink-ticks/count/fills")["count"] == len(fills)


def test_both_copies_make_bars_and_each_bar_is_said_once(stack: Stack) -> None:
    of_two = Shard("normalizer", 1, 2)

    def owners() -> set[int]:
        return {of_two.owner(bar["symbol"]) for bar in stack.stored("BARS", "ohlcv.1m.*")}

    wait_until(lambda: owners() == {1, 2}, "bars of both", 100)
    bars = stack.stored("BARS", "ohlcv.>")
    named = Counter(tuple(bar[n] for n in ("venue", "symbol", "interval", "start_ns", "revision")) for bar in bars)
    assert set(named.values()) == {1}
