"""Venues: one file each, which says what the venue calls things and how it is to be asked."""

from __future__ import annotations

from services.gateway.feeds.venues.binance import Binance, BinanceFutures
from services.gateway.feeds.venues.coinbase import Coinbase
from services.gateway.feeds.venues.kraken import Kraken

DIALECTS = {dialect.venue: dialect for dialect in (Binance, BinanceFutures, Coinbase, Kraken)}
"""The venues that are spoken to in their own words."""
