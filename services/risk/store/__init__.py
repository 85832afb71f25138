"""What risk remembers: what people threw and what was measured. Orders, positions and balances it only reads."""

from services.risk.store.accounts import Accounts, Held
from services.risk.store.shapes import Shapes
from services.risk.store.switches import Switches

__all__ = ["Accounts", "Held", "Shapes", "Switches"]
