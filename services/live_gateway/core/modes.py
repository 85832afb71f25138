"""Modes: how far the orders for a venue go, and what it takes before any leaves for a real one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from services.live_gateway.core.orders import VENUE
from shared.contract.errors import NotFound, Refused
from shared.contract.orders import RouteOrder
from shared.contract.venue import Mode, ModeRequest

REAL = (Mode.CANARY, Mode.LIVE)


@dataclass(frozen=True)
class Setup:
    """What there is of a venue: whether it is configured, and whether what it holds is worth anything."""

    configured: bool = False
    play_money: bool = False


@dataclass(frozen=True)
class Canary:
    """Which orders go out in mode CANARY: those of a fixed share of all traded things, and no larger than this."""

    fraction: float = 0.0
    notional_max: Decimal = Decimal(0)


class Modes:
    """Each venue's mode. The paper venue itself knows only PAPER and SHADOW."""

    def __init__(self, setups: Mapping[str, Setup], canary: Canary) -> None:
        self.setups = dict(setups)
        self._canary = canary
        self._modes: dict[str, Mode] = {}

    def restore(self, modes: Mapping[str, Mode]) -> dict[str, str]:
        """What was set by hand. Real modes that could not be armed now fall back to SHADOW: venue → why."""
        self._modes = {venue: mode for venue, mode in modes.items() if venue == VENUE or venue in self.setups}
        real = [(venue, mode) for venue, mode in self._modes.items() if mode in REAL]
        fallen = {venue: why for venue, mode in real if (why := self._hindrance(venue, mode))}
        self._modes |= dict.fromkeys(fallen, Mode.SHADOW)
        return fallen

    def of(self, venue: str) -> Mode:
        return self._modes.get(venue, Mode.PAPER)

    def all(self) -> dict[str, Mode]:
        return {venue: self.of(venue) for venue in (VENUE, *sorted(self.setups))}

    def check(self, wanted: ModeRequest) -> dict[str, Mode]:
        """The modes that a request leads to; Refused when one of them may not be."""
        venues = [wanted.venue] if wanted.venue else self.all()
        for venue in venues:
            if venue != VENUE and venue not in self.setups:
                raise NotFound(f"unknown venue {venue}; known: {', '.join(self.all())}", field="venue")
            if wanted.mode in REAL:
                self._arm(venue, wanted)
        return dict.fromkeys(venues, wanted.mode)

    def set(self, modes: Mapping[str, Mode]) -> None:
        self._modes.update(modes)

    def passed(self, route: RouteOrder, worth: Decimal | None) -> str:
        """Why mode CANARY keeps an order back, or nothing. Entries and exits of one strategy in one symbol share a
        fate, so that nobody gets in who does not get out. `worth` is the order's notional, None when unknown."""
        fate = hashlib.sha256(f"{route.account}\n{route.strategy or '-'}\n{route.symbol}".encode()).digest()
        if int.from_bytes(fate[:8]) / 2**64 >= self._canary.fraction:
            return f"CANARY: only {self._canary.fraction:g} of what is traded goes to {route.venue}, and this does not"
        if worth is None:
            return "CANARY: a market order's worth is not known without a quote"
        if worth > self._canary.notional_max:
            return f"CANARY: worth {worth:f}, and no more than {self._canary.notional_max:f} may go out"
        return ""

    def _arm(self, venue: str, wanted: ModeRequest) -> None:
        if hindrance := self._hindrance(venue, wanted.mode):
            raise Refused("MODE_REFUSED", hindrance, status=409, field="mode")
        if wanted.sentence != (sentence := arming(venue, wanted.mode)):
            raise Refused("MODE_NOT_CONFIRMED", f"sentence: type exactly {sentence!r}", status=409, field="sentence")

    def _hindrance(self, venue: str, mode: Mode) -> str:
        setup = self.setups.get(venue, Setup())
        if venue == VENUE:
            return "the paper venue trades on paper: its modes are PAPER and SHADOW"
        if not setup.configured:
            return (
                f"{venue} is not configured: set {venue}_enabled in config/live-gateway.yaml, and the secrets "
                f"live_gateway_{venue}_key and live_gateway_{venue}_secret"
            )
        if mode is Mode.CANARY and not (self._canary.fraction and self._canary.notional_max):
            return "CANARY lets nothing out as configured: set canary_fraction and canary_notional_max"
        if not setup.play_money:
            return (
                f"this version does not authenticate its requests, so nothing arms {venue} with real money; "
                f"on its test network it can be armed"
            )
        return ""


def arming(venue: str, mode: Mode) -> str:
    """The sentence that has to be typed."""
    return f"send {'a few' if mode is Mode.CANARY else 'all'} orders to {venue}"


def known(venues: Iterable[str]) -> str:
    return ", ".join((VENUE, *sorted(venues)))
