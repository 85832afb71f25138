"""What the gateway remembers: orders and fills, kills and modes."""

from services.live_gateway.store.orders import OrderStore
from services.live_gateway.store.switchboard import Switchboard
from services.live_gateway.store.switches import SwitchStore
from services.live_gateway.store.tools import Tools
from shared.contract import keys

KEEPS = (
    *(keys.venue_order, keys.venue_open, keys.venue_fills, keys.venue_trades),
    *(keys.venue_mode, keys.venue_mode_changes, keys.kept),
)
READS = (keys.client, keys.kill, keys.killed, keys.lifted, keys.kept("risk"))

__all__ = ["KEEPS", "READS", "OrderStore", "SwitchStore", "Switchboard", "Tools"]
