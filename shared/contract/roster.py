"""Every service of the suite, once: its port, its lanes, what it owns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One service. `name` is used everywhere outside Python; `package` is its folder under `services/`.

    `shared_by` says by what the work is shared where several copies run; "" where there can be only one.
    """

    name: str
    port: int
    lanes: str
    owns: str
    shared_by: str = ""

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")


ROSTER: tuple[Entry, ...] = (
    Entry("gateway", 8080, "FL", "market data in: live venues, simulated market, replay, feed integrity"),
    Entry("normalizer", 8081, "LB", "ticks become bars", shared_by="symbol"),
    Entry("sink-ticks", 8111, "LB", "ticks, quotes, bars, orders and fills onto the tape"),
    Entry("sink-alt", 8112, "LB", "alternative documents into the lake and the search index"),
    Entry("risk", 8103, "FLB", "pre-trade checks, reservations, kill switch"),
    Entry("live-gateway", 8200, "FLB", "orders out to the venue, fills in; the paper venue"),
    Entry("oms", 8099, "FLB", "the order's life; positions and cash per account", shared_by="account"),
    Entry("orchestrator", 8000, "FLB", "the front door: system status, gateway to all others"),
)
"""In the order in which they start. Lanes: F frontend, L low latency, B backend."""

COPIES_MAX = 4
"""So many copies of a service may share its work: for so many there are permissions, each by its own name."""

BY_NAME = {entry.name: entry for entry in ROSTER}

NATS_PORT = 4222
NATS_MONITOR_PORT = 8222
VALKEY_PORT = 6379
"""Infrastructure ports; `TRADE2026_PORT_OFFSET` shifts these and every service's."""
