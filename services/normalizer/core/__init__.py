"""What the normalizer decides besides the fold: which ticks are its own, what a bar is called, which bars may go
together, and which have to be made again because a venue took back what it had said."""

from services.normalizer.core.amending import Remade, Repair, Repairs
from services.normalizer.core.intake import Intake
from services.normalizer.core.markets import measures, timetables
from services.normalizer.core.sayings import name_of, wave

__all__ = ["Intake", "Remade", "Repair", "Repairs", "measures", "name_of", "timetables", "wave"]
