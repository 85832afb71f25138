"""Real venues, one file each, behind one protocol."""

from __future__ import annotations

from collections.abc import Mapping

from services.live_gateway.settings import Settings
from services.live_gateway.venues.venue import Venue
from shared.contract.market import Instrument
from shared.kit import Clock


def open_venues(settings: Settings, clock: Clock, instruments: Mapping[str, Instrument]) -> dict[str, Venue]:
    """The venues that the settings enable, by name; none of them is connected yet."""
    if not settings.binance_enabled:
        return {}
    # Imported only when wanted: the library behind it is large.
    from services.live_gateway.venues.binance import BinanceVenue
    from services.live_gateway.venues.binance_rest import BinanceTerms

    terms = BinanceTerms(
        key=settings.binance_key,
        secret=settings.binance_secret.get_secret_value(),
        testnet=settings.binance_testnet,
        rest_url=settings.binance_rest_url,
        stream_url=settings.binance_stream_url,
        timeout_s=settings.binance_timeout_s,
        window_ms=settings.binance_window_ms,
    )
    return {"binance": BinanceVenue(terms, clock, instruments)}
