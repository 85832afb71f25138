"""Ids that nobody else has: a random beginning for each process, and a count."""

from __future__ import annotations

import itertools
import os
import secrets


class _Ids:
    def __init__(self) -> None:
        self.renew()
        # A process forked from this one must not go on counting under the same beginning.
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self._beginning = secrets.token_hex(8)
        self._count = itertools.count()

    def fresh(self) -> str:
        return f"{self._beginning}{next(self._count):08x}"


fresh_id = _Ids().fresh
"""An id of 24 hexadecimal digits. Asking the system for randomness each time costs a system call an order, twice."""
