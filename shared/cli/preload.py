"""What is imported once, before forking, so that every service shares it and starts at once."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.cli.launch import execute
from shared.cli.trouble import Trouble
from shared.contract.roster import ROSTER
from shared.kit.settings import SettingsError, Suite

if TYPE_CHECKING:
    from shared.kit.life import Life
    from shared.kit.service import Service

FORKS = sys.platform != "darwin"
"""macOS's own libraries do not survive a fork; there every service starts from nothing."""


THREADLESS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""numpy and pyarrow would each start a thread at import otherwise; neither is of use to a service. And pyarrow takes
its memory where everybody does, rather than keep some of its own in every process."""

LATE = ("anyio._backends._asyncio", "anyio.streams.tls", "encodings.idna")
"""What httpx would import with its first request, in each process anew."""


_prepared: dict[str, Life] = {}
"""The life of each service, made here to be lived in a process of its own, again after each time that one died."""


def preload(suite: Suite) -> dict[str, Service]:
    """Import the kit and every service; their tables. No thread may be running afterwards: none survives a fork."""
    lives = prepared(suite)
    if FORKS:
        _prepared.update(lives)
        # The bars' machine code too: loaded here it costs the normalizer 30 MB of its own, loaded there 90.
        importlib.import_module("shared.domain.bars").warm()
        importlib.import_module("shared.kit.columns").warm()
        gc.collect()
        gc.freeze()  # the collector never touches these objects again, so their pages stay shared
    return {name: life.tables for name, life in lives.items()}


def prepared(suite: Suite) -> dict[str, Life]:
    """A life of every service, none of which has begun."""
    os.environ.update(THREADLESS)
    parts = [f"services.{entry.package}.{part}" for entry in ROSTER for part in ("settings", "service")]
    for name in ("shared.kit.run", *parts, *LATE):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise Trouble(f"{name} cannot be imported: {error}; `trade2026 doctor` says what is missing") from error
    try:
        return importlib.import_module("shared.kit.run").prepare(suite)
    except SettingsError as error:
        raise Trouble(f"cannot start: {error}") from None


def service_life(name: str) -> Callable[[int], int]:
    """How a service lives, given the descriptor on which it reports that it is ready."""

    def forked(ready_fd: int) -> int:
        from shared.kit.run import main

        return main(name, ready_fd=ready_fd, prepared=_prepared.get(name))

    def fresh(ready_fd: int) -> int:
        os.set_inheritable(ready_fd, True)
        start = f"import sys; from shared.kit.run import main; sys.exit(main({name!r}, ready_fd={ready_fd}))"
        return execute([sys.executable, "-c", start])

    return forked if FORKS else fresh


def program_life(command: list[str]) -> Callable[[int], int]:
    """How another program lives."""

    def life(ready_fd: int) -> int:
        os.close(ready_fd)
        return execute(command)

    return life
