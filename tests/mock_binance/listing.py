"""What the mock lists, and how Binance would describe it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Listing:
    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    quantity_max: Decimal = Decimal(9000)
    notional_min: Decimal = Decimal(5)

    def words(self) -> dict[str, Any]:
        """The symbol as `exchangeInfo` has it."""
        return {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self.filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }

    def filters(self) -> list[dict[str, Any]]:
        tick, lot, most = f"{self.tick:.8f}", f"{self.lot:.8f}", f"{self.quantity_max:.8f}"
        return [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": most, "stepSize": lot},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": most, "stepSize": "0.00000000"},
            {
                "filterType": "NOTIONAL",
                "minNotional": f"{self.notional_min:.8f}",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ]


SYMBOLS = (
    Listing("BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001")),
    Listing("ETHUSDT", "ETH", "USDT", Decimal("0.01"), Decimal("0.0001")),
    Listing("SOLUSDT", "SOL", "USDT", Decimal("0.01"), Decimal("0.001"), Decimal(90000)),
    Listing("BNBUSDT", "BNB", "USDT", Decimal("0.01"), Decimal("0.001")),
)

RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200000},
    {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
]


def exchange_info(at_ms: int, symbols: list[Listing]) -> dict[str, Any]:
    return {
        "timezone": "UTC",
        "serverTime": at_ms,
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [listing.words() for listing in symbols],
    }
