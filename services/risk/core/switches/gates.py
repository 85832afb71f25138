"""The switches people throw: kills, trading states, blocked symbols. Each knows who threw it, when and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.risk.core.findings import Measured
from services.risk.core.switches.alerts import Alerts, Change, person
from services.risk.core.switches.kills import Kills, own_names, plain
from shared.contract import keys
from shared.contract.base import Message, Nanos, Symbol, normal_symbol
from shared.contract.errors import Conflict, NotFound, Refused
from shared.contract.risk import Kill, RiskCheck, TradingState

SEVERITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
KINDS = ("account", "strategy", "symbol")


class StateSwitch(Message):
    """A trading state of a scope, kept under keys.trading_state(scope). Without it the scope is ACTIVE."""

    scope: str
    state: TradingState
    actor: str
    reason: str
    at_ns: Nanos


class Block(Message):
    """A symbol that nobody may trade, kept under keys.blocked(symbol)."""

    symbol: Symbol
    reason: str
    actor: str
    at_ns: Nanos


class Standing(NamedTuple):
    """The trading state that counts, and the scope that has it."""

    state: TradingState
    scope: str


ACTIVE = Standing(TradingState.ACTIVE, "firm")


def strictest(*standings: Standing) -> Standing:
    """The first of the most restrictive."""
    return max(standings, key=lambda standing: SEVERITY[standing.state])


class Gates:
    """What is shut just now. `restricted` symbols (symbol: why) are shut by configuration and cannot be opened here."""

    def __init__(self, alerts: Alerts, restricted: Mapping[str, str] | None = None) -> None:
        self._alerts = alerts
        self.kills = Kills(alerts)
        self._restricted = {normal_symbol(symbol): why for symbol, why in (restricted or {}).items()}
        self._states: dict[str, StateSwitch] = {}
        self._blocks: dict[str, Block] = {}

    def restore(
        self,
        kills: Iterable[Kill] = (),
        lifted_ns: Mapping[str, int] | None = None,
        states: Iterable[StateSwitch] = (),
        blocks: Iterable[Block] = (),
    ) -> None:
        """After a restart: what stands under kill:*, lifted:*, trading_state:* and blocked:*."""
        self.kills.restore(kills, lifted_ns or {})
        self._states = {switch.scope: switch for switch in states if switch.state is not TradingState.ACTIVE}
        self._blocks = {block.symbol: block for block in blocks}

    # Trading states.

    def standing(self, check: RiskCheck) -> Standing:
        """The most restrictive trading state that an order falls under."""
        if not self._states:
            return ACTIVE
        scopes = ("firm", f"account.{check.account}", f"strategy.{check.strategy or '-'}", f"symbol.{check.symbol}")
        switched = [Standing(switch.state, scope) for scope in scopes if (switch := self._states.get(scope))]
        return strictest(*switched) if switched else ACTIVE

    def state(self, scope: str) -> TradingState:
        """The state of one scope by itself; a bare name is an account's."""
        switch = self._states.get(state_scope(scope))
        return switch.state if switch else TradingState.ACTIVE

    def states(self) -> list[StateSwitch]:
        """Every scope that is not ACTIVE."""
        return list(self._states.values())

    def put_state(self, scope: str, state: TradingState, actor: str, reason: str, now_ns: int) -> Change:
        """Anybody may tighten; to loosen takes a person with a name, and never the account or strategy itself."""
        scope = state_scope(scope)
        if SEVERITY[state] < SEVERITY[self.state(scope)]:
            person(actor, *own_names(scope))
        switch = StateSwitch(scope=scope, state=state, actor=actor, reason=reason, at_ns=now_ns)
        active = state is TradingState.ACTIVE
        if active:
            self._states.pop(scope, None)
        else:
            self._states[scope] = switch
        alert = self._alerts.tell("RISK_TRADING_STATE", f"{scope} is {state}: {reason} ({actor})", scope, now_ns)
        return self._alerts.changed(alert, keys.trading_state(scope), None if active else switch)

    # Symbols that nobody may trade.

    def blocked(self, symbol: str) -> str | None:
        """Why nobody may trade a symbol, or None."""
        if block := self._blocks.get(symbol):
            return block.reason
        return self._restricted.get(symbol)

    def look(self, check: RiskCheck) -> Measured:
        """R03: restricted by configuration, or blocked by hand."""
        symbol = check.symbol
        if (why := self.blocked(symbol)) is None:
            return Measured("R03", "RISK_SYMBOL_BLOCKED", True, "open", "open", symbol)
        return Measured("R03", "RISK_SYMBOL_BLOCKED", False, "blocked", "open", symbol, f"{symbol} is blocked: {why}")

    def blocks(self) -> list[Block]:
        """Those of the configuration first."""
        configured = [
            Block(symbol=s, reason=why, actor="configuration", at_ns=0) for s, why in self._restricted.items()
        ]
        return [*configured, *self._blocks.values()]

    def block(self, symbol: str, actor: str, reason: str, now_ns: int) -> Change:
        block = Block(symbol=symbol, reason=reason, actor=actor, at_ns=now_ns)
        self._blocks[block.symbol] = block
        message = f"{block.symbol} is blocked: {reason} ({actor})"
        alert = self._alerts.tell("RISK_SYMBOL_BLOCKED", message, f"symbol.{block.symbol}", now_ns)
        return self._alerts.changed(alert, keys.blocked(block.symbol), block)

    def unblock(self, symbol: str, actor: str, now_ns: int) -> Change:
        symbol = normal_symbol(symbol)
        if symbol not in self._blocks and symbol in self._restricted:
            detail = f"{symbol} is restricted by configuration; take it off `restricted` in config/risk.yaml"
            raise Conflict("RESTRICTED_BY_CONFIGURATION", detail, field="symbol")
        if symbol not in self._blocks:
            raise NotFound(f"{symbol} is not blocked; blocked: {', '.join(sorted(self._blocks)) or 'nothing'}")
        person(actor)
        del self._blocks[symbol]
        message = f"{symbol} may be traded again, says {actor}"
        alert = self._alerts.tell("RISK_SYMBOL_UNBLOCKED", message, f"symbol.{symbol}", now_ns)
        return self._alerts.changed(alert, keys.blocked(symbol), None)


def state_scope(scope: str) -> str:
    """The one spelling of a scope that can have a trading state; a bare name is an account's."""
    kind, dot, name = scope.partition(".")
    if scope == "firm":
        return scope
    if not dot:
        return f"account.{scope}"
    if kind not in KINDS or not name:
        detail = f"{scope} has no trading state; give firm, account.…, strategy.… or symbol.…"
        raise Refused("UNKNOWN_SCOPE", detail, field="scope")
    return plain(scope)
