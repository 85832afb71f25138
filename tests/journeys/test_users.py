"""A suite whose NATS and Valkey know their users: it trades, nobody else does, and who is refused says why."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from shared.cli.users import NATS_USERS, VALKEY_USERS, make_passwords, write_rules
from shared.contract.roster import NATS_PORT, ROSTER, VALKEY_PORT
from shared.kit.settings import password_file
from tests.journeys.rig import Suite, running
from tests.kit.test_life import Process
from tests.servers import nats_server, valkey_server, wait_until
from tests.suite.test_subjects import wired

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("users") / "var") as up:
        wait_until(lambda: all(one["ask"] for one in up.get("/api/gateway/tickers")), "the simulated market to quote")
        yield up


def test_all_that_the_services_do_they_may(suite: Suite) -> None:
    bought = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01", strategy="one")
    suite.await_status(bought["order_id"], "FILLED")
    rests = suite.submit(symbol="BTCUSDT", side="BUY", type="LIMIT", price="1000", quantity="0.01")
    suite.call("DELETE", f"/api/oms/orders/{rests['order_id']}")
    suite.call("POST", "/api/oms/reconcile", params={"account": "default", "venue": "paper"})
    suite.call("POST", "/api/risk/kill", json={"scope": "symbol.SPY", "reason": "seen", "actor": "ada"})
    suite.call("DELETE", "/api/risk/kill/symbol.SPY", params={"actor": "grace"})
    suite.get(f"/api/oms/orders/{bought['order_id']}/why")
    suite.await_count("fills", 1)
    suite.call("POST", "/api/sink-ticks/flush")

    told = {entry.name: suite.get(f"/api/{entry.name}/stats") for entry in ROSTER if entry.name != "orchestrator"}
    assert {name: stats["bus_refused"] for name, stats in told.items()} == dict.fromkeys(told, 0)
    with suite.valkey() as store:
        assert store.acl_log() == []
    assert "iolation" not in (suite.var / "log" / "nats.log").read_text()


def test_a_stranger_neither_says_nor_reads_anything(suite: Suite) -> None:
    with socket.create_connection(("127.0.0.1", NATS_PORT + suite.offset), 5) as line, line.makefile("rb") as told:
        assert told.readline().startswith(b"INFO ")
        line.sendall(b"CONNECT {}\r\nPUB fills.default 2\r\n{}\r\n")
        assert told.readline() == b"-ERR 'Authorization Violation'\r\n"
    with Redis(port=VALKEY_PORT + suite.offset) as store, pytest.raises(NoPermissionError):
        store.get("order:{default}:1")


def test_a_password_is_for_its_owner_and_in_no_log(suite: Suite) -> None:
    passwords = make_passwords(suite.var / "secrets").values()
    files = [path for path in (suite.var / "secrets").iterdir() if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    for path in (suite.var / "log").iterdir():
        assert not any(password in path.read_text(errors="replace") for password in passwords), path.name


@pytest.mark.parametrize("wrong_at", ["nats", "valkey"])
def test_who_is_not_known_says_so_and_goes_on_trying(tmp_path: Path, wrong_at: str) -> None:
    secrets = tmp_path / "secrets"
    write_rules(secrets, {entry.name: wired(entry) for entry in ROSTER})
    right = (secrets / password_file("oms")).read_text().strip()
    users = {"nats": secrets / NATS_USERS, "valkey": secrets / VALKEY_USERS}
    there = users[wrong_at].read_text()
    # The server takes whom it knows for somebody else.
    users[wrong_at].write_text(there.replace("user: oms", "user: other").replace("user oms", "user other"))
    bus, store = nats_server(tmp_path, users["nats"]), valkey_server(tmp_path)
    store.command += ["--aclfile", str(users["valkey"])]
    for server in (bus, store):
        server.start()
    words = {"TRADE2026_NATS_URL": f"nats://127.0.0.1:{bus.port}", "TRADE2026_SECRETS": str(secrets)}
    oms = Process("oms", tmp_path, **words, TRADE2026_VALKEY_URL=f"redis://127.0.0.1:{store.port}")
    try:
        refusal = f"{wrong_at.title().replace('Nats', 'NATS')} refuses user oms"
        wait_until(lambda: refusal in _readyz(oms), "the refusal to be told")
        users[wrong_at].write_text(there)
        server = bus if wrong_at == "nats" else store
        server.kill()
        server.start()
        wait_until(lambda: oms.status() == 200, "the oms to be let in", 40)
    finally:
        oms.process.terminate()
        _, said = oms.end()
        for server in (bus, store):
            server.stop()
    assert refusal in said
    assert "run `trade2026 secrets`" in said
    assert right not in said


def _readyz(process: Process) -> str:
    try:
        return httpx.get(f"{process.url}/readyz", trust_env=False, timeout=5).text
    except httpx.HTTPError:
        return ""
