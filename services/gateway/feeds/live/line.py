"""One websocket to a venue, kept up for ever: connect, subscribe, read, and all of it again when it breaks.

Which topics were asked for over the connection that stands is compared with those that are wanted, and the difference
is sent: so a reconnection subscribes to everything again, and a book is taken anew by taking its topic off that list.
Messages are gathered for a few milliseconds and read together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Protocol

import aiohttp

from services.gateway.feeds.live.dialect import Dialect
from services.gateway.feeds.live.rest import Backoff
from shared.contract.feeds import Batch, Topic
from shared.kit import Clock

CONNECT_S = 10.0
CLOSE_S = 1.0
WELL_S = 10.0
"""A connection that stood for so long was a good one."""
MESSAGE_BYTES_MAX = 32 << 20

Tap = Callable[[Sequence[bytes], Sequence[int]], None]
"""Is shown every raw message with its receive time, before it is read."""


@dataclass(frozen=True)
class Pace:
    """How a line is read: at most so many messages at once, gathered for at most `wait_s`; silent for `stall_s` it is
    given up, though it answers our pings.

    512 at once were measured to be the quickest: fewer share less, more do not stay in the processor's cache.
    """

    messages: int = 512
    wait_s: float = 0.005
    stall_s: float = 60.0


class Owner(Protocol):
    """Whose line it is."""

    def heard(self, batch: Batch) -> None: ...

    def line_up(self, line: Line, topics: Sequence[Topic]) -> None: ...

    def line_down(self, line: Line, why: str) -> None: ...

    def line_failed(self, error: Exception) -> None: ...


class Line:
    """A connection, and the topics that are to go over it."""

    def __init__(
        self, address: str, dialect: Dialect, owner: Owner, backoff: Backoff, clock: Clock, pace: Pace, tap: Tap | None
    ) -> None:
        self.address = address
        self.topics: dict[Topic, None] = {}
        self._dialect = dialect
        self._owner = owner
        self._backoff = backoff
        self._clock = clock
        self._pace = pace
        self._tap = tap
        self._reader = dialect.reader()
        self._asked: dict[Topic, None] = {}
        self._renewed: set[Topic] = set()
        self._changed = asyncio.Event()
        self._numbers = count(1)
        self._messages: list[bytes] = []
        self._receive_ns: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._heard_ns = 0
        self._stands_ns: int | None = None
        self._read_s = 0.0

    def want(self, topic: Topic) -> None:
        self.topics[topic] = None
        # Given up and wanted again before the venue was told: to be begun like any other.
        self.renew(topic)
        self._changed.set()

    def unwant(self, topic: Topic) -> None:
        del self.topics[topic]
        self._changed.set()

    def renew(self, topic: Topic) -> None:
        """Subscribe to this anew; nothing to do while it is about to be subscribed to anyhow."""
        if topic in self._asked:
            self._renewed.add(topic)
            self._changed.set()

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        while True:
            why, self._stands_ns = "the venue ended the connection", None
            try:
                await self._stand(session)
            except (aiohttp.ClientError, OSError) as error:
                why = f"the connection broke ({str(error)[:200] or type(error).__name__})"
            except Exception as error:
                # A fault of ours; whatever it was, the line is down and has to come back.
                self._owner.line_failed(error)
                why = f"an error on our side ({type(error).__name__})"
            self._owner.line_down(self, why)
            if self._stands_ns is not None and self._clock.monotonic_ns() - self._stands_ns > WELL_S * 1e9:
                self._backoff.well()
            await self._clock.sleep(self._backoff.next_s())

    async def _stand(self, session: aiohttp.ClientSession) -> None:
        """Connect, and do everything at once until one thing ends."""
        closing = aiohttp.ClientWSTimeout(ws_close=CLOSE_S)  # pyright: ignore[reportCallIssue]
        # A ping is sent after two thirds of the time, and waits for its answer for half as long.
        ping_s = self._dialect.limits.silence_s * 2 / 3
        async with asyncio.timeout(CONNECT_S):
            socket = await session.ws_connect(
                self.address, heartbeat=ping_s, timeout=closing, max_msg_size=MESSAGE_BYTES_MAX, decode_text=False
            )
        self._asked, self._heard_ns = {}, self._clock.monotonic_ns()
        self._stands_ns = self._heard_ns
        self._renewed.clear()
        parts = [asyncio.create_task(part) for part in (self._receive(socket), self._send(socket), self._watch())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
        finally:
            try:
                for part in parts:
                    part.cancel()
                await asyncio.gather(*parts, return_exceptions=True)
                self._read()
            finally:  # also when this is cancelled just now
                await socket.close()

    # Sending.

    async def _send(self, socket: Any) -> None:
        """Bring what was asked for up to what is wanted, no faster than the venue allows."""
        limits = self._dialect.limits
        while True:
            self._changed.clear()
            gone = [topic for topic in self._asked if topic not in self.topics or topic in self._renewed]
            new = [topic for topic in self.topics if topic not in self._asked]
            some = list(islice(gone or new, limits.topics_per_word))
            if not some:
                await self._changed.wait()
                continue
            if not gone:
                # Before they are: a whole book may come with the first words of the answer.
                self._owner.line_up(self, some)
            words = (self._dialect.unsubscribe if gone else self._dialect.subscribe)(some, next(self._numbers))
            for topic in some:
                if gone:
                    self._asked.pop(topic, None)
                    self._renewed.discard(topic)
                else:
                    # From now on, since what the answer says may be a reason to ask anew.
                    self._asked[topic] = None
            for word in words:
                await socket.send_str(word)
                await self._clock.sleep(1 / limits.words_per_s)

    # Receiving.

    async def _receive(self, socket: Any) -> None:
        text, binary = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
        messages, times, clock, pace = self._messages, self._receive_ns, self._clock, self._pace
        while True:
            message = await socket.receive()
            if message.type is not text and message.type is not binary:
                if message.type is aiohttp.WSMsgType.ERROR:
                    raise aiohttp.ClientError(str(message.data)[:200])
                return
            messages.append(message.data)
            times.append(clock.now_ns())
            if len(messages) >= pace.messages:
                self._read()
            elif self._timer is None:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_at(max(loop.time(), self._read_s + pace.wait_s), self._read)

    def _read(self) -> None:
        """Everything gathered since the last time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._messages:
            return
        self._read_s = asyncio.get_running_loop().time()
        self._heard_ns = self._clock.monotonic_ns()
        messages, times = self._messages.copy(), self._receive_ns.copy()
        self._messages.clear()
        self._receive_ns.clear()
        try:
            if self._tap is not None:
                self._tap(messages, times)
            self._owner.heard(self._reader.read(messages, times))
        except Exception as error:
            # A fault of ours. What these messages said is lost, and shows as a gap.
            self._owner.line_failed(error)

    async def _watch(self) -> None:
        stall_ns = round(self._pace.stall_s * 1e9)
        while (left_ns := self._heard_ns + stall_ns - self._clock.monotonic_ns()) > 0:
            await self._clock.sleep(left_ns / 1e9)
        raise aiohttp.ClientError(f"nothing heard for {self._pace.stall_s:g} s")
