"""The summary: loops, acknowledged orders checked, violations, recovery times, and how to have it all again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.chaos.run import Played


def summary(played: Sequence[Played], *, seed: int, profile: str, seconds: float) -> str:
    """A table by fault, and what it comes to."""
    by_fault: defaultdict[str, list[Played]] = defaultdict(list)
    titles: dict[str, str] = {}
    for one in played:
        key = one.loop.fault.id if one.loop else "all"
        titles[key] = one.loop.fault.title if one.loop else "every account once more, with the tape"
        if not one.skipped:
            by_fault[key].append(one)
    skipped = {one.loop.fault.id for one in played if one.loop and one.skipped}
    head = f"{'acknowledged':>14}{'violations':>12}{'seconds':>9}{'recovery p50':>14}{'p99':>8}"
    lines = [f"{'fault':<6}{'':<40}{'loops':>6}{head}"]
    for key in sorted(by_fault, key=_by_number):
        some = by_fault[key]
        times = sorted(recovery.seconds for one in some for recovery in one.recoveries)
        lines.append(
            f"{key:<6}{titles[key]:<40}{len(some):>6}{sum(one.acknowledged for one in some):>14,}"
            f"{sum(len(one.found) for one in some):>12}{sum(one.seconds for one in some):>9.0f}"
            f"{_at(times, 0.5):>14}{_at(times, 0.99):>8}"
        )
    tally: Counter[str] = Counter()
    for one in played:
        tally.update(one.tally)
    lines += [f"{count:,} {what}" for what, count in sorted(tally.items())]
    lines += _kills(played)
    acknowledged, violated = sum(one.acknowledged for one in played), sum(len(one.found) for one in played)
    loops = sum(one.loop is not None and not one.skipped for one in played)
    lines += [f"{key} was NOT PLAYED: this machine does not allow it" for key in sorted(skipped)]
    lines.append(
        f"{loops} loops, {acknowledged:,} acknowledged orders checked, {violated} violations;"
        f" seed {seed}, profile {profile}, {seconds:.0f} s"
    )
    return "\n".join(lines)


def _kills(played: Sequence[Played]) -> list[str]:
    """By each way in, how long after a kill was acknowledged the last order was out, by the venue's own record."""
    by_way: defaultdict[str, list[float]] = defaultdict(list)
    for way, ms in (kill for one in played for kill in one.kills):
        by_way[way].append(ms)
    lines = [f"{'from a kill to the last order out (ms)':<46}{'kills':>6}{'p50':>8}{'p99':>8}{'max':>8}"] * bool(by_way)
    for way, some in sorted(by_way.items()):
        some.sort()
        p50, p99 = (some[min(len(some) - 1, int(len(some) * share))] for share in (0.5, 0.99))
        lines.append(f"  {way:<44}{len(some):>6}{p50:>8.0f}{p99:>8.0f}{some[-1]:>8.0f}")
    return lines


def _at(times: Sequence[float], share: float) -> str:
    return f"{times[min(len(times) - 1, int(len(times) * share))]:.2f} s" if times else "-"


def _by_number(key: str) -> tuple[int, str]:
    return (int(key[1:]) if key[1:].isdigit() else 99, key)
