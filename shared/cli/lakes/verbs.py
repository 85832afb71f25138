"""The verbs that read the lake."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.lakes.words import Format, Kind, Shape
from shared.cli.verb import verb

lakes = typer.Typer()


@verb(lakes)
def export(
    symbol: Annotated[str, typer.Argument(help="Such as BTCUSDT.")],
    out: Annotated[Path, typer.Option(help="The file to make; it must not be there.")],
    begin: Annotated[str | None, typer.Option("--from", help="RFC 3339, or a day.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="The same; not included.")] = None,
    form: Annotated[Format, typer.Option("--format", help="Of the file.")] = Format.parquet,
    table: Annotated[Kind, typer.Option(help="What of it.")] = Kind.ticks,
    venue: Annotated[str | None, typer.Option(help="Of one venue alone.")] = None,
    interval: Annotated[str | None, typer.Option(help="Bars of one interval alone, such as 1m.")] = None,
) -> None:
    """Write what was said of a symbol into a file, from the lake."""
    from shared.cli.lakes import export as exports
    from shared.cli.lakes.reading import Bounds
    from shared.cli.trouble import Trouble, suite

    if interval is not None and table is not Kind.bars:
        raise Trouble("--interval goes with --table bars")
    wanted = exports.Wanted(symbol.upper(), table, begin, end, venue, interval)
    count = exports.export(suite(), wanted, form, out.expanduser().absolute(), Bounds(timeout_s=3600))
    sys.stdout.write(f"{out}: {count:,} {table.value} of {wanted.symbol}\n")


@verb(lakes)
def query(
    sql: Annotated[str, typer.Argument(help='Such as "SELECT symbol, count(*) FROM ticks GROUP BY 1".')],
    shape: Annotated[Shape, typer.Option("--format", help="Of the answer.")] = Shape.table,
    memory: Annotated[str, typer.Option(help="What it may hold in memory; the rest is spilled to disk.")] = "1GB",
    timeout: Annotated[float, typer.Option(min=0.001, help="For how many seconds it may run.")] = 60,
) -> None:
    """Ask the lake in SQL; it is only read. Its tables: ticks, quotes, bars, alt_docs."""
    from shared.cli.lakes.query import ask
    from shared.cli.lakes.reading import Bounds
    from shared.cli.trouble import suite

    ask(suite(), sql, shape, Bounds(memory, timeout))
