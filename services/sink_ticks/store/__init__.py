"""What the sink remembers: rows on their way into the lake, what it counted, and what is looked up."""

from services.sink_ticks.store.hold import Hold, Holds
from services.sink_ticks.store.looks import Looks
from services.sink_ticks.store.tally import Tally

__all__ = ["Hold", "Holds", "Looks", "Tally"]
