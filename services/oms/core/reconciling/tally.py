"""What the fills on record add up to, by venue, held against positions and against what a venue holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from services.oms.core.reconciling.differences import Difference, Finding, Kind
from shared.contract.accounts import Position
from shared.contract.base import Message, Nanos
from shared.contract.market import Instrument
from shared.contract.orders import Fill
from shared.domain.ledger import signed

Exact = Annotated[Decimal, Field(allow_inf_nan=False)]
ZERO = Decimal(0)


class Tally(Message):
    """An account's fills up to and with the one committed at `cursor_us`.

    `counts` by symbol; by venue `quantities`, signed, of each symbol, and `charged`: fees taken in assets.
    """

    account: str
    cursor_us: int = 0
    counts: dict[str, int] = Field(default_factory=dict)
    quantities: dict[str, dict[str, Exact]] = Field(default_factory=dict)
    charged: dict[str, dict[str, Exact]] = Field(default_factory=dict)


class Reconciled(Message):
    """How far an account has been reconciled with a venue.

    `began_ns` is when that began: what other hands did before is not ours. Trades up to `since_ns` are entered.
    `baseline` are the venue's holdings beyond our fills, as they were then or as a person accepted them since.
    """

    account: str
    venue: str
    began_ns: Nanos
    since_ns: Nanos
    baseline: dict[str, Exact] | None = None


def added(tally: Tally, fills: Iterable[Fill]) -> Tally:
    """The tally with more fills, the oldest first."""
    counts = dict(tally.counts)
    quantities = {venue: dict(some) for venue, some in tally.quantities.items()}
    charged = {venue: dict(some) for venue, some in tally.charged.items()}
    cursor_us = tally.cursor_us
    for fill in fills:
        counts[fill.symbol] = counts.get(fill.symbol, 0) + 1
        _add(quantities.setdefault(fill.venue, {}), fill.symbol, signed(fill))
        if fill.fee_asset:
            _add(charged.setdefault(fill.venue, {}), fill.fee_asset, fill.fee_charged)
        cursor_us = fill.committed_ns // 1000
    return Tally(account=tally.account, cursor_us=cursor_us, counts=counts, quantities=quantities, charged=charged)


def _add(sums: dict[str, Decimal], name: str, amount: Decimal) -> None:
    sums[name] = sums.get(name, ZERO) + amount


def filled(tally: Tally, symbol: str) -> Decimal:
    """What all fills of a symbol come to."""
    return sum((some.get(symbol, ZERO) for some in tally.quantities.values()), ZERO)


def check_positions(tally: Tally, positions: Iterable[Position]) -> list[Finding]:
    """Position = Σ fills. The positions were read before the last of the fills, so a position's version counts no fill
    that is not there; where more were counted, it moved meanwhile, and is looked at the next time.
    """
    findings: list[Finding] = []
    for position in positions:
        count = tally.counts.get(position.symbol, 0)
        total = filled(tally, position.symbol)
        if count > position.version or (count == position.version and total == position.quantity):
            continue
        difference = Difference(
            kind=Kind.POSITION,
            about=position.symbol,
            mark=f"{position.version - count} {position.quantity - total:f}",
            ours=f"position {position.quantity:f} after {position.version} fills",
            theirs=f"{count} fills that come to {total:f}",
        )
        findings.append(Finding(difference))
    return findings


def asset_of(instrument: Instrument) -> str | None:
    """What is held of an instrument at a venue that keeps assets: its symbol without what it is paid in."""
    asset = instrument.symbol.removesuffix(instrument.currency)
    return asset if asset and asset != instrument.symbol else None


def moved(tally: Tally, venue: str, instruments: Mapping[str, Instrument]) -> dict[str, Decimal]:
    """By how much our fills have moved each asset that is traded at a venue, what was charged in it included. What
    other assets are paid for in is left out: it moves for many reasons."""
    quantities, charged = tally.quantities.get(venue, {}), tally.charged.get(venue, {})
    money = {instrument.currency for instrument in instruments.values()}
    sums: dict[str, Decimal] = {}
    for symbol, instrument in instruments.items():
        asset = asset_of(instrument)
        if asset is not None and asset not in money:
            _add(sums, asset, quantities.get(symbol, ZERO))
    return {asset: amount - charged.get(asset, ZERO) for asset, amount in sums.items()}


def beyond(holdings: Mapping[str, Decimal], ours: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """What a venue holds beyond our fills: the baseline."""
    return {asset: holdings.get(asset, ZERO) - amount for asset, amount in ours.items()}


def check_holdings(
    baseline: Mapping[str, Decimal], holdings: Mapping[str, Decimal], ours: Mapping[str, Decimal]
) -> list[Finding]:
    """A venue's holdings = the baseline and our fills."""
    findings: list[Finding] = []
    for asset, amount in ours.items():
        expected, held = baseline.get(asset, ZERO) + amount, holdings.get(asset, ZERO)
        if expected != held:
            difference = Difference(
                kind=Kind.HOLDINGS,
                about=asset,
                mark=f"{held - expected:f}",
                ours=f"{expected:f} expected, {amount:f} of it by our fills",
                theirs=f"{held:f} held",
            )
            findings.append(Finding(difference))
    return findings
