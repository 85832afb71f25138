"""Line to NATS: one connection, made anew for ever, on which many messages travel in one stroke.

The client library publishes, reads and acknowledges one message at a time: a task, a queue, four regular expressions
and a flush for each. With sixteen at once that cost 17 µs to store a message and 31 to hear and acknowledge it. Here
what is said within one turn of the loop is one write, what comes in is cut up where it lies, a handful of answers have
one future and one timer, and acknowledgements leave with whatever is said next: 7 µs and 21.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from shared.contract.errors import Unavailable
from shared.kit.nats_wire import Incoming, Wire

CONNECT_TIMEOUT_S = 1.0
RECONNECT_AFTER_S = 0.1
PING_EVERY_S = 10.0
HELD_BYTES_MAX = 64 << 20
"""With more than this waiting for a server that does not read, whoever wants to say something is refused."""

Words = tuple[str, bytes, bytes]
"""Address, payload and head (may be empty) of something to be published."""

Arrived = Callable[[Incoming], None]


def head_of(headers: Mapping[str, str]) -> bytes:
    """Headers as they travel; those without a value are left out."""
    lines = [f"{name}: {_in_one_line(value)}\r\n" for name, value in headers.items() if value]
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode() if lines else b""


def _in_one_line(value: str) -> str:
    return value if value.isprintable() else "".join(one if one.isprintable() else " " for one in value)


class Line:
    """Speaks and hears; what was subscribed to is subscribed to again on each new connection."""

    def __init__(self, name: str, url: str, *, failed: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        self._name = name
        self._url = urlsplit(url)
        self._failed = failed
        self._reconnected = reconnected
        self._places = [(self._url.hostname or "127.0.0.1", self._url.port or 4222)]
        self._wire: Wire | None = None
        self._subscriptions: dict[bytes, tuple[str, str, Arrived]] = {}
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._inbox = ""
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return self._wire is not None

    async def connect(self) -> None:
        """Return once connected, however long that takes; from then on it is kept so."""
        self._loop = asyncio.get_running_loop()  # asking for it at each message is a system call each
        self._inbox = self.new_inbox()  # of this very process: its siblings were forked from the same parent
        self.subscribe(f"{self._inbox}.*", self._answered)
        self._keeper = asyncio.create_task(self._keep())
        await self._up.wait()

    async def close(self) -> None:
        """Let the server have what was said, and leave."""
        with contextlib.suppress(Unavailable):
            await self.flush()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._wire is not None:
            self._wire.cut()

    # Speaking.

    def unsendable(self, address: str, payload: bytes, head: bytes) -> str | None:
        """Why this can never be said, or None. A blank in an address would end the line it stands in."""
        if not address or " " in address or not address.isprintable():
            return f"{address!r} is no address"
        size = len(payload) + len(head)
        most = self._wire.payload_max if self._wire is not None else size
        return f"{size} bytes are more than the {most} that NATS takes" if size > most else None

    def acknowledge(self, reply: str, words: bytes) -> None:
        """Say it with whatever is said next, or a moment later: nobody waits for it."""
        if self._wire is not None:
            self._wire.send_along(f"PUB {reply} {len(words)}\r\n".encode() + words + b"\r\n")

    def publish(self, address: str, payload: bytes, *, reply: str = "", head: bytes = b"") -> None:
        """Say it at the end of this turn of the loop. Unavailable: it cannot be said, or not now."""
        wire = self._wire
        size = len(head) + len(payload)
        if wire is None:
            raise Unavailable("NATS is not connected")
        if wire.held_bytes > HELD_BYTES_MAX or size > wire.payload_max:
            raise Unavailable("it is too large" if size > wire.payload_max else "NATS does not read what is said")
        if head:
            wire.send(f"HPUB {address} {reply} {len(head)} {size}\r\n".encode(), head, payload, b"\r\n")
        else:
            wire.send(f"PUB {address} {reply} {size}\r\n".encode(), payload, b"\r\n")

    async def ask(self, words: Sequence[Words], timeout_s: float) -> list[Incoming | None]:
        """The answer to each of these; None when none came in time, or the connection went."""
        if self._wire is None:
            raise Unavailable("NATS is not connected")
        asked = _Asked(self._number + 1, len(words), self._loop.create_future())
        timer = self._loop.call_later(timeout_s, asked.give_up)
        try:
            for address, payload, head in words:
                self._number += 1
                self._asked[self._number] = asked
                self.publish(address, payload, reply=f"{self._inbox}.{self._number}", head=head)
            if words:
                await asked.done
        finally:
            timer.cancel()
            if asked.left:
                for number in range(asked.first, asked.first + len(words)):
                    self._asked.pop(number, None)
        return asked.answers

    def _answered(self, message: Incoming) -> None:
        number = int(message.address[len(self._inbox) + 1 :])
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked.answer(number, message)

    async def flush(self) -> None:
        """Return once the server has everything said so far."""
        if self._wire is None:
            raise Unavailable("NATS is not connected")
        try:
            async with asyncio.timeout(2):
                await self._wire.ping()
        except (OSError, TimeoutError) as error:
            raise Unavailable(f"NATS is away: {error!r}") from error

    # Hearing.

    @staticmethod
    def new_inbox() -> str:
        """An address of one's own."""
        return f"_INBOX.{secrets.token_hex(11)}"

    def subscribe(self, address: str, arrived: Arrived, *, queue: str = "") -> bytes:
        """Hear what is said there; the mark to unsubscribe with. `arrived` is called while reading, so it is brief."""
        self._number += 1
        mark = b"%d" % self._number
        self._subscriptions[mark] = (address, queue, arrived)
        if self._wire is not None:
            self._wire.send(_subscribe(mark, address, queue))
        return mark

    def unsubscribe(self, mark: bytes) -> None:
        if self._subscriptions.pop(mark, None) and self._wire is not None:
            self._wire.send(b"UNSUB %b\r\n" % mark)

    def _deliver(self, mark: bytes, message: Incoming) -> None:
        subscription = self._subscriptions.get(mark)
        if subscription is None:
            return
        try:
            subscription[2](message)
        except Exception as error:  # one hearer's bug is not to end everybody's connection
            self._failed(f"{message.address}: {error!r}")

    # Being connected.

    async def _keep(self) -> None:
        while True:
            wire = await self._connected()
            wire.send(b"".join([_subscribe(mark, *words[:2]) for mark, words in self._subscriptions.items()]))
            self._wire = wire
            if self._up.is_set():
                self._reconnected()
            self._up.set()
            while not wire.lost.done():
                await asyncio.wait((wire.lost,), timeout=PING_EVERY_S)
                wire.prove_alive()
            self._wire = None
            self._failed("the connection was lost")
            await asyncio.sleep(RECONNECT_AFTER_S)

    async def _connected(self) -> Wire:
        while True:
            place = self._places[0]
            self._places.append(self._places.pop(0))
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await self._greeted(*place)
            except (OSError, TimeoutError, ValueError):  # away, or not NATS
                await asyncio.sleep(RECONNECT_AFTER_S)

    async def _greeted(self, host: str, port: int) -> Wire:
        _, wire = await self._loop.create_connection(lambda: Wire(self._deliver, self._failed, self._lost), host, port)
        try:
            about = await wire.about
            self._note_places(about.get("connect_urls", ()))
            wire.send(b"CONNECT %b\r\n" % orjson.dumps(self._introduction()))
            await wire.ping()
        except BaseException:
            wire.cut()
            raise
        return wire

    def _note_places(self, urls: Sequence[str]) -> None:
        """The other servers of a cluster will do as well."""
        for url in urls:
            host, _, port = url.rpartition(":")
            place = (host.strip("[]"), int(port))
            if place not in self._places:
                self._places.append(place)

    def _introduction(self) -> dict[str, Any]:
        words: dict[str, Any] = {"name": self._name, "lang": "python", "version": "1", "protocol": 1}
        words |= {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        user, password = self._url.username, self._url.password
        if user and password:
            return words | {"user": unquote(user), "pass": unquote(password)}
        return words | {"auth_token": unquote(user)} if user else words

    def _lost(self, wire: Wire) -> None:
        """Whoever waits for an answer on it is told at once that none will come."""
        if wire is self._wire:
            self._wire = None
            for asked in set(self._asked.values()):
                asked.give_up()


def _subscribe(mark: bytes, address: str, queue: str) -> bytes:
    return f"SUB {address} {queue} {mark.decode()}\r\n".encode()


class _Asked:
    """Questions that were asked together, and the answers so far."""

    __slots__ = ("answers", "done", "first", "left")

    def __init__(self, first: int, count: int, done: asyncio.Future[None]) -> None:
        self.first = first
        self.left = count
        self.done = done
        self.answers: list[Incoming | None] = [None] * count

    def answer(self, number: int, message: Incoming) -> None:
        self.answers[number - self.first] = message
        self.left -= 1
        if not self.left:
            self.give_up()

    def give_up(self) -> None:
        """Wait no longer."""
        if not self.done.done():
            self.done.set_result(None)
