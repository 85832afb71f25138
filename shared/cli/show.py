"""How answers look on a terminal: plain columns, or JSON as it came."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], empty: str = "none") -> str:
    """Columns as wide as their widest word; numbers to the right. `empty` stands for no rows at all."""
    if not rows:
        return empty
    words = [[_word(value) for value in row] for row in rows]
    widths = [max(len(head), *(len(row[i]) for row in words)) for i, head in enumerate(heads)]
    right = [all(_is_number(row[i]) for row in words) for i in range(len(heads))]
    lines = [heads, *words]
    return "\n".join(
        "  ".join(w.rjust(n) if r else w.ljust(n) for w, n, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def columns(names: Sequence[str], entries: Sequence[Mapping[str, Any]], empty: str = "none") -> str:
    """A table of some fields of each entry."""
    heads = [name.replace("_", " ") for name in names]
    return table(heads, [[entry.get(name) for name in names] for entry in entries], empty)


def out(answer: object, text: str, *, as_json: bool) -> None:
    """Print the answer itself, or its text."""
    line = json.dumps(answer, indent=2, ensure_ascii=False) if as_json else text
    sys.stdout.write(line + "\n")


def _word(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _is_number(word: str) -> bool:
    return word == "-" or word.replace(".", "", 1).removeprefix("-").isdigit()
