"""A mock venue in a thread of its own, for tests that wait for processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.mock_venues.server import MockVenue, Tongue

T = TypeVar("T")


class VenueBeside:
    """The venue, and a way to have it do something."""

    def __init__(self, venue: MockVenue, loop: asyncio.AbstractEventLoop) -> None:
        self.venue = venue
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def venue_beside(tongue: Tongue, recording: Iterable[bytes]) -> Iterator[VenueBeside]:
    """A venue that runs until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    beside = VenueBeside(MockVenue(tongue, recording), loop)
    try:
        beside.do(beside.venue.start())
        yield beside
        beside.do(beside.venue.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
