"""How the supervisor tells a person what it does: on the terminal, or to the command that detached it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Protocol

READY = b"\0"


class Announce(Protocol):
    """Where the supervisor's words go."""

    def say(self, line: str) -> None: ...

    def settled(self, *, ready: bool) -> None:
        """The start is over."""
        ...

    def descriptors(self) -> tuple[int, ...]: ...


class Terminal:
    """Lines on standard output."""

    def say(self, line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone; the suite goes on
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def settled(self, *, ready: bool) -> None:
        return None

    def descriptors(self) -> tuple[int, ...]:
        return ()


class Pipe(Terminal):
    """Lines on standard output, which is a log now, and until the start is over to the waiting command as well."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, line: str) -> None:
        super().say(line)
        self._write(line.encode() + b"\n")

    def settled(self, *, ready: bool) -> None:
        if ready:
            self._write(READY)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def descriptors(self) -> tuple[int, ...]:
        return (self._descriptor,) if self._descriptor >= 0 else ()

    def _write(self, words: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # nobody waits any more
                os.write(self._descriptor, words)
