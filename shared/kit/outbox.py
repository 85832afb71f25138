"""Outbox: what was committed and is still to be said, as it is kept until it has reached its stream.

Words that the same commit keeps for good, as it does an order's event, are not kept twice: the entry says where they
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from shared.kit.bus import Outgoing
from shared.kit.shard import Shard


class Kept(NamedTuple):
    """Where words are that never change: a key, or a field of a hash."""

    key: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Letters that were committed together: one entry of an outbox until all of them have reached their streams."""

    key: str
    id: str
    letters: tuple[Outgoing, ...]


class Shelf(Protocol):
    """Where entries and places are read."""

    async def raw(self, key: str) -> bytes | None: ...

    async def hash(self, key: str) -> dict[str, bytes]: ...

    async def keys(self, pattern: str) -> list[str]: ...


def pack(letters: Sequence[tuple[Outgoing, Kept | None]]) -> bytes:
    """An entry: each letter's id and address on a line, with where its words are, or how long those that follow."""
    return b"".join([_packed(letter, kept) for letter, kept in letters])


def _packed(letter: Outgoing, kept: Kept | None) -> bytes:
    id, address = letter.id.encode(), letter.address.encode()
    if kept is not None and " " not in kept.key + kept.field:
        return b"%b %b @%b %b\n" % (id, address, kept.key.encode(), kept.field.encode())
    return b"%b %b %d\n%b" % (id, address, len(letter.payload), letter.payload)


async def parcels(shelf: Shelf, shard: Shard) -> list[Parcel]:
    """Everything of the accounts of a copy that has not been said yet."""
    found: list[Parcel] = []
    for key in await shelf.keys(f"outbox:*:{shard.service}"):
        if not shard.owns(key[key.index("{") + 1 : key.rindex("}")]):
            continue
        for id, entry in (await shelf.hash(key)).items():
            found.append(Parcel(key, id, tuple([await _letter(shelf, *one) for one in _unpacked(entry)])))
    return found


def _unpacked(entry: bytes) -> list[tuple[str, str, Kept | bytes]]:
    """Id, address, and the words or where they lie."""
    found: list[tuple[str, str, Kept | bytes]] = []
    at = 0
    while at < len(entry):
        end = entry.index(b"\n", at)
        id, address, *rest = entry[at:end].decode().split(" ")
        at = end + 1
        if rest[0].startswith("@"):
            found.append((id, address, Kept(rest[0][1:], rest[1])))
        else:
            at += int(rest[0])
            found.append((id, address, entry[end + 1 : at]))
    return found


async def _letter(shelf: Shelf, id: str, address: str, words: Kept | bytes) -> Outgoing:
    if isinstance(words, bytes):
        return Outgoing(id, address, words)
    kept = (await shelf.hash(words.key)).get(words.field) if words.field else await shelf.raw(words.key)
    if kept is None:
        raise LookupError(f"{address} {id} was never said, and its words are gone from {words.key} {words.field}")
    return Outgoing(id, address, kept)
