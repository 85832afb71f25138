"""Kit: what `wire` is handed. Each part is made on first touch, and what was touched is what /readyz checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from structlog.typing import FilteringBoundLogger

from shared.contract.currencies import Rates
from shared.contract.market import Instrument
from shared.contract.sessions import Sessions
from shared.kit.bus import Bus
from shared.kit.calendars import open_calendars
from shared.kit.clock import Clock
from shared.kit.ids import fresh_id
from shared.kit.journal import Journal
from shared.kit.lake import Lake, open_lake
from shared.kit.meter import Meter
from shared.kit.peers import Peers
from shared.kit.search import Search, open_search
from shared.kit.settings import Suite, load_instruments, load_rates, read_yaml
from shared.kit.shard import Shard
from shared.kit.tape import Tape
from shared.kit.valkey import Valkey


class Kit:
    """One service's tools. Subclassed by the life of a process (real parts) and by the tests (their twins)."""

    def __init__(self, name: str, suite: Suite, clock: Clock, meter: Meter, log: FilteringBoundLogger) -> None:
        self.name = name
        self.suite = suite
        self.clock = clock
        self.meter = meter
        self.log = log

    @cached_property
    def shard(self) -> Shard:
        """Which share of the service's work this process has: all of it, where there is one copy."""
        return Shard.of(self.name, self.suite)

    @cached_property
    def bus(self) -> Bus:
        raise NotImplementedError

    @cached_property
    def valkey(self) -> Valkey:
        raise NotImplementedError

    @cached_property
    def journal(self) -> Journal:
        raise NotImplementedError

    @cached_property
    def tape(self) -> Tape:
        raise NotImplementedError

    @cached_property
    def lake(self) -> Lake:
        return open_lake(self.suite)

    @cached_property
    def search(self) -> Search:
        return open_search(self.suite)

    @cached_property
    def peers(self) -> Peers:
        return Peers(self.suite)

    @cached_property
    def instruments(self) -> Mapping[str, Instrument]:
        """config/instruments.yaml by symbol."""
        return load_instruments(self.suite)

    @cached_property
    def sessions(self) -> Callable[[str], Sessions]:
        """The sessions of a listed symbol. Touch it in `wire`: timetables are worked out before anything is live."""
        return open_calendars(self.instruments, self.suite.var / "calendars", self.clock.now_ns())

    @cached_property
    def rates(self) -> Rates:
        """config/currencies.yaml."""
        return load_rates(self.suite)

    def new_id(self) -> str:
        """An id nobody else has."""
        return fresh_id()

    def config(self, name: str) -> dict[str, Any]:
        """A shared table, config/<name>.yaml."""
        return read_yaml(self.suite.config / f"{name}.yaml")

    def touched(self, part: str) -> bool:
        """Whether `wire` asked for this part."""
        return part in self.__dict__
