"""What the saying of a bar is called, and which may be said at once."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.bars import SaidBar


def name_of(said: SaidBar) -> str:
    """The same for the same saying of a bar, also by a process that folds the same ticks again after a crash.

    The count tells apart two sayings that a bar closed by the clock, before and after a crash, may give one revision.
    """
    bar = said.bar
    which = f"{bar.venue}-{bar.symbol}-{bar.interval}-{bar.start_ns}-{bar.number}"
    return f"{which}-{bar.revision}-{bar.count}-{said.replay}"


def wave(unsaid: Sequence[SaidBar], count_max: int) -> int:
    """How many of these may be said at once: a correction must not overtake what it corrects."""
    met: set[tuple[str, str, str, int, int]] = set()
    for said in unsaid[:count_max]:
        bar = said.bar
        key = (bar.venue, bar.symbol, bar.interval, bar.start_ns, bar.number)
        if key in met:
            break
        met.add(key)
    return len(met)
