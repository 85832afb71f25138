"""What risk remembers: what people threw and what was measured. Orders, positions and balances it only reads."""

from services.risk.store.accounts import Accounts, Held
from services.risk.store.shapes import Shapes
from services.risk.store.switches import Switches
from shared.contract import keys

KEEPS = (
    *(keys.epoch, keys.epochs, keys.shape, keys.alert, keys.kept, keys.checkpoint),
    *(keys.kill, keys.killed, keys.lifted, keys.blocked, keys.disabled, keys.trading_state, keys.release),
    *(keys.limits, keys.limits_history, keys.baseline),
)
READS = (
    *(keys.accounts, keys.account, keys.order, keys.open_orders, keys.reservation, keys.position, keys.positions),
    *(keys.strategies, keys.strategy_position, keys.strategy_positions),
)

__all__ = ["KEEPS", "READS", "Accounts", "Held", "Shapes", "Switches"]
