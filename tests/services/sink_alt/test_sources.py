"""Sources on a local HTTP server that does everything a server may do to whoever asks it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.sink_alt.feeds.fetching import Fetcher, FetchError
from services.sink_alt.service import wire
from services.sink_alt.settings import Settings, Source
from shared.contract.documents import Document
from shared.contract.subjects import DOCUMENT
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from tests.conftest import Closer

PAGES = Path(__file__).with_name("pages")
RSS = (PAGES / "rss.xml").read_bytes()
TYPE = "application/rss+xml"
BOMB = gzip.compress(bytes(50_000_000))

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Site:
    """A server whose pages a test says."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[web.Request] = []
        self.released = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{page:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        [(_, self.port)] = self._runner.addresses

    async def stop(self) -> None:
        self.released.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.answers[request.path](request)

    def url(self, page: str) -> str:
        return f"http://127.0.0.1:{self.port}{page}"

    def gives(self, page: str, body: bytes = RSS, status: int = 200, **headers: str) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return web.Response(body=body, status=status, headers={"Content-Type": TYPE} | named)

        self.answers[page] = answer


@pytest.fixture
def kit() -> FakeKit:
    """The day after the pages were written."""
    return fake_kit(clock=FakeClock(1_769_900_000_000_000_000))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    await site.start()
    yield site
    await site.stop()


class Reader:
    """A sink with sources, visited when the test says."""

    def __init__(self, kit: FakeKit, *sources: Source, timeout_s: float = 10) -> None:
        self.kit = kit
        self.service = wire(kit, Settings(sources=sources, source_timeout_s=timeout_s, source_bytes_max=100_000))
        self.poll = next(row.handler for row in self.service.every if row.handler.__name__ == "poll")

    async def visit(self, after_s: float = 300) -> list[Document]:
        """What is said when so much time has passed."""
        before = len(self.kit.bus.said)
        self.kit.clock.advance(after_s)  # type: ignore[attr-defined]
        await self.poll()
        return [message for _, message in self.kit.bus.said[before:]]  # type: ignore[misc]

    def metrics(self) -> str:
        return self.kit.meter.exposition().decode()

    def counted(self, source: str, outcome: str) -> bool:
        return (
            f'trade2026_source_visits_total{{outcome="{outcome}",service="test",source="{source}"}}' in self.metrics()
        )


@pytest.fixture
def reader(kit: FakeKit, site: Site, closing: Closer) -> Callable[..., Reader]:
    def made(*pages: str, timeout_s: float = 10, **words: Any) -> Reader:
        named = [Source(name=page.strip("/"), url=site.url(page), **{"private": True} | words) for page in pages]
        opened = Reader(kit, *named, timeout_s=timeout_s)
        closing(kit.search.close)
        closing(opened.service.closes)
        return opened

    return made


Make = Callable[..., Reader]


async def test_what_a_source_has_is_said_once(site: Site, reader: Make) -> None:
    site.gives("/feed")
    wire = reader("/feed")

    assert [one.title for one in await wire.visit()] == ["Bitcoin & gold rise", "Whole text"]
    assert await wire.visit() == []
    site.gives("/feed", RSS.replace(b"Whole text", b"Another text"))
    assert [one.title for one in await wire.visit()] == ["Another text"]
    assert 'trade2026_source_entries_total{outcome="broken",service="test",source="feed"} 6.0' in wire.metrics()


async def test_a_source_is_asked_when_it_is_due(site: Site, reader: Make) -> None:
    site.gives("/feed")
    wire = reader("/feed", every_s=60)
    for after_s in (0, 30, 29, 1, 59):
        await wire.visit(after_s)
    assert len(site.asked) == 2


async def test_a_server_is_told_what_is_known_already_also_after_a_restart(
    site: Site, reader: Make, kit: FakeKit, closing: Closer
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304)
        return web.Response(body=RSS, headers={"ETag": '"v1"', "Last-Modified": "Sat, 31 Jan 2026 09:30:00 GMT"})

    site.answers["/feed"] = answer
    first = reader("/feed")
    await first.visit()
    assert await first.visit() == []
    again = Reader(kit, *[Source(name="feed", url=site.url("/feed"), private=True)])
    closing(again.service.closes)
    assert await again.visit() == []

    assert [request.headers.get("If-None-Match") for request in site.asked] == [None, '"v1"', '"v1"']
    assert site.asked[1].headers["If-Modified-Since"] == "Sat, 31 Jan 2026 09:30:00 GMT"
    assert first.counted("feed", "unchanged")


async def test_what_could_not_be_said_is_asked_for_again(site: Site, reader: Make) -> None:
    site.gives("/feed", ETag='"v1"')
    wire = reader("/feed")
    wire.kit.bus.away = True
    assert await wire.visit() == []
    wire.kit.bus.away = False
    assert len(await wire.visit(5)) == 2
    assert "If-None-Match" not in site.asked[1].headers


async def slowly(site: Site) -> web.StreamResponse:
    await site.released.wait()
    return web.Response()


async def half(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Length": str(len(RSS)), "Content-Type": TYPE})
    await answer.prepare(request)
    await answer.write(RSS[:500])
    assert request.transport is not None
    request.transport.close()
    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    while True:
        await answer.write(b"<item>" * 10_000)


def redirecting(to: str, status: int = 302) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": to})

    return answer


async def bomb(_: web.Request) -> web.StreamResponse:
    return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})


