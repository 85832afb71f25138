"""Documents come in by the front door and over NATS, and are found again, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.tables import LAKE_DOCUMENTS
from shared.kit.lake import open_lake
from shared.kit.settings import Suite as SuiteSettings
from tests.journeys.rig import Suite, running
from tests.opensearch_server import OpenSearchServer
from tests.servers import wait_until

pytestmark = pytest.mark.suite

AT = "2026-01-31T09:30:00.5Z"
BAD = (b"no JSON", b'{"title": "without a time"}', b'{"timestamp": "yesterday", "category": "news"}')


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with running(tmp_path_factory.mktemp("documents") / "var", SINK_ALT_LAKE_WAIT_S="0.5") as suite:
        yield suite


def document(title: str, **words: Any) -> dict[str, Any]:
    return {"timestamp": AT, "category": "news", "source": "wire", "title": title} | words


def send(suite: Suite, title: str, **words: Any) -> str:
    """The id of a document, once the suite has it."""
    return suite.call("POST", "/api/sink-alt/documents", json=document(title, **words), status=202)["id"]


def titles(suite: Suite, **query: Any) -> list[str]:
    return [one["title"] for one in suite.get("/api/sink-alt/search", **query)["documents"]]


def await_found(suite: Suite, title: str, **query: Any) -> None:
    def there() -> bool:
        try:
            return title in titles(suite, **query)
        except AssertionError:  # it is being started anew
            return False

    wait_until(there, f"{title} to be found")


def test_a_document_that_was_sent_is_found_also_after_a_crash(suite: Suite) -> None:
    words = {"body": "The central bank cut its rate.", "symbols": ["btc/usdt"], "sentiment": 0.5, "tags": ["Rates"]}
    id = send(suite, "A surprise in Zürich", **words)
    await_found(suite, "A surprise in Zürich", q="zurich")

    suite.kill("sink-alt")
    await_found(suite, "A surprise in Zürich", q='"central bank" -fed', symbol="BTC-USDT", category="news")

    [found] = suite.get("/api/sink-alt/search", q="surp*", **{"from": AT, "to": "2026-02-01T00:00:00Z"})["documents"]
    assert (found["id"], found["timestamp"], found["symbols"], found["tags"]) == (id, AT, ["BTCUSDT"], ["rates"])
    whole = suite.get(f"/api/sink-alt/documents/{id}")
    assert (whole["body"], whole["sentiment"]) == (words["body"], 0.5)
    assert titles(suite, q="surprise", to=AT) == []


def test_what_is_wrong_is_told_by_name(suite: Suite) -> None:
    def told(method: str, path: str, **words: Any) -> tuple[str, str]:
        answer = suite.call(method, f"/api/sink-alt{path}", status=422, **words)
        return answer["code"], answer["errors"][0]["field"]

    assert told("GET", "/search?q=%22open") == ("BAD_QUERY", "q")
    assert told("GET", "/search?from=today") == ("INVALID", "from")
    assert told("GET", "/search?limit=0") == ("INVALID", "limit")
    assert told("GET", "/search?cursor=x") == ("INVALID", "cursor")
    assert told("GET", "/search?since=x") == ("INVALID", "since")
    assert told("POST", "/documents", json=document("x", timestamp="soon")) == ("INVALID", "timestamp")
    assert told("POST", "/documents", json=document("x", timestamp="2100-01-01T00:00:00Z")) == ("INVALID", "timestamp")
    assert told("POST", "/documents", json=document(" ")) == ("INVALID", "title")
    assert told("POST", "/documents", json=document("x", category="no.dots")) == ("INVALID", "category")
    assert told("POST", "/documents", json=document("x", url="javascript:alert(1)")) == ("INVALID", "url")
    assert told("POST", "/documents", json=document("x", sentiment=2)) == ("INVALID", "sentiment")
    broken = b'{"timestamp": "%b", "category": "news", "source": "a", "title": "\\ud800"}' % AT.encode()
    assert told("POST", "/documents", content=broken, headers={"content-type": "application/json"})[1] == "title"
    assert suite.http.get("/api/sink-alt/documents/none").status_code == 404


async def test_every_message_has_one_outcome_in_each_store_whatever_is_killed(suite: Suite) -> None:
    before = suite.get("/api/sink-alt/stats")
    client = await suite.nats()
    stream = client.jetstream()
    produced = (await stream.stream_info("ALT")).state.last_seq
    for n in range(300):
        body = json.dumps(document(f"item {n % 200}", body=f"text {n % 200}")).encode()
        await stream.publish("alt.norm.news", BAD[n // 100] if n % 100 == 50 else body)
        if n in (60, 140, 220):
            os.kill(suite.processes()["sink-alt"]["pid"], signal.SIGKILL)
    await client.close()

    def settled() -> bool:
        try:
            told = suite.call("POST", "/api/sink-alt/flush")
        except AssertionError:
            return False
        return told["unread"] == 0 and produced + 300 - len(BAD) == sum(told["into_lake"].values())

    wait_until(settled, "everything to be dealt with", timeout_s=60)
    told = suite.get("/api/sink-alt/stats")
    # Of 300 messages three were no documents, so that items 50 and 150 were never said; 99 said what others had.
    for into in ("into_search", "into_lake"):
        grown = {what: count - before[into].get(what, 0) for what, count in told[into].items()}
        assert {what: count for what, count in grown.items() if count} == {"stored": 198, "duplicate": 99}, into
    assert suite.call("POST", "/api/sink-alt/flush")["documents"] == told["into_search"]["stored"]
    assert await in_lake(suite.var) == told["into_lake"]["stored"]


@pytest.mark.opensearch
def test_a_search_that_is_away_holds_up_itself_alone(opensearch: OpenSearchServer, tmp_path: Path) -> None:
    words = {"SINK_ALT_LAKE_WAIT_S": "0.5", "TRADE2026_OPENSEARCH": opensearch.url}
    with running(tmp_path / "var", **words) as suite:

        def stored(into: str) -> int:
            return suite.get("/api/sink-alt/stats")[f"into_{into}"].get("stored", 0)

        def not_ready() -> list[str]:
            return [one["name"] for one in suite.http.get("/api/sink-alt/readyz").json()["checks"] if not one["ok"]]

        send(suite, "Before", category="away")
        await_found(suite, "Before", q="before", category="away")
        opensearch.kill()
        send(suite, "Meanwhile", category="away")
        wait_until(lambda: stored("lake") == 2, "the lake to have both")
        assert (stored("search"), not_ready()) == (1, ["search"])
        assert suite.http.get("/api/sink-alt/search").status_code == 503
        opensearch.start()
        await_found(suite, "Meanwhile", q="meanwhile", category="away")
        assert titles(suite, category="away") == ["Meanwhile", "Before"]
        assert stored("search") == 2
        wait_until(lambda: not not_ready(), "the sink to be ready")


async def in_lake(var: Path) -> int:
    lake = open_lake(SuiteSettings(var=var))
    try:
        return await lake.count(LAKE_DOCUMENTS)
    finally:
        await lake.close()
