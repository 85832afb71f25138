"""What watches the suite: it scrapes every service, and asks only for what is there to be asked for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from websockets.sync.client import connect

from shared.contract.roster import ROSTER
from tests.journeys.rig import Suite, running
from tests.programs import from_debian
from tests.servers import Server, free_port, wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
HERE = CHECKOUT / "config" / "observability"
BOARDS = sorted((HERE / "grafana" / "boards").glob("*.json"))
LANES = {"frontend": "F", "lowlatency": "L", "backend": "B"}
COMPOSE = yaml.safe_load((CHECKOUT / "docker-compose.observability.yml").read_text())

every_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def scraped() -> dict[str, Any]:
    return yaml.safe_load((HERE / "prometheus.yml").read_text())


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((HERE / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def board(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def asked(path: Path) -> Iterator[str]:
    """A board's expressions, with its constants filled in."""
    known = board(path)
    for target in (target for panel in known["panels"] for target in panel["targets"]):
        expression = target["expr"]
        for variable in known["templating"]["list"]:
            expression = expression.replace(f"${variable['name']}", variable["query"])
        yield expression


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [one for path in BOARDS for one in asked(path)]


# What an expression speaks of.

TEXT = re.compile(r'"[^"]*"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(r"([a-zA-Z_]\w*)\s*\{([^}]*)\}")
NO_NAME = re.compile(r"\[[^]]*\]|\b\d[\w.]*|\b(?:and|or|unless|bool|offset|group_left|group_right)\b|\b\w+\s*\(")
NAME = re.compile(r"[a-zA-Z_]\w*")


@dataclass(frozen=True)
class Spoken:
    """The metrics that an expression names, each with the labels its braces ask for; and the labels it groups by."""

    metrics: dict[str, set[str]]
    groupings: set[str]


def spoken(expression: str) -> Spoken:
    """Cuts out of an expression what is understood, until only the bare names of metrics are left."""
    rest = TEXT.sub("", expression)
    groupings = {label for inside in GROUPING.findall(rest) for label in NAME.findall(inside)}
    rest = GROUPING.sub(" ", rest)
    metrics: dict[str, set[str]] = {}
    for metric, inside in SELECTOR.findall(rest):
        metrics.setdefault(metric, set()).update(NAME.findall(inside))
    for metric in NAME.findall(NO_NAME.sub(" ", SELECTOR.sub(" ", rest))):
        metrics.setdefault(metric, set())
    return Spoken(metrics, groupings)


@pytest.mark.parametrize(
    ("expression", "metrics", "groupings"),
    [
        ("up == 0", {"up": set()}, set()),
        ('rate(a_total{of="x", is!~"y|z"}[5m]) > 0.5', {"a_total": {"of", "is"}}, set()),
        ("sum by (service, le) (rate(a_bucket[1m]))", {"a_bucket": set()}, {"service", "le"}),
        ("a / on (of) group_left (is) b unless c offset 15m", {"a": set(), "b": set(), "c": set()}, {"of", "is"}),
        ("histogram_quantile(0.95, sum(a) by (le))", {"a": set()}, {"le"}),
    ],
)
def test_metrics_and_labels_are_told_from_functions(expression: str, metrics: Any, groupings: set[str]) -> None:
    assert spoken(expression) == Spoken(metrics, groupings)


# The drawing.


def test_prometheus_scrapes_the_roster() -> None:
    suite = next(job for job in scraped()["scrape_configs"] if job["job_name"] == "suite")
    found = [(*one["names"], one["port"]) for one in suite["dns_sd_configs"]]
    assert sorted(found) == sorted((entry.name, entry.port) for entry in ROSTER)


def test_prometheus_shares_a_lane_with_every_service() -> None:
    letters = {LANES[lane] for lane in COMPOSE["services"]["prometheus"]["networks"]}
    assert [entry.name for entry in ROSTER if not letters & set(entry.lanes)] == []


def test_a_service_that_is_gone_is_missed() -> None:
    gone = next(rule["expr"] for rule in rules() if rule["alert"] == "ServiceGone")
    assert sorted(re.findall(r'service="([^"]+)"', gone)) == sorted(entry.name for entry in ROSTER)


def test_an_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "mend"}, rule["alert"]


def test_an_alert_is_known_to_speak_up() -> None:
    tests = (HERE / "alerts.test.yml").read_text()
    assert [rule["alert"] for rule in rules() if rule["alert"] not in tests] == []


@pytest.mark.parametrize("lane", LANES)
def test_a_lane_has_a_board_of_its_services(lane: str) -> None:
    [services] = board(HERE / "grafana" / "boards" / f"{lane}.json")["templating"]["list"]
    assert services["query"].split("|") == [entry.name for entry in ROSTER if LANES[lane] in entry.lanes]


@every_board
def test_a_board_is_well_laid_out(path: Path) -> None:
    known = board(path)
    panels = known["panels"]
    source = yaml.safe_load((HERE / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    taken = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken)
    assert all(x < 24 for x, _ in taken)
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} <= {one["uid"] for one in source["datasources"]}


def test_boards_have_names_of_their_own() -> None:
    assert len({board(path)["uid"] for path in BOARDS}) == len({board(path)["title"] for path in BOARDS}) == len(BOARDS)


def test_nobody_gets_in_without_a_password_of_his_own() -> None:
    grafana = COMPOSE["services"]["grafana"]
    assert grafana["environment"]["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert grafana["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] == "/run/secrets/grafana_admin_password"
    assert COMPOSE["secrets"]["grafana_admin_password"]["file"].endswith(":-./secrets/grafana_admin_password}")


def test_a_watcher_is_hardened_and_named_by_a_variable() -> None:
    for name, service in COMPOSE["services"].items():
        assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:v?[\d.]+\}", service["image"]), name
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for volume in service["volumes"]:
            assert not volume.startswith("./") or volume.endswith(":ro"), name


