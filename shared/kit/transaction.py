"""Transaction: changes that happen together or not at all, and what is said once they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.contract import keys
from shared.contract.base import Message
from shared.contract.subjects import Subject
from shared.kit.bus import Outgoing
from shared.kit.log import request_id
from shared.kit.valkey import Change, Command


@dataclass(frozen=True, slots=True)
class Parcel:
    """Letters that were committed together: one entry of an outbox until all of them have reached their streams."""

    key: str
    id: str
    letters: tuple[Outgoing, ...]

    def pack(self) -> bytes:
        """The entry: each letter's id, address and length on a line, then its payload."""
        return b"".join([b"%b %b %d\n%b" % (*_marks(one), len(one.payload), one.payload) for one in self.letters])

    @classmethod
    def unpack(cls, key: str, id: str, entry: bytes) -> Parcel:
        """The parcel that was packed into `entry`."""
        letters: list[Outgoing] = []
        at = 0
        while at < len(entry):
            end = entry.index(b"\n", at)
            mark, address, length = entry[at:end].split(b" ")
            at = end + 1 + int(length)
            letters.append(Outgoing(mark.decode(), address.decode(), entry[end + 1 : at]))
        return cls(key, id, tuple(letters))


def _marks(letter: Outgoing) -> tuple[bytes, bytes]:
    return letter.id.encode(), letter.address.encode()


class Transaction:
    """What one commit does."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._commands: list[Command] = []
        self._expected: list[tuple[str, str | bytes | None]] = []
        self._letters: dict[str, list[Outgoing]] = {}

    def expect(self, key: str, value: str | bytes | None) -> None:
        """Commit only while the key holds this; None: while there is no such key."""
        self._expected.append((key, value))

    def put(self, key: str, value: Message | str | bytes) -> None:
        self._commands.append(("SET", key, _words(value)))

    def drop(self, key: str) -> None:
        self._commands.append(("DEL", key))

    def hash_put(self, key: str, field: str, value: Message | str | bytes) -> None:
        self._commands.append(("HSET", key, field, _words(value)))

    def hash_drop(self, key: str, *fields: str) -> None:
        self._commands.append(("HDEL", key, *fields))

    def set_add(self, key: str, *members: str) -> None:
        self._commands.append(("SADD", key, *members))

    def set_drop(self, key: str, *members: str) -> None:
        self._commands.append(("SREM", key, *members))

    def sorted_add(self, key: str, member: str, score: int) -> None:
        self._commands.append(("ZADD", key, score, member))

    def push(self, key: str, value: Message | str | bytes) -> None:
        self._commands.append(("RPUSH", key, _words(value)))

    def say(self, subject: Subject[Any], message: Message, *, account: str, id: str) -> None:
        """Say this once committed. `id` makes a second saying recognisable; no spaces."""
        assert subject.stream is not None, "an outbox needs a stream to hand its entries to"
        letter = Outgoing(id, subject.address(message), message.encode(), request_id.get())
        self._letters.setdefault(keys.outbox(self._owner, account), []).append(letter)

    def sealed(self) -> tuple[Change, list[Parcel]]:
        """What is to be written, and what is to be said once it is; one parcel for each account."""
        parcels = [Parcel(key, f"{some[0].address}/{some[0].id}", tuple(some)) for key, some in self._letters.items()]
        kept: list[Command] = [("HSET", parcel.key, parcel.id, parcel.pack()) for parcel in parcels]
        return Change(self._commands + kept, self._expected), parcels


def _words(value: Message | str | bytes) -> str | bytes:
    return value.encode() if isinstance(value, Message) else value
