"""A JetStream consumer read without pause.

`fetch` of the client library asks, waits and asks again, which costs a round trip a batch and can sit out a whole
time-out after the server was killed. A Pull keeps a bounded number of messages asked for at all times, asks for more
as they are finished, and opens its consumer anew after silence, reconnection or a gap. That is what makes a hearer
heal by itself within a second of the server's return.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import orjson

from shared.contract.errors import Unavailable
from shared.kit.nats_line import Line
from shared.kit.nats_wire import Incoming

EXPIRES_S = 5.0
SILENCE_MAX_S = EXPIRES_S + 1.0
ENDS = (b"Batch Completed", b"MaxBytes")
"""How the server says that one asking is over, of those that bound their bytes; there is no fault in it."""
WORKING_EVERY_S = 1.0
"""How often a message in hand is said to be; well under the consumer's ack_wait."""


class Pull:
    """Delivers a consumer's messages to `arrived`, at most `window` of them unfinished at a time.

    `create` makes (or finds) the consumer and returns its name; it is called again whenever the consumer must be
    opened anew. `bytes_max` bounds what comes for one asking, and no more is asked for while so much is unfinished.
    With `ordered`, deliveries are checked to be gapless, and a gap reopens the consumer.
    """

    def __init__(
        self,
        line: Line,
        stream: str,
        create: Callable[[], Awaitable[str]],
        arrived: Callable[[Incoming], None],
        *,
        window: int,
        bytes_max: int = 0,
        ordered: bool = False,
    ) -> None:
        self._line = line
        self._stream = stream
        self._create = create
        self._arrived = arrived
        self._window = window
        self._bytes_max = {"max_bytes": bytes_max} if bytes_max else {}
        self._bytes_left = bytes_max or float("inf")
        self._ordered = ordered
        self._asked = 0
        self._unfinished: dict[str, float] = {}
        self._delivered = 0
        self._heard_at = 0.0
        self._subscription: bytes | None = None
        self.why_closed = ""
        self._loop = asyncio.get_running_loop()  # asking for it at each message is a system call each
        self._stale = asyncio.Event()
        self._stale.set()
        self._watch = asyncio.create_task(self._keep_open())

    @property
    def is_open(self) -> bool:
        return self._subscription is not None and not self._stale.is_set()

    def reopen(self) -> None:
        """The consumer may be gone or have lost something: open it anew."""
        self._stale.set()

    def finished(self, *messages: Incoming) -> None:
        """These are done with; as many others may come."""
        for message in messages:
            if self._unfinished.pop(message.reply, None) is not None:
                self._bytes_left += len(message.data)
        self._ask()

    async def close(self) -> None:
        """Ask for nothing more."""
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        self._unsubscribe()

    async def _keep_open(self) -> None:
        while True:
            if self._stale.is_set():
                await self._open()
            try:
                await asyncio.wait_for(self._stale.wait(), 0.25)
            except TimeoutError:
                if self._asked and self._loop.time() - self._heard_at > SILENCE_MAX_S:
                    self._stale.set()
                if not self._ordered:
                    self._still_working(self._loop.time())

    def _still_working(self, now: float) -> None:
        """Keep the server from handing a message in hand to somebody else."""
        for reply, since in list(self._unfinished.items()):
            if now - since > WORKING_EVERY_S:
                self._unfinished[reply] = now
                with contextlib.suppress(Unavailable):
                    self._line.publish(reply, b"+WPI")

    async def _open(self) -> None:
        try:
            self._unsubscribe()
            consumer = await self._create()
            self._asked = 0
            self._delivered = 0
            self._stale.clear()
            self._inbox = self._line.new_inbox()
            self._subscription = self._line.subscribe(self._inbox, self._receive)
            self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}"
            self._ask()
            self.why_closed = ""
        except Unavailable as error:
            self.why_closed = error.detail
            self._stale.set()
            await asyncio.sleep(0.1)

    def _unsubscribe(self) -> None:
        old, self._subscription = self._subscription, None
        if old is not None:
            self._line.unsubscribe(old)

    def _ask(self) -> None:
        room = self._window - len(self._unfinished) - self._asked
        if self._subscription is None or self._stale.is_set() or room * 2 < self._window or self._bytes_left <= 0:
            return
        self._asked += room
        self._heard_at = self._loop.time()
        request = orjson.dumps({"batch": room, "expires": int(EXPIRES_S * 1e9), **self._bytes_max})
        try:
            self._line.publish(self._next, request, reply=self._inbox)
        except Unavailable:
            self.reopen()

    def _receive(self, message: Incoming) -> None:
        self._heard_at = self._loop.time()
        if not message.reply:
            self._status(message)
            return
        if self._ordered and not self._follows(message):
            self.reopen()
            return
        self._asked = max(0, self._asked - 1)
        if message.reply not in self._unfinished:  # after a reopening it may come once more
            self._bytes_left -= len(message.data)
        self._unfinished[message.reply] = self._heard_at
        self._arrived(message)
        self._ask()

    def _follows(self, message: Incoming) -> bool:
        expected, self._delivered = self._delivered + 1, message.delivered
        return message.delivered == expected

    def _status(self, message: Incoming) -> None:
        if message.status == "408" or (message.status == "409" and any(end in message.head for end in ENDS)):
            self._asked = max(0, self._asked - int(message.header("Nats-Pending-Messages") or self._asked))
            self._ask()
        elif message.status != "100":
            self.reopen()
