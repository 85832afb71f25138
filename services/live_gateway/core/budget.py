"""The rate budget of a venue: a bucket of tokens, the last of which are for cancels alone."""

from __future__ import annotations


class Budget:
    """`per_s` tokens flow in, up to `burst`; of these, `reserve` may be spent on cancels only."""

    def __init__(self, per_s: float, burst: float, reserve: float) -> None:
        self._per_ns = per_s / 1e9
        self._burst = burst
        self._reserve = reserve
        self._tokens = burst
        self._at_ns = 0

    def spend(self, now_ns: int, *, cancel: bool) -> int:
        """Take a token; 0, or in how many nanoseconds to ask again."""
        if now_ns > self._at_ns:
            self._tokens = min(self._burst, self._tokens + (now_ns - self._at_ns) * self._per_ns)
            self._at_ns = now_ns
        left = self._tokens - (0 if cancel else self._reserve)
        if left >= 1:
            self._tokens -= 1
            return 0
        return max(1, round((1 - left) / self._per_ns))

    @property
    def tokens(self) -> float:
        return round(self._tokens, 3)
