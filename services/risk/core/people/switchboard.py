"""What people do: each of them decides a change in memory, which is then committed before it is answered."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from services.risk.core.controls import Controls
from services.risk.core.gatekeeper import Gatekeeper
from services.risk.core.switches.alerts import UNNAMED, Change
from services.risk.settings import limit_scope
from shared.contract.base import Message, Name
from shared.contract.errors import NotFound
from shared.contract.risk import Kill, Limits, TradingState


class Hand(Message):
    """Who does it, and why."""

    actor: Name = UNNAMED
    reason: str = Field(default="by hand", min_length=1, max_length=200)


class StateChange(Hand):
    """A new trading state for a scope."""

    state: TradingState


class ReleaseRequest(Hand):
    """Let an order pass that is over a soft limit; with more than one account, say whose it is."""

    account: str | None = None


class Switchboard:
    """The gatekeeper is asked for each time, since a recovery puts another in its place."""

    def __init__(self, keeper: Callable[[], Gatekeeper], now_ns: Callable[[], int]) -> None:
        self._keeper = keeper
        self._now_ns = now_ns

    def doors(self) -> tuple[tuple[str, str, Callable[..., Change]], ...]:
        """The verbs and paths by which people get here."""
        return (
            ("PUT", "/limits/{scope}", self.put_limits),
            ("POST", "/risk/symbol/{symbol}/block", self.block),
            ("DELETE", "/risk/symbol/{symbol}/block", self.unblock),
            ("POST", "/risk/losses/{scope}/reset", self.reset_losses),
            ("POST", "/risk/disabled/{scope}/{symbol}/enable", self.enable),
            ("POST", "/risk/releases/{order_id}", self.release),
            ("POST", "/kill", self.kill),
            ("DELETE", "/kill/{scope}", self.lift),
            ("PUT", "/state/{scope}", self.put_state),
        )

    def _controls(self) -> Controls:
        return self._keeper().controls

    def kill(self, kill: Kill) -> Change:
        return self._controls().gates.kills.set(kill, self._now_ns())

    def heard(self, kill: Kill) -> Change | None:
        """Anybody may kill by saying so."""
        return self._controls().gates.kills.hear(kill, self._now_ns())

    def lift(self, scope: str, actor: str = UNNAMED) -> Change:
        return self._controls().gates.kills.lift(scope, actor, self._now_ns())

    def put_state(self, scope: str, change: StateChange) -> Change:
        gates = self._controls().gates
        return gates.put_state(scope, change.state, change.actor, change.reason, self._now_ns())

    def block(self, symbol: str, reason: str = "by hand", actor: str = UNNAMED) -> Change:
        return self._controls().gates.block(self._keeper().listed(symbol), actor, reason, self._now_ns())

    def unblock(self, symbol: str, actor: str = UNNAMED) -> Change:
        return self._controls().gates.unblock(symbol, actor, self._now_ns())

    def put_limits(self, scope: str, limits: Limits, actor: str = UNNAMED, reason: str = "by hand") -> Change:
        """Replace a scope's limits, at once; they outlive a restart and stand above config/risk.yaml."""
        return self._controls().put_limits(limit_scope(scope), limits, actor, reason, self._now_ns())

    def release(self, order_id: str, request: ReleaseRequest) -> Change:
        releases = self._controls().releases
        owners = [one.account for one in releases.waiting() if one.order_id == order_id]
        account = request.account or next(iter(owners), None)
        if account is None:
            raise NotFound(f"order {order_id} waits for no release", field="order_id")
        return releases.release(account, order_id, request.actor, request.reason, self._now_ns())

    def enable(self, scope: str, symbol: str, hand: Hand) -> Change:
        """Let a strategy (`strategy.x`), or an account without one, execute in a symbol again."""
        return self._controls().flow.enable(scope, symbol, hand.actor, hand.reason, self._now_ns())

    def reset_losses(self, scope: str, hand: Hand) -> Change:
        """Let a scope that lost too much go on, measured anew from where it stands."""
        return self._controls().losses.reset(scope, hand.actor, hand.reason, self._now_ns())
