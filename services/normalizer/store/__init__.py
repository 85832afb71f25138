"""What the normalizer remembers: the newest bars, and how far into the stream its fold reaches."""

from services.normalizer.store.bars import BarStore
from services.normalizer.store.checkpoints import Checkpoints
from services.normalizer.store.stored import StoredTicks
from shared.contract import keys

KEEPS = (keys.bars, keys.checkpoint)

__all__ = ["KEEPS", "BarStore", "Checkpoints", "StoredTicks"]