async def test_one_that_fails_stops_no_other_and_its_fault_is_counted(site: Site, reader: Make) -> None:
    site.gives("/error", status=500)
    site.gives("/gone", status=404)
    site.gives("/garbage", b"\x00\xff nothing of the kind")
    site.gives("/signin", b"<html><body>Sign in</body></html>", Content_Type="text/html")
    site.answers |= {"/half": half, "/endless": endless, "/bomb": bomb}
    site.answers |= {"/loop": redirecting("/loop"), "/away": redirecting("ftp://x.example/feed")}
    site.gives("/good")
    faults = {"/error": "status_500", "/gone": "status_404", "/garbage": "unreadable", "/signin": "unreadable"}
    faults |= {"/half": "broken", "/endless": "too_large", "/bomb": "too_large"}
    faults |= {"/loop": "redirected", "/away": "redirected"}
    wire = reader(*faults, "/good")

    assert [one.source for one in await wire.visit()] == ["good", "good"]
    for page, outcome in faults.items():
        assert wire.counted(page.strip("/"), outcome), (page, wire.metrics())
    assert wire.counted("good", "read")
    assert sum(request.path == "/loop" for request in site.asked) == 6


async def test_one_that_takes_too_long_is_given_up(site: Site, reader: Make) -> None:
    site.answers["/slow"] = lambda _: slowly(site)
    wire = reader("/slow", timeout_s=0.5)
    assert await wire.visit() == []
    assert wire.counted("slow", "timeout")


async def test_after_failures_a_source_is_asked_less_often_until_it_answers(site: Site, reader: Make) -> None:
    site.gives("/feed", status=500)
    wire = reader("/feed", every_s=60)
    waits: list[int] = []
    for _ in range(3):
        asked, waited = len(site.asked), 0
        while len(site.asked) == asked:
            await wire.visit(60)
            waited += 1
        waits.append(waited)
    assert waits == [1, 2, 4]
    site.gives("/feed")
    assert len(await wire.visit(8 * 60)) == 2
    assert wire.service.stats()["source_failures"] == {"feed": 0}
    await wire.visit(60)
    assert len(site.asked) == 5


async def test_a_server_that_says_when_to_come_again_is_obeyed(site: Site, reader: Make) -> None:
    site.gives("/feed", status=429, Retry_After="1000")
    wire = reader("/feed", every_s=60)
    for _ in range(17):
        await wire.visit(60)
    assert len(site.asked) == 1
    await wire.visit(60)
    assert len(site.asked) == 2


async def test_a_redirect_is_followed(site: Site, reader: Make) -> None:
    site.answers["/old"] = redirecting("new?page=1", 301)
    site.gives("/new")
    assert len(await reader("/old").visit()) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_address_of_our_own_is_not_asked_by_whatever_way_it_is_named(
    site: Site, reader: Make, status: int
) -> None:
    site.gives("/feed")
    wire = reader("/feed", private=False)
    assert await wire.visit() == []
    assert site.asked == []
    assert wire.counted("feed", "private")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "172.22.0.2", "100.64.0.1", "0.0.0.0",
        "[::1]", "[::ffff:127.0.0.1]", "[fd00::1]", "[fe80::1]", "[2002:7f00:1::]", "0x7f.1",
        "224.0.0.1", "[::ffff:a00:1]", "[64:ff9b::7f00:1]",
    ],
)  # fmt: skip
async def test_no_private_address_is_connected_to(site: Site, host: str, closing: Closer) -> None:
    fetcher = Fetcher(timeout_s=2, bytes_max=10_000)
    closing(fetcher.close)
    with pytest.raises(FetchError) as told:
        await fetcher.fetch(Source(name="x", url=f"http://{host}:{site.port}/feed"), {})
    assert told.value.reason == "private"
    assert site.asked == []


@pytest.mark.parametrize("host", ["2130706433", "127.1", "[::1%25lo]", "", "a..b"])
async def test_an_address_that_is_written_strangely_is_not_connected_to(site: Site, host: str, closing: Closer) -> None:
    fetcher = Fetcher(timeout_s=2, bytes_max=10_000)
    closing(fetcher.close)
    with pytest.raises(FetchError):
        await fetcher.fetch(Source(name="x", url=f"http://{host}:{site.port}/feed"), {})
    assert site.asked == []


async def test_a_redirect_to_a_private_address_is_not_followed(
    site: Site, closing: Closer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first address counts as public, as if the site were on the net; what it leads to does not.
    looked_at: list[str] = []
    real = __import__("services.sink_alt.feeds.fetching", fromlist=["_check"])._check

    def check(host: str) -> None:
        looked_at.append(host)
        if len(looked_at) > 1:
            real(host)

    monkeypatch.setattr("services.sink_alt.feeds.fetching._check", check)
    site.answers["/feed"] = redirecting(f"http://127.0.0.1:{site.port}/inside")
    site.gives("/inside")
    fetcher = Fetcher(timeout_s=2, bytes_max=10_000)
    closing(fetcher.close)
    with pytest.raises(FetchError, match="private"):
        await fetcher.fetch(Source(name="x", url=site.url("/feed")), {})
    assert [request.path for request in site.asked] == ["/feed"]


def test_a_document_of_a_source_is_said_on_its_category() -> None:
    one = Document.model_validate({"event_ns": 1, "category": "Filings", "source": "s", "title": "t"})
    assert DOCUMENT.address(one) == "alt.norm.filings"
