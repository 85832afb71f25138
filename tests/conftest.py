"""Fixtures every test may use."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from shared.kit.fakes import FakeKit, fake_kit
from tests.opensearch_server import OpenSearchServer
from tests.questdb_server import QuestServer
from tests.seaweedfs_server import Seaweed
from tests.servers import Server, nats_server, valkey_server

CHECKOUT = Path(__file__).resolve().parents[1]
IN_CI = bool(os.environ.get("CI"))

# Whatever secrets the checkout holds are not for tests: their servers know nobody, or users of their own.
os.environ["TRADE2026_SECRETS"] = str(CHECKOUT / "var" / "no-secrets")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stands on an engine is run by `make containers`."""
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()):
            item.add_marker("container")


@pytest.fixture
def kit() -> FakeKit:
    """A kit over the twins."""
    return fake_kit()


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real NATS for the whole run."""
    server = nats_server(tmp_path_factory.mktemp("nats")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real Valkey for the whole run."""
    server = valkey_server(tmp_path_factory.mktemp("valkey")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of recorded market data. Absent: the test is skipped, but in CI it fails."""
    folder = Path(os.environ.get("TRADE2026_DATA", CHECKOUT.parent / "shared" / "data"))
    if not folder.is_dir():
        reason = f"recorded market data wanted in {folder} (or where TRADE2026_DATA says)"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def questdb_jar() -> str:
    """The jar of QuestDB's server. Without it the tests are skipped, but in CI they fail."""
    jar = os.environ.get("TRADE2026_QUESTDB_JAR")
    if not jar:
        reason = "TRADE2026_QUESTDB_JAR must name a QuestDB jar"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    return jar


@pytest.fixture(scope="session")
def questdb(questdb_jar: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestServer]:
    """A real QuestDB for the whole run."""
    server = QuestServer(questdb_jar, tmp_path_factory.mktemp("questdb")).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def opensearch() -> Iterator[OpenSearchServer]:
    """A real OpenSearch for the whole run. Without its zip the tests are skipped, but in CI they fail."""
    archive = os.environ.get("TRADE2026_OPENSEARCH_ZIP")
    if not archive:
        reason = "TRADE2026_OPENSEARCH_ZIP must name OpenSearch's zip"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    server = OpenSearchServer(archive)
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A real SeaweedFS for the whole run."""
    server = Seaweed(tmp_path_factory.mktemp("seaweedfs")).start()
    yield server
    server.kill()


Closer = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture
async def closing() -> AsyncIterator[Closer]:
    """Call it with what must be closed at the end of the test; the last is closed first."""
    closers: list[Callable[[], Awaitable[None]]] = []
    yield closers.append
    for close in reversed(closers):
        await close()
