"""What every verb of the command line has in common: one line for trouble, and the exit code that goes with it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from shared.cli.trouble import Trouble

P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

Account = Annotated[str | None, typer.Option(help="The account's name.")]


def verb(app: typer.Typer) -> Callable[[Callable[P, int | None]], Callable[P, int | None]]:
    """Add a function to the command line. 0: done; 1: trouble, told in one line; 130: interrupted."""

    def adds(function: Callable[P, int | None]) -> Callable[P, int | None]:
        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                code = function(*args, **kwargs) or 0
            except Trouble as trouble:
                sys.stderr.write(f"trade2026: {trouble}\n")
                code = 1
            except BrokenPipeError:  # the reader of our output has seen enough
                sys.stderr.close()
                code = 0
            except KeyboardInterrupt:
                code = 130
            raise typer.Exit(code)

        app.command()(guarded)
        return function

    return adds
