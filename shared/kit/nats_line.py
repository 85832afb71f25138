"""Line to NATS: one connection, made anew for ever, on which many messages travel in one stroke.

The client library publishes, reads and acknowledges one message at a time: a task, a queue, four regular expressions
and a flush for each. With sixteen at once that cost 17 µs to store a message and 31 to hear and acknowledge it. Here
what is said within one turn of the loop is one write, what comes in is cut up where it lies, a handful of answers have
one future and one timer, and acknowledgements leave with whatever is said next: 7 µs and 21.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from shared.contract.errors import Unavailable
from shared.kit.nats_wire import REFUSED, Incoming, Wire

CONNECT_TIMEOUT_S = 1.0
RECONNECT_AFTER_S = 0.1
REFUSED_AFTER_S = 1.0
"""Who is refused comes again after this; the server writes each try into its log."""
PING_EVERY_S = 10.0
HELD_BYTES_MAX = 64 << 20
"""With more than this waiting for a server that does not read, whoever wants to say something is refused."""

Words = tuple[str, bytes, bytes]
"""Address, payload and head (may be empty) of something to be published."""

Arrived = Callable[[Incoming], None]


REFUSALS_MAX = 20
"""So many are told of; one is enough to be unready."""

_REFUSALS = ("Permissions Violation", "Authorization", "Authentication", "User Authentication", "Account Auth")
_PUBLISHED = re.compile(r'Permissions Violation for Publish to "(.+)"')


def inbox_of(user: str) -> str:
    """Below this a user is answered, and nobody else hears it."""
    return f"_INBOX.{user}"


def head_of(headers: Mapping[str, str]) -> bytes:
    """Headers as they travel; those without a value are left out."""
    lines = [f"{name}: {_in_one_line(value)}\r\n" for name, value in headers.items() if value]
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode() if lines else b""


def _in_one_line(value: str) -> str:
    return value if value.isprintable() else "".join(one if one.isprintable() else " " for one in value)


class Line:
    """Speaks and hears; what was subscribed to is subscribed to again on each new connection.

    It goes by the name of its user. Without a password it comes as nobody, which a server without users allows.
    """

    def __init__(
        self,
        user: str,
        url: str,
        password: str = "",
        *,
        failed: Callable[[str], None],
        reconnected: Callable[[], None],
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._user = user
        self._password = password
        place = urlsplit(url)
        self._failed = failed
        self._refused = refused
        self._reconnected = reconnected
        self._places = [(place.hostname or "127.0.0.1", place.port or 4222)]
        self._refusals: list[str] = []
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

    @property
    def refusal(self) -> str | None:
        """What the server has not let us do since we connected, or that it does not let us in; else None."""
        return next(iter(self._refusals), None)

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
        asked = _Asked(self._number + 1, words, self._loop.create_future())
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
        self._answer(int(message.address[len(self._inbox) + 1 :]), message)

    def _answer(self, number: int, message: Incoming) -> None:
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

    def new_inbox(self) -> str:
        """An address of one's own."""
        return f"{inbox_of(self._user)}.{secrets.token_hex(11)}"

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
            self._refusals.clear()
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
            except (OSError, TimeoutError, ValueError):  # away, or not NATS, or it does not let us in
                await asyncio.sleep(REFUSED_AFTER_S if self._refusals else RECONNECT_AFTER_S)

    async def _greeted(self, host: str, port: int) -> Wire:
        _, wire = await self._loop.create_connection(
            lambda: Wire(self._deliver, self._complained, self._lost), host, port
        )
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
        words: dict[str, Any] = {"name": self._user, "lang": "python", "version": "1", "protocol": 1}
        words |= {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        return words | {"user": self._user, "pass": self._password} if self._password else words

    def _complained(self, why: str) -> None:
        """What the server does not let us do is told once on each connection; who waits for an answer hears at once."""
        if not why.startswith(_REFUSALS):
            self._failed(f"NATS says: {why}")
            return
        told = _refusal(self._user, why)
        self._refused()
        if told not in self._refusals and len(self._refusals) < REFUSALS_MAX:
            self._refusals.append(told)
            self._failed(told)
        if published := _PUBLISHED.match(why):
            answer = Incoming(published[1], "", f"NATS/1.0 {REFUSED} {told}\r\n\r\n".encode(), b"")
            for number, asked in list(self._asked.items()):
                if asked.words[number - asked.first][0] == published[1]:
                    self._answer(number, answer)

    def _lost(self, wire: Wire) -> None:
        """Whoever waits for an answer on it is told at once that none will come."""
        if wire is self._wire:
            self._wire = None
            for asked in set(self._asked.values()):
                asked.give_up()


def _refusal(user: str, why: str) -> str:
    return f"NATS refuses user {user}: {why}; run `trade2026 secrets` and restart NATS"


def _subscribe(mark: bytes, address: str, queue: str) -> bytes:
    return f"SUB {address} {queue} {mark.decode()}\r\n".encode()


class _Asked:
    """Questions that were asked together, and the answers so far."""

    __slots__ = ("answers", "done", "first", "left", "words")

    def __init__(self, first: int, words: Sequence[Words], done: asyncio.Future[None]) -> None:
        self.first = first
        self.words = words
        self.left = len(words)
        self.done = done
        self.answers: list[Incoming | None] = [None] * len(words)

    def answer(self, number: int, message: Incoming) -> None:
        self.answers[number - self.first] = message
        self.left -= 1
        if not self.left:
            self.give_up()

    def give_up(self) -> None:
        """Wait no longer."""
        if not self.done.done():
            self.done.set_result(None)
