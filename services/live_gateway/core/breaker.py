"""The circuit breaker: a venue that keeps failing is left alone for a while, then tried with one order at a time."""

from __future__ import annotations

from dataclasses import dataclass

PROBE_EVERY_NS = 1_000_000_000


@dataclass(slots=True)
class Breaker:
    """Opens after so many failures on end; half open after `open_ns`; closed by the first success."""

    failures_max: int
    open_ns: int
    failures: int = 0
    until_ns: int = 0

    def state(self, now_ns: int) -> str:
        if not self.until_ns:
            return "CLOSED"
        return "OPEN" if now_ns < self.until_ns else "HALF_OPEN"

    def admit(self, now_ns: int) -> str:
        """Why an order may not go out, or nothing. Half open, one may a second."""
        if not self.until_ns:
            return ""
        if now_ns < self.until_ns:
            left_s = (self.until_ns - now_ns) / 1e9
            return f"its circuit is open after {self.failures} failures, for {left_s:.1f} s more"
        self.until_ns = now_ns + PROBE_EVERY_NS
        return ""

    def note(self, now_ns: int, *, well: bool) -> bool:
        """What became of an order. True when this opened the circuit."""
        if well:
            self.failures, self.until_ns = 0, 0
            return False
        self.failures += 1
        if self.failures < self.failures_max:
            return False
        opened = not self.until_ns
        self.until_ns = now_ns + self.open_ns
        return opened
