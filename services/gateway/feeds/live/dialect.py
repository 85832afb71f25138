"""A dialect: all that is particular to one venue, without any input or output of its own.

It says which words subscribe, reads what comes back into `shared.contract.feeds`, and names the REST paths of the
listing and of a book's snapshot. Connections, reconnecting, budgets, gaps and books are the same for every venue and
live beside this file and in the core.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contract.feeds import Batch, BookWhole, Channel, Checksum, Listed, Topic


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a venue is reached, without a slash at the end; the dialect adds the paths."""

    stream: str
    rest: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A REST request: GET this address; it costs so much of the venue's weight."""

    url: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What the venue lets one client do."""

    topics_per_connection: int
    """So many topics go over one connection, then another is opened."""

    topics_per_word: int
    """The most topics that are asked for in one word."""

    words_per_s: float
    """How many words a second may be sent over one connection."""

    weight_per_minute: int
    """How much REST weight a minute may cost."""

    silence_s: float
    """A connection that has said nothing for so long, not even to our ping, is dead."""


class Dialect(Protocol):
    """One venue, made with the `Endpoints` to use.

    How changes follow one another is the same everywhere once `BookChange` says `previous` and `last`: a change whose
    `previous` is the book's state comes next, one whose `last` lies behind it is old, any other is a gap.
    """

    @property
    def venue(self) -> str: ...

    @property
    def channels(self) -> frozenset[Channel]:
        """The channels it has."""
        ...

    @property
    def limits(self) -> Limits: ...

    @property
    def depth_max(self) -> int | None:
        """The venue keeps so many levels of each side and says nothing of those below; None: it tells of all."""
        ...

    @property
    def checksum(self) -> Checksum | None: ...

    def listing(self) -> Ask:
        """How to ask for the listing."""
        ...

    def listed(self, answer: bytes) -> list[Listed]:
        """The listing in an answer; ValueError when it holds none. From here on symbols can be put into its words."""
        ...

    def snapshot(self, symbol: str) -> Ask | None:
        """How to ask for a whole book; None where subscribing anew brings one."""
        ...

    def whole(self, symbol: str, answer: bytes, receive_ns: int) -> BookWhole:
        """The book in an answer; ValueError when it holds none."""
        ...

    def address(self, channel: Channel) -> str:
        """The websocket that carries this channel."""
        ...

    def subscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        """The words that subscribe to these topics; `number` is one that no other words of this connection carry."""
        ...

    def unsubscribe(self, topics: Sequence[Topic], number: int) -> Sequence[str]:
        """The words that end these subscriptions."""
        ...

    def reader(self) -> Reader:
        """A reader for one connection or one recording."""
        ...


class Reader(Protocol):
    """Reads raw messages. It raises on nothing that a venue, or somebody in its place, could send.

    It needs no listing, and what it gives depends on the messages alone: a capture is read back the same.
    """

    def read(self, messages: Sequence[bytes], receive_ns: Sequence[int]) -> Batch: ...


class Ear(Protocol):
    """Who hears a source. Nothing here waits; a batch is taken in whole before the next one comes."""

    def heard(self, batch: Batch) -> None:
        """Something has come in."""
        ...

    def whole(self, book: BookWhole) -> None:
        """A snapshot that was asked for has come."""
        ...

    def down(self, symbols: Sequence[str], why: str) -> None:
        """Nothing comes for these symbols until they are heard again: the connection is gone."""
        ...

    def up(self, symbols: Sequence[str]) -> None:
        """These symbols are about to be subscribed to, for the first time or again; the last of their topics is."""
        ...


class Source(Protocol):
    """Where one venue's data comes from: connections that speak a dialect, or a library that does so itself."""

    async def listing(self) -> Sequence[Listed]:
        """The venue's symbols with their ticks and lots; Unavailable when it cannot be had."""
        ...

    def want(self, topics: Sequence[Topic]) -> None:
        """From now on these, besides the others; kept up over every reconnection. What is wanted already is no news."""
        ...

    def unwant(self, topics: Sequence[Topic]) -> None:
        """No longer these."""
        ...

    def resync(self, symbol: str) -> None:
        """Get a whole book of this symbol, by REST or by subscribing anew; `Ear` hears it. Asked again, it is one."""
        ...

    async def close(self) -> None:
        """End everything; nothing is heard after."""
        ...
