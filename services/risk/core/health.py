"""R20: whether what risk knows is of now, so that new risk may be taken on it."""

from __future__ import annotations

NS = 1_000_000_000
BEHIND_FOR_NS = NS
"""A late event says that risk is behind for as long; when no more of them come it has caught up."""


class Health:
    """How old the events are that arrive, and when the stream that brings them last answered.

    An event from the future says that two clocks differ: then no age means anything, until an event says otherwise.
    """

    def __init__(self, event_age_max_s: float, silence_max_s: float, clock_skew_max_s: float) -> None:
        self._event_age_max_ns = round(event_age_max_s * NS)
        self._silence_max_ns = round(silence_max_s * NS)
        self._skew_max_ns = round(clock_skew_max_s * NS)
        self._ahead_ns = 0
        self._late_ns = 0
        self._age_ns = 0
        self._answered_ns: int | None = None

    def heard(self, committed_ns: int, now_ns: int) -> None:
        """An event arrived that was committed then."""
        age_ns = now_ns - committed_ns
        self._ahead_ns = -age_ns if -age_ns > self._skew_max_ns else 0
        if age_ns > self._event_age_max_ns:
            self._late_ns, self._age_ns = now_ns, age_ns

    def answered(self, now_ns: int) -> None:
        """The stream of orders is there."""
        self._answered_ns = now_ns

    def trouble(self, now_ns: int) -> str:
        """Why no new risk may be taken on, or nothing."""
        if self._ahead_ns:
            return f"clocks differ: an event is of {self._ahead_ns / NS:.1f} s from now"
        if self._late_ns and now_ns - self._late_ns < BEHIND_FOR_NS:
            return f"events are {self._age_ns // NS} s late"
        if self._answered_ns is not None and now_ns - self._answered_ns > self._silence_max_ns:
            return f"the stream of orders is silent for {(now_ns - self._answered_ns) // NS} s"
        return ""