# What Prometheus and Alertmanager say to it.


@pytest.fixture(scope="module")
def promtool() -> Path:
    return from_debian("prometheus", "promtool")


def told(*command: object, folder: Path = HERE) -> str:
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_rules_and_do_as_their_tests_say(promtool: Path) -> None:
    told(promtool, "check", "rules", "alerts.yml")
    told(promtool, "test", "rules", "alerts.test.yml")


def test_alertmanager_takes_its_configuration() -> None:
    told(from_debian("prometheus-alertmanager", "amtool"), "check-config", "alertmanager.yml")


# Against a suite that trades.


@dataclass(frozen=True)
class Watch:
    """A Prometheus that scrapes a suite."""

    url: str

    def ask(self, path: str, **query: str) -> Any:
        answer = httpx.post(f"{self.url}/api/v1/{path}", data=query, trust_env=False)
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return answer.json()["data"]

    def labels(self, metric: str) -> set[str]:
        """The labels of a metric's series; none when there is no such metric."""
        return {label for series in self.ask("series", **{"match[]": metric}) for label in series}

    def sees(self, expression: str) -> bool:
        return bool(self.ask("query", query=expression)["result"])


def _everywhere_here(suite: Suite, machine: int, folder: Path) -> Path:
    """The configuration as it is shipped, with every name turned into a port of this machine."""
    words = scraped()
    words["global"] |= {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "1s"}
    words["rule_files"] = [str(HERE / "alerts.yml")]
    services, host = words["scrape_configs"]
    services["static_configs"] = [
        {"targets": [f"127.0.0.1:{one['port'] + suite.offset}"], "labels": {"__meta_dns_name": one["names"][0]}}
        for one in services.pop("dns_sd_configs")
    ]
    host["static_configs"] = [{"targets": [f"127.0.0.1:{machine}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(words))
    return folder / "prometheus.yml"


def _trade(suite: Suite) -> None:
    """A fill, a denial, a resting order, a reader of the account, a message nobody understands, and a kill."""
    bought = suite.submit(symbol="BTCUSDT", side="BUY", quantity="0.01")
    suite.await_status(bought["order_id"], "FILLED")
    suite.submit(symbol="BTCUSDT", side="BUY", quantity="100000", status=422)
    suite.submit(symbol="BTCUSDT", side="BUY", type="LIMIT", price="1000", quantity="0.01")
    with connect(f"ws://127.0.0.1:{8000 + suite.offset}/api/oms/ws/accounts/default", proxy=None) as reader:
        reader.recv(timeout=10)
    _say_nonsense(suite)
    suite.call("POST", "/api/risk/kill", json={"scope": "symbol.SPY", "reason": "seen", "actor": "ada"})


def _say_nonsense(suite: Suite) -> None:
    import asyncio

    async def say() -> None:
        line = await suite.nats()
        await line.jetstream().publish("orders.default.report", b"nonsense")
        await line.close()

    asyncio.run(say())
    wait_until(lambda: suite.get("/api/oms/stats").get("parked", 0), "the nonsense to be parked")


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """Prometheus with the shipped rules, looking at a suite that has traded."""
    prometheus = from_debian("prometheus", "prometheus")
    exporter = from_debian("prometheus-node-exporter", "prometheus-node-exporter")
    flags = COMPOSE["services"]["node-exporter"]["command"][1:]
    folder, machine, port = tmp_path_factory.mktemp("watch"), free_port(), free_port()
    with running(folder / "var") as suite:
        config = _everywhere_here(suite, machine, folder)
        options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        servers = [
            Server([str(exporter), f"--web.listen-address=127.0.0.1:{machine}", *flags], machine),
            Server([str(prometheus), *options, f"--web.listen-address=127.0.0.1:{port}"], port),
        ]
        try:
            for server in servers:
                server.start()
            _trade(suite)
            watch = Watch(f"http://127.0.0.1:{port}")
            wait_until(lambda: watch.sees('ALERTS{alertname="KillOn",alertstate="firing"}'), "the alert", 60)
            wait_until(lambda: watch.sees("trade2026_parked_total"), "everything to be scraped", 60)
            yield watch
        finally:
            for server in servers:
                server.stop()


@pytest.mark.suite
def test_every_service_and_the_machine_are_scraped(watch: Watch) -> None:
    def up() -> set[tuple[str, str | None]]:
        answering = watch.ask("query", query="up == 1")["result"]
        return {(one["metric"]["job"], one["metric"].get("service")) for one in answering}

    wanted = {("suite", entry.name) for entry in ROSTER} | {("machine", None)}
    wait_until(lambda: up() == wanted, f"all of these to answer: {wanted}", 60)


@pytest.mark.suite
def test_what_is_asked_for_is_there(watch: Watch) -> None:
    missing: set[str] = set()
    for expression in expressions():
        found = spoken(expression)
        known: set[str] = set()
        for metric, labels in found.metrics.items():
            there = watch.labels(metric)
            known |= there
            missing |= {f"{metric}{{{label}}}" for label in labels - there} if there else {metric}
        missing |= {f"{label} of: {expression}" for label in found.groupings - known}
    assert sorted(missing) == []


@pytest.mark.suite
def test_what_is_asked_is_answered(watch: Watch) -> None:
    for expression in expressions():
        watch.ask("query", query=expression)


@pytest.mark.suite
def test_a_board_shows_something_in_every_panel(watch: Watch) -> None:
    """Save where there is nothing to be shown as long as nothing fails."""
    for expression in (one for path in BOARDS for one in asked(path)):
        if 'status=~"5..' not in expression:
            wait_until(partial(watch.sees, expression), f"something of {expression}", 30)
