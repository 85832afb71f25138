"""Forms: what is said of every order of one instrument, prepared."""

from __future__ import annotations

from services.risk.core.findings import Findings
from shared.contract.base import plain_text
from shared.contract.judgement import phrase
from shared.contract.market import Instrument
from shared.contract.sessions import Sessions


class Said:
    """A finding whose value alone changes."""

    __slots__ = ("_passed", "code", "limit", "rule", "scope")

    def __init__(self, rule: str, code: str, limit: str, scope: str) -> None:
        self.rule, self.code, self.limit, self.scope = rule, code, limit, scope
        self._passed = phrase(rule, code, None, limit, scope)

    def note(self, findings: Findings, ok: bool, measured: str, what: str) -> None:
        if ok:
            findings.phrases.append(self._passed)
            findings.words.append(measured)
            return
        reason = f"{what} {measured} is not {self.limit}"
        findings.fail(self.rule, self.code, measured, self.limit, self.scope, reason)


class Form:
    """One instrument, with everything that is said of its orders prepared."""

    def __init__(self, instrument: Instrument, sessions: Sessions) -> None:
        symbol = instrument.symbol
        self.instrument = instrument
        self.sessions = sessions
        self.listed = phrase("R02", "RISK_UNKNOWN_SYMBOL", symbol, "listed", symbol)
        self.is_open = phrase("R02", "RISK_SESSION_CLOSED", "open", "open", instrument.calendar)
        tick, lot = plain_text(instrument.price_tick), plain_text(instrument.lot)
        self.tick = Said("R04", "RISK_PRICE_TICK", f"a multiple of {tick}", symbol)
        self.lot = Said("R04", "RISK_LOT", f"a multiple of {lot}", symbol)
        bounds = f"within {plain_text(instrument.quantity_min)} to {plain_text(instrument.quantity_max)}"
        self.range = Said("R04", "RISK_QUANTITY_RANGE", bounds, symbol)
        self.least = Said("R04", "RISK_NOTIONAL_MIN", f"at least {plain_text(instrument.notional_min)}", symbol)
