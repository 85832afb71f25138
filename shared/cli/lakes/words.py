"""What may be chosen on the command line; light, since --help loads it."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """Of an exported file."""

    parquet = "parquet"
    csv = "csv"


class Shape(StrEnum):
    """Of a printed answer."""

    table = "table"
    csv = "csv"
    json = "json"


class Kind(StrEnum):
    """Of what is exported: the lake's tables that have symbols."""

    ticks = "ticks"
    quotes = "quotes"
    bars = "bars"
