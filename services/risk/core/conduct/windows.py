"""Counting over time, at a cost that does not grow: buckets, what was seen of late, a day's messages and trades."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from services.risk.core.limits.bounds import NS, Rate

DAY_NS = 86_400 * NS

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Buckets:
    """Token buckets. A bucket is one number: when it would be full again."""

    def __init__(self) -> None:
        self._full_ns: dict[tuple[str, str], int] = {}

    def peek(self, rate: Rate, venue: str, now_ns: int) -> int:
        """How many tokens are out, the one in question counted; more than `rate.room` are not there."""
        full_ns = self._full_ns.get((rate.scope, venue))
        return 1 if full_ns is None or full_ns <= now_ns else 1 - ((now_ns - full_ns) // rate.step_ns)

    def take(self, rate: Rate, venue: str, now_ns: int) -> None:
        key = (rate.scope, venue)
        full_ns = self._full_ns.get(key, now_ns)
        self._full_ns[key] = (full_ns if full_ns > now_ns else now_ns) + rate.step_ns

    def sweep(self, now_ns: int) -> None:
        """A full bucket is as good as none."""
        self._full_ns = {key: full_ns for key, full_ns in self._full_ns.items() if full_ns > now_ns}

    def __len__(self) -> int:
        return len(self._full_ns)


class Recent(Generic[K, V]):
    """What was seen within a window, each key with its latest value."""

    def __init__(self, window_s: float) -> None:
        self._window_ns = round(window_s * NS)
        self._seen: OrderedDict[K, tuple[int, V]] = OrderedDict()

    def get(self, key: K, now_ns: int) -> V | None:
        seen = self._seen.get(key)
        return seen[1] if seen is not None and now_ns - seen[0] < self._window_ns else None

    def put(self, key: K, value: V, now_ns: int) -> None:
        self._seen[key] = (now_ns, value)
        self._seen.move_to_end(key)
        self.sweep(now_ns)

    def sweep(self, now_ns: int) -> None:
        while self._seen:
            key, (at_ns, _) = next(iter(self._seen.items()))
            if now_ns - at_ns < self._window_ns:
                break
            del self._seen[key]

    def __len__(self) -> int:
        return len(self._seen)


class Occurrences(Generic[K]):
    """What happened within a window, by kind; the same order counts once for a kind."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._orders: dict[K, Recent[str, bool]] = {}

    def add(self, kind: K, order_id: str, now_ns: int) -> int:
        """How many there are with this one."""
        recent = self._orders.get(kind)
        if recent is None:
            recent = self._orders[kind] = Recent(self.window_s)
        if recent.get(order_id, now_ns) is None:
            recent.put(order_id, True, now_ns)
        return len(recent)

    def count(self, kind: K, now_ns: int) -> int:
        recent = self._orders.get(kind)
        if recent is None:
            return 0
        recent.sweep(now_ns)
        return len(recent)

    def __len__(self) -> int:
        return len(self._orders)

    def forget(self, kind: K) -> None:
        self._orders.pop(kind, None)

    def sweep(self, now_ns: int) -> None:
        for kind in list(self._orders):
            if not self.count(kind, now_ns):
                del self._orders[kind]


class OrdersPerTrade:
    """Messages and trades of the day, per account and symbol."""

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], list[int]] = {}
        self.changed = False

    def of(self, account: str, symbol: str, day: int) -> tuple[int, int]:
        counted = self._days.get((account, symbol))
        return (counted[1], counted[2]) if counted is not None and counted[0] == day else (0, 0)

    def message(self, account: str, symbol: str, day: int) -> None:
        self._on(account, symbol, day)[1] += 1

    def trade(self, account: str, symbol: str, day: int) -> None:
        self._on(account, symbol, day)[2] += 1

    def _on(self, account: str, symbol: str, day: int) -> list[int]:
        self.changed = True
        counted = self._days.get((account, symbol))
        if counted is None or counted[0] != day:
            counted = self._days[account, symbol] = [day, 0, 0]
        return counted

    def sweep(self, day_of: Callable[[str, int], int], now_ns: int) -> None:
        self._days = {key: counted for key, counted in self._days.items() if counted[0] >= day_of(key[1], now_ns)}

    def all(self) -> Iterator[tuple[str, str, int, int, int]]:
        for (account, symbol), (day, messages, trades) in self._days.items():
            yield account, symbol, day, messages, trades

    def restore(self, counts: Iterable[tuple[str, str, int, int, int]]) -> None:
        self._days = {(account, symbol): [day, messages, trades] for account, symbol, day, messages, trades in counts}

    def __len__(self) -> int:
        return len(self._days)
