"""Of which symbols a text speaks: by cashtags ($BTC) and by the names that the configuration gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from shared.contract.base import normal_symbol
from shared.contract.documents import tokens

CASHTAG = re.compile(r"(?<![\w$])\$([A-Za-z][A-Za-z0-9]{0,15}(?:\.[A-Za-z])?)(?!\w)")


class Mentions:
    """Names by symbol: `$BTC` is a cashtag, `bitcoin` and `Bank of Japan` are words, found whole in any case.

    A cashtag of a listed symbol itself (`$SPY`) needs no name.
    """

    def __init__(self, names: Mapping[str, Iterable[str]], listed: Iterable[str] = ()) -> None:
        self._cashtags: dict[str, set[str]] = {symbol: {symbol} for symbol in listed}
        self._phrases: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        for symbol, known in names.items():
            for name in known:
                if name.startswith("$"):
                    self._cashtags.setdefault(normal_symbol(name[1:]), set()).add(symbol)
                elif words := tuple(tokens(name)):
                    self._phrases.setdefault(words[0], []).append((words, symbol))

    def of(self, text: str) -> tuple[str, ...]:
        """The symbols that a text speaks of, in the order of the alphabet."""
        found = {symbol for tag in CASHTAG.findall(text) for symbol in self._cashtags.get(normal_symbol(tag), ())}
        words = tokens(text) if self._phrases else []
        for at, word in enumerate(words):
            for phrase, symbol in self._phrases.get(word, ()):
                if tuple(words[at : at + len(phrase)]) == phrase:
                    found.add(symbol)
        return tuple(sorted(found))
