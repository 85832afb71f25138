"""Transaction: changes that happen together or not at all, and what is said once they have."""

from __future__ import annotations

from typing import Any

from shared.contract import keys
from shared.contract.base import Message
from shared.contract.subjects import Subject
from shared.kit.bus import Outgoing
from shared.kit.log import request_id
from shared.kit.outbox import Kept, Parcel, pack
from shared.kit.valkey import Change, Command


class Transaction:
    """What one commit does."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._commands: list[Command] = []
        self._expected: list[tuple[str, str | bytes | None]] = []
        self._letters: dict[str, list[tuple[Outgoing, Kept | None]]] = {}

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

    def say(self, subject: Subject[Any], message: Message, *, account: str, id: str, kept: Kept | None = None) -> None:
        """Say this once committed. `id` makes a second saying recognisable; no spaces. `kept` is where this very
        transaction keeps the same words for good."""
        assert subject.stream is not None, "an outbox needs a stream to hand its entries to"
        letter = Outgoing(id, subject.address(message), message.encode(), request_id.get())
        self._letters.setdefault(keys.outbox(self._owner, account), []).append((letter, kept))

    def sealed(self) -> tuple[Change, list[Parcel]]:
        """What is to be written, and what is to be said once it is; one parcel for each account."""
        parcels: list[Parcel] = []
        entries: list[Command] = []
        for key, some in self._letters.items():
            first = some[0][0]
            parcels.append(Parcel(key, f"{first.address}/{first.id}", tuple([letter for letter, _ in some])))
            entries.append(("HSET", key, parcels[-1].id, pack(some)))
        return Change(self._commands + entries, self._expected), parcels


def _words(value: Message | str | bytes) -> str | bytes:
    return value.encode() if isinstance(value, Message) else value
