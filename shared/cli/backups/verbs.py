"""The verbs that save what a suite knows, and put it back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.backups.words import Config
from shared.cli.verb import Json, verb

backups = typer.Typer()

Folder = Annotated[Path, typer.Argument(help="The backup's folder.", show_default=False)]


@verb(backups)
def backup(
    folder: Folder,
    with_secrets: Annotated[bool, typer.Option("--with-secrets", help="Save the secrets too.")] = False,
    as_json: Json = False,
) -> None:
    """Save everything a suite knows, into a new folder; it may run meanwhile."""
    from shared.cli import show
    from shared.cli.backups import taking, words
    from shared.cli.trouble import suite

    began_s = time.monotonic()
    made = taking.take(suite(), folder.absolute(), with_secrets=with_secrets)
    said = words.told(folder.absolute(), made, time.monotonic() - began_s)
    show.out(said, words.saved(said), as_json=as_json)


@verb(backups)
def restore(
    folder: Folder,
    replace: Annotated[bool, typer.Option("--replace", help="Move aside what is there now.")] = False,
    config: Annotated[Config | None, typer.Option(help="Which one counts where the two differ.")] = None,
    as_json: Json = False,
) -> None:
    """Put a backup back where no suite runs."""
    from shared.cli import show
    from shared.cli.backups import restoring, words
    from shared.cli.trouble import suite

    began_s = time.monotonic()
    done = restoring.restore(suite(), folder.absolute(), replace=replace, config=config)
    said = words.told(folder.absolute(), done.manifest, time.monotonic() - began_s) | done.told
    show.out(said, words.restored(said), as_json=as_json)
