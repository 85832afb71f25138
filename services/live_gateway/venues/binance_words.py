"""Binance's words and ours. Pure: amounts go from string to `Decimal` and back, and nothing is rounded on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from shared.contract.dealing import Leg, VenueWord
from shared.contract.orders import OrderStatus, OrderType, Side, TimeInForce, VenueFill

MS = 1_000_000

STATUS = {
    "NEW": OrderStatus.WORKING,
    "PENDING_NEW": OrderStatus.WORKING,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.WORKING,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}

REASON = {
    "EXPIRED": "what could not be filled at once expired at the venue",
    "EXPIRED_IN_MATCH": "the venue prevented a trade with ourselves",
}

FORCE = {TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
"""Everything else stands until it is cancelled: the oms ends what has a day or a date."""


def submit_words(leg: Leg) -> dict[str, str]:
    """The parameters of a new order."""
    words = {
        "symbol": leg.symbol,
        "side": leg.side.value,
        "quantity": f"{leg.quantity:f}",
        "newClientOrderId": leg.client_id,
        "newOrderRespType": "ACK",
    }
    if leg.order_type is OrderType.MARKET:
        return words | {"type": "MARKET"}
    words["price"] = f"{leg.price:f}"
    if leg.post_only:
        return words | {"type": "LIMIT_MAKER"}
    return words | {"type": "LIMIT", "timeInForce": FORCE.get(leg.time_in_force, "GTC")}


def name_words(leg: Leg) -> dict[str, str]:
    """The parameters that name an order: by the venue's own number, which is its alone, or else by our id.

    An id may be given again at Binance once the order that had it is over, and then names the last of them.
    """
    if leg.venue_order_id:
        return {"symbol": leg.symbol, "orderId": leg.venue_order_id}
    return {"symbol": leg.symbol, "origClientOrderId": leg.client_id}


def word_of_order(words: Mapping[str, Any]) -> VenueWord:
    """What a REST answer says of an order."""
    return VenueWord(
        client_id=words["clientOrderId"],
        venue_order_id=str(words["orderId"]),
        symbol=words["symbol"],
        side=Side(words["side"]),
        order_type=_order_type(words["type"]),
        status=STATUS[words["status"]],
        quantity=Decimal(words["origQty"]),
        price=_price(words["price"]),
        cumulative_quantity=Decimal(words["executedQty"]),
        at_ns=words["updateTime"] * MS,
        created_ns=words["time"] * MS,
        reason=REASON.get(words["status"], ""),
    )


def word_of_event(event: Mapping[str, Any], fill: VenueFill | None) -> VenueWord:
    """What an `executionReport` says. A cancelled order's own id stands in `C`, and that of the cancel in `c`."""
    return VenueWord(
        client_id=event["C"] if event["x"] == "CANCELED" and event["C"] else event["c"],
        venue_order_id=str(event["i"]),
        symbol=event["s"],
        side=Side(event["S"]),
        order_type=_order_type(event["o"]),
        status=STATUS[event["X"]],
        quantity=Decimal(event["q"]),
        price=_price(event["p"]),
        cumulative_quantity=Decimal(event["z"]),
        at_ns=event["T"] * MS,
        created_ns=event["O"] * MS,
        fill=fill,
        reason=event["r"] if event["r"] != "NONE" else REASON.get(event["X"], ""),
    )


def _order_type(word: str) -> OrderType:
    """As far as our words go: somebody's stop order by hand is what it will be when it is triggered."""
    return OrderType.MARKET if word in ("MARKET", "STOP_LOSS", "TAKE_PROFIT") else OrderType.LIMIT


def _price(text: str) -> Decimal | None:
    return Decimal(text) or None


@dataclass(frozen=True)
class Traded:
    """One trade of ours as Binance tells it, the fee in whatever asset it was taken."""

    symbol: str
    number: int
    venue_order_id: str
    side: Side
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    at_ms: int
    maker: bool

    @classmethod
    def of_listing(cls, words: Mapping[str, Any]) -> Traded:
        """From `myTrades`."""
        return cls(
            symbol=words["symbol"],
            number=words["id"],
            venue_order_id=str(words["orderId"]),
            side=Side.BUY if words["isBuyer"] else Side.SELL,
            price=Decimal(words["price"]),
            quantity=Decimal(words["qty"]),
            fee=Decimal(words["commission"]),
            fee_asset=words["commissionAsset"],
            at_ms=words["time"],
            maker=words["isMaker"],
        )

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> Traded | None:
        """From an `executionReport`, when it tells of a trade."""
        if event["x"] != "TRADE" or event["t"] < 0:
            return None
        return cls(
            symbol=event["s"],
            number=event["t"],
            venue_order_id=str(event["i"]),
            side=Side(event["S"]),
            price=Decimal(event["L"]),
            quantity=Decimal(event["l"]),
            fee=Decimal(event["n"]),
            fee_asset=event["N"] or "",
            at_ms=event["T"],
            maker=event["m"],
        )

    @property
    def known_rate(self) -> Decimal | None:
        """What one of the fee's asset is worth in the quote asset, as far as the trade itself tells."""
        if not self.fee or self.symbol.endswith(self.fee_asset):
            return Decimal(1)
        return self.price if self.symbol.startswith(self.fee_asset) else None

    def fill(self, rate: Decimal | None) -> VenueFill:
        """Ours. Without a rate the fee is 0 in the currency, and `fee_charged` tells what was taken.

        A trade's number is the symbol's own, and both sides of a trade with ourselves bear the same one.
        """
        plain = not self.fee or self.symbol.endswith(self.fee_asset)
        return VenueFill(
            execution_id=f"{self.symbol}-{self.number}-{self.side.value[0]}",
            price=self.price,
            quantity=self.quantity,
            fee=self.fee if plain else (self.fee * (rate or 0)).quantize(Decimal("1e-12")),
            event_ns=self.at_ms * MS,
            maker=self.maker,
            fee_asset="" if plain else self.fee_asset,
            fee_charged=Decimal(0) if plain else self.fee,
        )


def told_by_fills(state: VenueWord, fills: list[VenueFill]) -> list[VenueWord]:
    """A state and the fills that led to it as the stream would have told them, each fill in a word of its own."""
    words: list[VenueWord] = []
    cumulative = state.cumulative_quantity - sum((fill.quantity for fill in fills), Decimal(0))
    for fill in fills:
        cumulative += fill.quantity
        words.append(
            replace(
                state,
                status=OrderStatus.PARTIALLY_FILLED,
                cumulative_quantity=cumulative,
                fill=fill,
                at_ns=fill.event_ns,
                reason="",
            )
        )
    if words and state.status in (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED):
        return [*words[:-1], replace(words[-1], status=state.status)]
    return [*words, state]
