"""A mock venue's own books: what everything that was played comes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zlib import crc32

Levels = list[tuple[str, str]]


class Books:
    """By the venue's word for the symbol. `depth`: the venue keeps so many levels of each side."""

    def __init__(self, depth: int | None = None) -> None:
        self._depth = depth
        self._books: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._books

    def replace(self, word: str, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        self._books[word] = {row[0]: row[1] for row in bids}, {row[0]: row[1] for row in asks}

    def change(self, word: str, bids: Iterable[Sequence[str]], asks: Iterable[Sequence[str]]) -> None:
        book = self._books.setdefault(word, ({}, {}))
        for side, rows in zip(book, (bids, asks), strict=True):
            for price, quantity, *_ in rows:
                side.pop(price, None)
                if float(quantity):
                    side[price] = quantity
        if self._depth is not None:
            for side, ranked in zip(book, self.ranked(word), strict=True):
                for price, _ in ranked[self._depth :]:
                    del side[price]

    def ranked(self, word: str) -> tuple[Levels, Levels]:
        """The best first."""
        bids, asks = self._books.get(word, ({}, {}))
        return (
            sorted(bids.items(), key=lambda level: -float(level[0])),
            sorted(asks.items(), key=lambda level: float(level[0])),
        )

    def checksum(self, word: str) -> int:
        """Kraken's: over the digits of the ten best asks, then of the ten best bids."""
        bids, asks = self.ranked(word)
        digits = [number.replace(".", "").lstrip("0") for level in (*asks[:10], *bids[:10]) for number in level]
        return crc32("".join(digits).encode())
