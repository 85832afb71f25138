"""A service's tables by its name, over the real parts of the kit."""

from __future__ import annotations

import importlib
from functools import cached_property

from shared.contract.roster import BY_NAME
from shared.kit.bus import NatsBus
from shared.kit.journal import Journal
from shared.kit.kit import Kit
from shared.kit.service import Service
from shared.kit.settings import Settings, load
from shared.kit.tape import Tape, open_tape
from shared.kit.valkey import ValkeyStore


class RealKit(Kit):
    """The kit over NATS, Valkey and the tape."""

    @cached_property
    def bus(self) -> NatsBus:
        password = self.suite.nats_password(self.name)
        return NatsBus(self.name, self.suite.nats, self.clock, self.meter, self.log, password)

    @cached_property
    def valkey(self) -> ValkeyStore:
        return ValkeyStore(self.suite.valkey, self.name, self.suite.valkey_password(self.name))

    @cached_property
    def journal(self) -> Journal:
        return Journal(self.name, self.valkey, self.bus.store_all, self.shard)

    @cached_property
    def tape(self) -> Tape:
        return open_tape(self.suite)


def wire(name: str, kit: Kit) -> Service:
    """A service's tables, by its name on the roster."""
    package = f"services.{BY_NAME[name].package}"
    module = importlib.import_module(f"{package}.service")
    kind: type[Settings] = importlib.import_module(f"{package}.settings").Settings
    return module.wire(kit, load(kind, name, kit.suite))
