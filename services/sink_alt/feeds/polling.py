"""The sources, each visited every so often. One that fails is left alone for longer and longer, and stops no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.sink_alt.feeds.fetching import Fetcher, FetchError
from services.sink_alt.feeds.reading import Entry, Form, UnreadableError, read_apart
from services.sink_alt.settings import Settings, Source
from shared.contract.documents import Document
from shared.contract.errors import Unavailable
from shared.contract.subjects import DOCUMENT
from shared.kit import Kit

AT_ONCE = 4
DOUBLINGS_MAX = 5
WAIT_MAX_S = 6 * 3600.0


class Memory(Protocol):
    """What is known of a source from before."""

    async def source(self, source: str) -> tuple[Mapping[str, str], Sequence[str]]:
        """The marks with which it was last read, and the ids of what it had."""
        ...

    async def visited(self, source: str, marks: Mapping[str, str], seen: Sequence[str]) -> None: ...


Make = Callable[[list[Entry], Source, int], tuple[list[Document], list[str]]]
"""The documents among entries, at this time, and what is wrong with the others."""


@dataclass
class Visits:
    """How it went with a source so far."""

    due_ns: int = 0
    failures: int = 0
    read_s: float = 0.0


class Poller:
    """Says what a source has that it had not before. Only then is it known to have been read."""

    def __init__(self, kit: Kit, settings: Settings, memory: Memory, make: Make) -> None:
        self._sources = settings.sources
        self._visits = {source.name: Visits() for source in settings.sources}
        self._fetcher = Fetcher(settings.source_timeout_s, settings.source_bytes_max)
        self._memory = memory
        self._make = make
        self._bus = kit.bus
        self._clock = kit.clock
        self._meter = kit.meter
        self._log = kit.log
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def poll(self) -> None:
        """Visit every source that is due."""
        now_ns = self._clock.monotonic_ns()
        due = [source for source in self._sources if self._visits[source.name].due_ns <= now_ns]
        await asyncio.gather(*(self._visit(source) for source in due))

    async def close(self) -> None:
        await self._fetcher.close()

    def stats(self) -> dict[str, Any]:
        return {
            "source_failures": {name: visits.failures for name, visits in self._visits.items()},
            "source_read_s": {name: visits.read_s for name, visits in self._visits.items()},
        }

    async def _visit(self, source: Source) -> None:
        async with self._turns:
            visits = self._visits[source.name]
            try:
                outcome = await self._read(source)
            except FetchError as error:
                outcome = self._failed(source, visits, error.reason, str(error), error.after_s)
            except UnreadableError as error:
                outcome = self._failed(source, visits, "unreadable", str(error))
            except Unavailable as error:
                # Not the source's fault: what it has was not taken, and is asked for again.
                outcome, visits.due_ns = "put_off", self._in(min(source.every_s, 5.0))
                self._log.warning("source_put_off", source=source.name, detail=error.detail)
            except Exception:
                self._log.exception("source_failed", source=source.name)
                outcome = self._failed(source, visits, "bug", "an error on our side; the log has it")
            else:
                visits.failures, visits.due_ns = 0, self._in(source.every_s)
                visits.read_s = self._clock.now_ns() / 1e9
            self._meter.count("source_visits", source=source.name, outcome=outcome)

    async def _read(self, source: Source) -> str:
        place = f"{source.name} {source.url}"
        marks, seen = await self._memory.source(place)
        page = await self._fetcher.fetch(source, marks)
        if page is None:
            return "unchanged"
        form = Form(source.entries_max, source.entries, source.fields)
        entries = await read_apart(page.body, page.content_type, form)
        # Megabytes of text take some seconds.
        documents, broken = await asyncio.to_thread(self._make, entries, source, self._clock.now_ns())
        known = set(seen)
        fresh = [one for one in documents if one.id not in known]
        for one in fresh:
            await self._bus.say(DOCUMENT, one)
        await self._memory.visited(place, page.marks, [one.id for one in documents])
        self._count(source, said=len(fresh), known=len(documents) - len(fresh), broken=len(broken))
        if broken:
            self._log.warning("entries_broken", source=source.name, count=len(broken), first=broken[0])
        return "read"

    def _count(self, source: Source, **outcomes: int) -> None:
        for outcome, count in outcomes.items():
            self._meter.count("source_entries", count, source=source.name, outcome=outcome)

    def _failed(self, source: Source, visits: Visits, reason: str, detail: str, after_s: float = 0.0) -> str:
        visits.failures += 1
        wait_s = max(after_s, source.every_s * 2 ** min(visits.failures, DOUBLINGS_MAX))
        visits.due_ns = self._in(max(source.every_s, min(WAIT_MAX_S, wait_s)))
        self._log.warning("source_failed", source=source.name, failures=visits.failures, detail=detail)
        return reason

    def _in(self, seconds: float) -> int:
        return self._clock.monotonic_ns() + round(seconds * 1e9)
