"""The protocol that every real venue speaks.

A venue is told what to do once and says what it can prove. It decides nothing, remembers nothing that matters, and
never sends anything twice by itself: whether to ask, wait or send is the desk's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from shared.contract.dealing import Answer, Capabilities, Leg, Outcome, VenueTrade, VenueWord

Hear = Callable[[VenueWord], None]
"""Takes the venue's words in the order in which they came; it only queues them, so it returns at once."""


class Venue(Protocol):
    """One account at one venue. No method raises for what the venue or the network did: that is in the answer.

    Listings (`open_orders`, `trades`, `holdings`) raise Unavailable when the venue does not answer.
    """

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def down_since_ns(self) -> int:
        """Since when the stream of the venue's own words has been away; 0 while it is there."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the venue cannot be dealt with just now, in words for /readyz; None while it can."""
        ...

    def details(self) -> dict[str, object]:
        """What else GET /venues shows: endpoint, weight used, reconnects. Never a secret."""
        ...

    async def connect(self, hear: Hear) -> None:
        """Begin, and return without waiting for the venue. From now on every word goes to `hear`, and a lost stream
        comes back by itself; what was missed meanwhile is then said, too (fills and states since it went away)."""
        ...

    async def submit(self, leg: Leg) -> Outcome:
        """Send it, once. The client id makes a second one impossible where the venue holds ids unique."""
        ...

    async def cancel(self, leg: Leg) -> Outcome:
        """Ask for its end, once. Rejected: there is nothing to cancel (what became of it, `find` tells)."""
        ...

    def replaces(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> bool:
        """Whether the venue can change this order to these terms in its place. Otherwise the desk cancels it and, once
        the end is proven, sends what is left as a new leg."""
        ...

    async def replace(self, leg: Leg, price: Decimal | None, quantity: Decimal) -> Outcome:
        """Change it in its place. `quantity` is the leg's new whole, what is filled included."""
        ...

    async def find(self, leg: Leg) -> Answer:
        """What became of it, by its client id (or the venue's own, when it is known)."""
        ...

    async def open_orders(self) -> list[VenueWord]: ...

    async def trades(self, symbols: frozenset[str], since_ns: int) -> list[VenueTrade]: ...

    async def holdings(self) -> dict[str, Decimal]:
        """Free and locked together, by asset."""
        ...

    async def close(self) -> None: ...
