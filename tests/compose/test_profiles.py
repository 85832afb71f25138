"""What is only there when it is asked for: search, and the edge."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.compose.containers import Containers
from tests.compose.test_lanes import PROBE
from tests.servers import free_port
from tests.suite.test_edge import certified

pytestmark = pytest.mark.suite


@pytest.fixture(scope="module")
def search(containers: Containers) -> Iterator[httpx.Client]:
    containers.up_beside("search", "opensearch")
    with httpx.Client(base_url="http://127.0.0.1:9200", trust_env=False, timeout=20) as http:
        yield http


def found(search: httpx.Client) -> list[str]:
    hits = search.get("/notes/_search", params={"q": "text:mended"}).json()["hits"]["hits"]
    return [hit["_id"] for hit in hits]


def test_what_was_indexed_is_found_also_after_a_crash(containers: Containers, search: httpx.Client) -> None:
    words = {"text": "the bar was mended by a late tick"}
    assert search.put("/notes/_doc/1", params={"refresh": "true"}, json=words).status_code == 201
    assert found(search) == ["1"]
    containers.crash("opensearch")
    assert found(search) == ["1"]


def test_search_is_to_be_had_on_the_backend_lane_alone(containers: Containers, search: httpx.Client) -> None:
    [(lane, one)] = containers.inspect("opensearch")["NetworkSettings"]["Networks"].items()
    assert lane == "trade2026-backend"
    at = one["IPAddress"]
    words = {"names": ["opensearch"], "places": [(at, 9200), (at, 9300)]}
    assert containers.python("gateway", PROBE, words) == {"names": {"opensearch": []}, "places": [False, False]}
    assert containers.python("oms", PROBE, words) == {"names": {"opensearch": [at]}, "places": [True, False]}


def test_the_edge_leads_to_the_front_door(containers: Containers, tmp_path: Path) -> None:
    certificate, port = certified(tmp_path), free_port()
    chosen = {"EDGE_CERTIFICATE_FILE": str(certificate), "EDGE_KEY_FILE": str(certificate.with_name("edge_key"))}
    chosen |= {"EDGE_PORT": str(port), "EDGE_PLAIN_PORT": str(free_port())}
    for path in certificate.parent.iterdir():
        path.chmod(0o644)
    edged = replace(containers, environment=chosen)
    edged.up_beside("edge", "edge")
    edged.http.close()

    trust = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(base_url=f"https://localhost:{port}", verify=trust, trust_env=False, timeout=20) as http:
        assert http.get("/system/status").json()["status"] == "ready"
        assert http.get("/nowhere").status_code == 404
