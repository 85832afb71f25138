"""Which trade ids were taken within the lateness window: a compiled open-addressing table of 64-bit hashes."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from shared.domain.bars.compiled import compiled
from shared.domain.bars.layout import EPOCH, HELD, KEY, OWNER, TAKEN_NS, WATERMARK, Ticks

_MIX = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xD6E8FEB86659FD93)
_EIGHT = np.uint64(8)
_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
PLACES_MIN = 1 << 14


@compiled
def owner_of(s: int, epoch: int) -> np.uint64:
    """A series since it was last begun anew."""
    return np.uint64(s) << _HALF | np.uint64(epoch)


@compiled
def hash_of(data: NDArray[np.uint8], begin: int, end: int, salt: np.uint64) -> np.uint64:
    """64 bits of an id and its series' salt, never 0. Bytes are taken eight at a time."""
    h = salt * _MIX ^ np.uint64(end - begin)
    at = begin
    while at + 8 <= end:
        word = np.uint64(0)
        for b in range(8):
            word |= np.uint64(data[at + b]) << np.uint64(8 * b)
        h = (h ^ word) * _STIR
        h ^= h >> _HALF
        at += 8
    word = np.uint64(0)
    while at < end:
        word = word << _EIGHT | np.uint64(data[at])
        at += 1
    h = (h ^ word) * _STIR
    h ^= h >> _HALF
    h *= _MIX
    h ^= h >> _HALF
    return h if h else _ONE


@compiled
def hash_all(
    ticks: Ticks,
    facts: NDArray[np.int64],
    salts: NDArray[np.uint64],
    taken: NDArray[np.uint64],
    keys: NDArray[np.uint64],
) -> np.uint64:
    """The key of each tick's id, 0 where it has none.

    Each key's place is read on the way, ahead of its use: these reads wait for memory side by side, those of the fold
    would one after the other.
    """
    mask = np.uint64(len(taken) - 1)
    touched = np.uint64(0)
    for i in range(len(ticks.codes)):
        begin, end = ticks.id_offsets[i], ticks.id_offsets[i + 1]
        keys[i] = 0
        if end > begin:
            s = int(ticks.series[ticks.codes[i]])
            keys[i] = hash_of(ticks.id_data, begin, end, salts[s] + np.uint64(facts[s, EPOCH]))
            touched ^= taken[keys[i] & mask, KEY]
    return touched


@compiled
def is_held(
    taken: NDArray[np.uint64], key: np.uint64, at_ns: int, owner: np.uint64, oldest_ns: int, tally: NDArray[np.int64]
) -> bool:
    """Whether this id was taken no earlier than `oldest_ns`; if not, it is now."""
    mask = np.uint64(len(taken) - 1)
    place = key & mask
    while taken[place, KEY]:
        if taken[place, KEY] == key:
            if np.int64(taken[place, TAKEN_NS]) >= oldest_ns:
                return True
            taken[place, TAKEN_NS] = np.uint64(at_ns)
            return False
        place = (place + _ONE) & mask
    taken[place, KEY] = key
    taken[place, TAKEN_NS] = np.uint64(at_ns)
    taken[place, OWNER] = owner
    tally[HELD] += 1
    return False


@compiled
def living(taken: NDArray[np.uint64], facts: NDArray[np.int64], lateness_ns: int) -> NDArray[np.uint64]:
    """The entries that can still make a tick a duplicate."""
    kept = np.empty_like(taken)
    count = 0
    for place in range(len(taken)):
        if not taken[place, KEY]:
            continue
        owner = taken[place, OWNER]
        s = np.int64(owner >> _HALF)
        is_current = np.int64(owner & _LOW_HALF) == facts[s, EPOCH]
        if is_current and np.int64(taken[place, TAKEN_NS]) >= facts[s, WATERMARK] - lateness_ns:
            kept[count] = taken[place]
            count += 1
    return kept[:count]


@compiled
def placed(entries: NDArray[np.uint64], places: int) -> NDArray[np.uint64]:
    """These entries in a fresh table."""
    taken = np.zeros((places, 3), np.uint64)
    mask = np.uint64(places - 1)
    for entry in range(len(entries)):
        place = entries[entry, KEY] & mask
        while taken[place, KEY]:
            place = (place + _ONE) & mask
        taken[place] = entries[entry]
    return taken


def salt_of(venue: str, symbol: str) -> np.uint64:
    """What makes the same trade id another one in another series: of its name, so that its number may change."""
    digest = hashlib.blake2b(f"{venue} {symbol}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def places_for(count: int) -> int:
    """A power of two that leaves such a table at most a quarter full."""
    return max(PLACES_MIN, 1 << (4 * count - 1).bit_length()) if count else PLACES_MIN
