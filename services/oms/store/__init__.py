"""What the oms remembers: written by `orders`, shown to people by `archive`."""

from services.oms.store.accounts import Accounts
from services.oms.store.archive import Archive
from services.oms.store.orders import OrderStore
from services.oms.store.reconciliation import ReconciliationStore, VenueLine
from shared.contract import keys

KEEPS = (
    *(keys.order, keys.client, keys.order_index, keys.open_orders, keys.events, keys.verdict, keys.group),
    *(keys.fill, keys.fill_index, keys.order_fills, keys.entries, keys.account, keys.accounts, keys.reservation),
    *(keys.position, keys.positions, keys.strategies, keys.strategy_position, keys.strategy_positions),
    *(keys.released, keys.dealt, keys.reconciled, keys.tally),
)
READS = (keys.epoch, keys.shape)

__all__ = ["KEEPS", "READS", "Accounts", "Archive", "OrderStore", "ReconciliationStore", "VenueLine"]
