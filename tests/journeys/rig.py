"""A whole suite of real processes on ports of its own, and what a client of it does."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import nats
from nats.aio.client import Client
from redis import Redis

from shared.cli.users import make_passwords
from shared.contract.roster import NATS_MONITOR_PORT, NATS_PORT, ROSTER, VALKEY_PORT
from shared.kit.nats_line import inbox_of
from shared.kit.permissions import OPERATOR
from tests.servers import is_open, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
# All ports stay below 32,768, where the system begins to hand out ports of its own choice.
_offsets = itertools.count(10_000 + (os.getpid() % 26) * 500, 10)


def free_offset() -> int:
    """A port offset at which nobody listens on any port of the roster."""
    ports = [NATS_PORT, NATS_MONITOR_PORT, VALKEY_PORT, *(entry.port for entry in ROSTER)]
    return next(offset for offset in _offsets if not any(is_open(port + offset) for port in ports))


@dataclass
class Suite:
    """One running suite, spoken to through its front door."""

    var: Path
    environment: dict[str, str] = field(default_factory=dict)
    offset: int = field(default_factory=free_offset)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{8000 + self.offset}", trust_env=False, timeout=20)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`trade2026` with these arguments."""
        environment = {**os.environ, "TRADE2026_VAR": str(self.var), "TRADE2026_PORT_OFFSET": str(self.offset)}
        # The stories are not about speed, and the machine may be busy with others.
        environment["RISK_DECISION_BUDGET_MS"] = "5000"
        done = subprocess.run(
            [sys.executable, "-m", "shared.cli", *arguments],
            cwd=CHECKOUT,
            env=environment | self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    def up(self) -> None:
        self.run("up", "--detach")

    def down(self) -> None:
        self.run("down")
        self.http.close()

    def known(self) -> dict[str, str]:
        """As whom its NATS and Valkey know who tests it."""
        password = make_passwords(self.var / "secrets")[OPERATOR]
        return {"user": OPERATOR, "password": password}

    async def nats(self) -> Client:
        """A client of the suite's own NATS."""
        url = f"nats://127.0.0.1:{NATS_PORT + self.offset}"
        return await nats.connect(url, **self.known(), inbox_prefix=inbox_of(OPERATOR).encode())

    def valkey(self) -> Redis:
        """A client of the suite's own Valkey."""
        known = self.known()
        port = VALKEY_PORT + self.offset
        return Redis(port=port, username=known["user"], password=known["password"], socket_timeout=10)

    def processes(self) -> dict[str, dict[str, Any]]:
        """What `ps` lists, by service."""
        return {row["service"]: row for row in json.loads(self.run("ps", "--json").stdout)}

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Signal a process, by default as a crash; its pid."""
        pid = self.processes()[service]["pid"]
        os.kill(pid, number)
        return pid

    # The door.

    def call(self, method: str, path: str, *, status: int = 200, **words: Any) -> Any:
        """The answer's JSON; the status must be the one expected."""
        answer = self.http.request(method, path, **words)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, params=query)

    def submit(self, status: int = 200, **words: Any) -> Any:
        """POST /orders."""
        return self.call("POST", "/api/oms/orders", json=words, status=status)

    def order(self, order_id: str) -> Any:
        return self.get(f"/api/oms/orders/{order_id}")

    def cash(self, account: str) -> Decimal:
        return Decimal(self.get(f"/api/oms/accounts/{account}")["cash"])

    def fills(self, account: str) -> list[dict[str, Any]]:
        """Every fill of an account, oldest first."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            query = {"account": account, "limit": 1000} | ({"cursor": cursor} if cursor else {})
            page = self.get("/api/oms/fills", **query)
            found += page["fills"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found[::-1]

    def ready(self) -> bool:
        """Whether every service says it is."""
        try:
            return self.http.get("/system/status").json()["status"] == "ready"
        except (httpx.HTTPError, ValueError, KeyError):
            return False

    def await_ready(self, timeout_s: float = 30) -> None:
        wait_until(self.ready, "every service to be ready", timeout_s)

    def await_status(self, order_id: str, *statuses: str, timeout_s: float = 20) -> Any:
        """The order once its status is one of these."""
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.order(order_id))
            return seen["status"] in statuses

        try:
            wait_until(there, f"{order_id} to be {statuses}", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}: {seen}; the venue: {self._at_venue(order_id)}") from None
        return seen

    def _at_venue(self, order_id: str) -> str:
        return self.http.get(f"/api/live-gateway/orders/{order_id}").text

    def replay(self, path: Path, *, status: int = 202, **words: Any) -> Any:
        return self.call("POST", "/api/gateway/replay", json={"path": str(path), **words}, status=status)

    def await_replay(self, id: str, timeout_s: float = 120) -> Any:
        """The replay's account of itself once it is over."""

        def over() -> bool:
            return self.get(f"/api/gateway/replays/{id}")["state"] != "RUNNING"

        wait_until(over, f"replay {id} to end", timeout_s)
        return self.get(f"/api/gateway/replays/{id}")

    def await_count(self, table: str, count: int, timeout_s: float = 60) -> None:
        """Until the tape holds so many rows."""

        def held() -> bool:
            try:
                return self.get(f"/api/sink-ticks/count/{table}")["count"] >= count
            except AssertionError:
                return False

        wait_until(held, f"{count} rows of {table}", timeout_s)


@contextmanager
def running(var: Path, **environment: str) -> Iterator[Suite]:
    """A suite that is up and ready, and gone afterwards."""
    suite = Suite(var, environment)
    try:
        suite.up()
        suite.await_ready()
        yield suite
    except BaseException:
        sys.stdout.write(suite.run("logs", "-n", "60", check=False).stdout[-20_000:])
        raise
    finally:
        suite.down()
