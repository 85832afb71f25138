"""Services as processes of their own over one NATS and one Valkey, some of them in several copies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shared.contract.roster import BY_NAME
from tests.journeys.rig import CHECKOUT, free_offset
from tests.journeys.stored import consumers, stored
from tests.servers import Server, nats_server, valkey_server, wait_until

ACCOUNTS = [f"desk-{number}" for number in range(8)]


@dataclass
class Copy:
    """One process, and the way to its doors."""

    process: subprocess.Popen[bytes]
    http: httpx.Client

    @property
    def trouble(self) -> str:
        """Why it is not ready, "" when it is."""
        try:
            health = self.http.get("/readyz").json()
        except (httpx.HTTPError, ValueError) as error:
            return repr(error)
        return "; ".join(check["detail"] for check in health["checks"] if not check["ok"]) or (
            "" if health["status"] == "ready" else str(health["state"])
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        self.http.close()


@dataclass
class World:
    """The servers, and every process over them."""

    folder: Path
    nats: Server
    valkey: Server
    offset: int = field(default_factory=free_offset)
    copies: list[Copy] = field(default_factory=list[Copy])

    def start(self, service: str, index: int = 1, count: int = 1) -> Copy:
        """A process of a service; the copies of one have ports of their own."""
        environment = {
            "TRADE2026_PORT_OFFSET": str(self.offset + index - 1),
            "TRADE2026_VAR": str(self.folder),
            "TRADE2026_NATS_URL": self.url,
            "TRADE2026_VALKEY_URL": f"redis://127.0.0.1:{self.valkey.port}",
            "TRADE2026_SHARD": str(index),
            "TRADE2026_SHARDS": str(count),
            "RISK_DECISION_BUDGET_MS": "5000",  # these stories are not about speed
        }
        with (self.folder / f"{service}-{index}.log").open("ab") as log:
            command = [sys.executable, "-m", "shared.kit", service]
            process = subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | environment, stdout=log, stderr=log)
        port = BY_NAME[service].port + self.offset + index - 1
        copy = Copy(process, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=15))
        self.copies.append(copy)
        return copy

    def start_all(self, service: str, count: int) -> list[Copy]:
        return [self.start(service, index, count) for index in range(1, count + 1)]

    def end(self) -> None:
        for copy in self.copies:
            if copy.process.poll() is None:
                copy.end(signal.SIGKILL)
        self.nats.stop()
        self.valkey.stop()

    def logs(self) -> str:
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    @property
    def url(self) -> str:
        """NATS."""
        return f"nats://127.0.0.1:{self.nats.port}"

    def stored(self, stream: str, subject: str) -> list[str]:
        """The words of every message that a stream keeps on a subject, oldest first."""
        return [words for _, words in stored(self.url, stream, subject)]

    def consumers(self, stream: str) -> set[str]:
        """The names of a stream's consumers."""
        return consumers(self.url, stream)


def await_ready(*copies: Copy, timeout_s: float = 60) -> None:
    """Until each of them says that it is ready."""
    try:
        wait_until(lambda: not any(copy.trouble for copy in copies), "the copies to be ready", timeout_s)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[copy.trouble for copy in copies]}") from None


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """NATS and Valkey, and at the end nothing any more."""
    made = World(folder, nats_server(folder).start(), valkey_server(folder).start())
    try:
        yield made
    except BaseException:
        sys.stdout.write(made.logs()[-20_000:])
        raise
    finally:
        made.end()


def every(http: httpx.Client, path: str, kind: str, **query: Any) -> list[dict[str, Any]]:
    """All pages of a list, as one."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = http.get(path, params={"limit": 1000, **query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page[kind]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


class Traders:
    """Some who send orders for many accounts to either copy, each order until it was answered."""

    def __init__(self, doors: list[str], name: str, count: int) -> None:
        self.answers: dict[tuple[str, str], dict[str, Any]] = {}
        self._doors, self._name, self._count = doors, name, count
        self._threads = [threading.Thread(target=self._trade, args=(number,)) for number in range(4)]

    def __enter__(self) -> Traders:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "an order was never answered"

    def _trade(self, number: int) -> None:
        chance = random.Random(number)
        with httpx.Client(trust_env=False, timeout=10) as http:
            for at in range(self._count):
                id, account = f"{self._name}-{number}-{at}", chance.choice(ACCOUNTS)
                words = {"account": account, "client_order_id": id, "symbol": "BTCUSDT", "quantity": "0.01"}
                self.answers[account, id] = self._insist(
                    http, chance, {**words, "side": chance.choice(["BUY", "SELL"])}
                )

    def _insist(self, http: httpx.Client, chance: random.Random, words: dict[str, Any]) -> dict[str, Any]:
        pause = threading.Event()
        while True:
            try:
                answer = http.post(f"{chance.choice(self._doors)}/orders", json=words)
            except httpx.HTTPError:
                pause.wait(0.05)
                continue
            if answer.status_code in {200, 422}:
                return answer.json()
            assert answer.status_code == 503, f"{answer.status_code} {answer.text}"
            pause.wait(0.05)
