"""The matching engine of the mock: orders, balances and trades with Binance's rules, words and number formats.

It keeps its own log of every order it accepted and every fill it made, so that a checker need not believe anybody else.
Amounts are `Decimal`; times are milliseconds by a clock that a test may set askew.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.mock_binance.listing import SYMBOLS, Listing

D = Decimal
FEE = D("0.001")
NOTHING = D(0)
CLIENT_ID = re.compile(r"^[.A-Z:/a-z0-9_-]{1,36}$")
OPEN = ("NEW", "PARTIALLY_FILLED")
MAKER = "the-market"

Event = dict[str, Any]


def eight(value: Decimal | int) -> str:
    return f"{D(value):.8f}"


class Refusal(Exception):
    """An answer of {"code", "msg"} with its HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400, data: Any = None) -> None:
        super().__init__(text)
        self.body: dict[str, Any] = {"code": code, "msg": text} | ({"data": data} if data is not None else {})
        self.status = status


def unknown_order() -> Refusal:
    return Refusal(-2011, "Unknown order sent.")


@dataclass
class Order:
    number: int
    owner: str
    listing: Listing
    client_id: str
    side: str
    kind: str
    force: str
    price: Decimal
    quantity: Decimal
    at_ms: int
    status: str = "NEW"
    filled: Decimal = NOTHING
    quote: Decimal = NOTHING
    updated_ms: int = 0
    fills: list[dict[str, Any]] = field(default_factory=list)

    @property
    def leaves(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def buys(self) -> bool:
        return self.side == "BUY"

    def crosses(self, other: Order) -> bool:
        if self.kind == "MARKET":
            return True
        return self.price >= other.price if self.buys else self.price <= other.price

    def words(self) -> dict[str, Any]:
        return {
            "symbol": self.listing.symbol,
            "orderId": self.number,
            "orderListId": -1,
            "clientOrderId": self.client_id,
            "price": eight(self.price),
            "origQty": eight(self.quantity),
            "executedQty": eight(self.filled),
            "origQuoteOrderQty": eight(0),
            "cummulativeQuoteQty": eight(self.quote),
            "status": self.status,
            "timeInForce": self.force,
            "type": self.kind,
            "side": self.side,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        }

    def queried(self) -> dict[str, Any]:
        return self.words() | {
            "stopPrice": eight(0),
            "icebergQty": eight(0),
            "time": self.at_ms,
            "updateTime": self.updated_ms or self.at_ms,
            "isWorking": True,
            "workingTime": self.at_ms,
        }

    def acknowledged(self, form: str) -> dict[str, Any]:
        """The answer to a submit, as short or as full as was asked for."""
        if form == "ACK":
            kept = ("symbol", "orderId", "orderListId", "clientOrderId")
            return {name: self.words()[name] for name in kept} | {"transactTime": self.at_ms}
        times = {"transactTime": self.at_ms, "workingTime": self.at_ms}
        return self.words() | times | ({"fills": self.fills} if form == "FULL" else {})


class Engine:
    """One venue. `hear` is called with (owner, event) for every event of an owner's user data."""

    def __init__(self, hear: Callable[[str, Event], None] | None = None) -> None:
        self.hear: Callable[[str, Event], None] = hear or (lambda owner, event: None)
        self.listings = {listing.symbol: listing for listing in SYMBOLS}
        self.log: list[dict[str, Any]] = []
        self.noted: Callable[[dict[str, Any]], None] = lambda entry: None
        self.skew_ms = 0
        self.pays_in_bnb: set[str] = set()
        self.free: dict[tuple[str, str], Decimal] = {}
        self.locked: dict[tuple[str, str], Decimal] = {}
        self.orders: dict[int, Order] = {}
        self.by_client: dict[tuple[str, str], int] = {}
        self.trades: list[dict[str, Any]] = []
        self._numbers = itertools.count(1_000_001)
        self._trade_numbers = itertools.count(5_000_001)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.skew_ms

    def fund(self, owner: str, **assets: str) -> None:
        for asset, amount in assets.items():
            self.free[owner, asset] = self.free.get((owner, asset), D(0)) + D(amount)

    # What may be asked

    def listing(self, words: Mapping[str, str]) -> Listing:
        if "symbol" not in words:
            raise Refusal(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
        if words["symbol"] not in self.listings:
            raise Refusal(-1121, "Invalid symbol.")
        return self.listings[words["symbol"]]

    def find(self, owner: str, words: Mapping[str, str], client_word: str = "origClientOrderId") -> Order | None:
        symbol = self.listing(words).symbol
        if "orderId" in words:
            order = self.orders.get(int(words["orderId"]))
        elif client_word in words:
            order = self.orders.get(self.by_client.get((owner, words[client_word]), 0))
        else:
            raise Refusal(-1102, f"Param '{client_word}' or 'orderId' must be sent, but both were empty/null!")
        return order if order and order.owner == owner and order.listing.symbol == symbol else None

    def open_orders(self, owner: str, symbol: str | None = None) -> list[Order]:
        return [
            order
            for order in self.orders.values()
            if order.owner == owner and order.is_open and symbol in (None, order.listing.symbol)
        ]

    def trades_of(self, owner: str, words: Mapping[str, str]) -> list[dict[str, Any]]:
        symbol = self.listing(words).symbol
        found = [t for t in self.trades if t["owner"] == owner and t["symbol"] == symbol]
        if "orderId" in words:
            found = [t for t in found if t["orderId"] == int(words["orderId"])]
        if "startTime" in words:
            found = [t for t in found if t["time"] >= int(words["startTime"])]
        if "endTime" in words:
            found = [t for t in found if t["time"] <= int(words["endTime"])]
        if "fromId" in words:
            found = [t for t in found if t["id"] >= int(words["fromId"])]
        limit = min(int(words.get("limit", 500)), 1000)
        oldest_first = "fromId" in words or "startTime" in words
        found = found[:limit] if oldest_first else found[-limit:]
        return [{name: value for name, value in trade.items() if name != "owner"} for trade in found]

    def balances(self, owner: str) -> list[dict[str, str]]:
        assets = sorted({asset for who, asset in (*self.free, *self.locked) if who == owner})
        return [
            {
                "asset": asset,
                "free": eight(self.free.get((owner, asset), 0)),
                "locked": eight(self.locked.get((owner, asset), 0)),
            }
            for asset in assets
        ]

    # What may be done

    def submit(self, owner: str, words: Mapping[str, str]) -> Order:
        order = self._read(owner, words)
        self._check_filters(order)
        standing = self.orders.get(self.by_client.get((owner, order.client_id), 0))
        if standing and standing.is_open:
            # Like the real one: an id may be used again once the order that had it is over.
            raise Refusal(-2010, "Duplicate order sent.")
        self._check_book(order)
        if owner != MAKER:
            self._lock(order)
        self.orders[order.number] = order
        self.by_client[owner, order.client_id] = order.number
        self._note("accepted", order)
        self._tell(order, "NEW")
        self._match(order)
        return order

    def cancel(self, order: Order | None, cancel_id: str | None = None) -> dict[str, Any]:
        if order is None or not order.is_open:
            raise unknown_order()
        cancel_id = cancel_id or f"cancel{next(self._numbers)}"
        order.status = "CANCELED"
        self._release(order)
        self._note("canceled", order)
        self._tell(order, "CANCELED", client_id=cancel_id)
        return order.words() | {
            "origClientOrderId": order.client_id,
            "clientOrderId": cancel_id,
            "transactTime": order.updated_ms,
        }

    def amend(self, order: Order | None, words: Mapping[str, str]) -> dict[str, Any]:
        """Less of the same order, which keeps its place."""
        if order is None or not order.is_open:
            raise Refusal(-2038, "Order amend (quantity decrease) rejected: unknown order.")
        quantity = D(words["newQty"])
        if not order.filled < quantity < order.quantity:
            raise Refusal(-2038, "The order amend quantity must be less than the order's and more than its fills.")
        self._release(order)
        order.quantity = quantity
        self._lock(order)
        old, order.client_id = order.client_id, words.get("newClientOrderId", f"amend{next(self._numbers)}")
        self.by_client[order.owner, order.client_id] = order.number
        self._note("amended", order)
        self._tell(order, "REPLACED", original=old)
        return {"transactTime": order.updated_ms, "executionId": order.number, "amendedOrder": order.words()}

    def cancel_replace(self, owner: str, words: Mapping[str, str]) -> dict[str, Any]:
        found = self.find(owner, {k: v for k, v in words.items() if k != "orderId"}, "cancelOrigClientOrderId")
        answer: dict[str, Any] = {"cancelResult": "SUCCESS", "newOrderResult": "NOT_ATTEMPTED"}
        answer["newOrderResponse"] = None
        try:
            answer["cancelResponse"] = self.cancel(found)
        except Refusal as refusal:
            answer |= {"cancelResult": "FAILURE", "cancelResponse": refusal.body}
            if words.get("cancelReplaceMode") != "ALLOW_FAILURE":
                raise Refusal(-2022, "Order cancel-replace failed.", 400, answer) from None
        try:
            placed = self.submit(owner, words).acknowledged("RESULT")
        except Refusal as refusal:
            answer |= {"newOrderResult": "FAILURE", "newOrderResponse": refusal.body}
        else:
            answer |= {"newOrderResult": "SUCCESS", "newOrderResponse": placed}
        if "FAILURE" in (answer["cancelResult"], answer["newOrderResult"]):
            raise Refusal(-2021, "Order cancel-replace partially failed.", 409, answer)
        return answer

    # How an order is read and checked

    def _read(self, owner: str, words: Mapping[str, str]) -> Order:
        listing = self.listing(words)
        kind = words.get("type", "")
        wanted = {
            "MARKET": ("quantity",),
            "LIMIT": ("quantity", "price", "timeInForce"),
            "LIMIT_MAKER": ("quantity", "price"),
        }
        if kind not in wanted:
            raise Refusal(-1116, "Invalid orderType.")
        if words.get("side") not in ("BUY", "SELL"):
            raise Refusal(-1117, "Invalid side.")
        for name in wanted[kind]:
            if not words.get(name):
                raise Refusal(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        for name in ("price", "timeInForce"):
            if name in words and name not in wanted[kind]:
                raise Refusal(-1106, f"Parameter '{name}' sent when not required.")
        client_id = words.get("newClientOrderId") or f"given{next(self._numbers)}"
        if not CLIENT_ID.match(client_id):
            legal = "'^[.A-Z:/a-z0-9_-]{1,36}$'"
            raise Refusal(-1100, f"Illegal characters found in parameter 'newClientOrderId'; legal range is {legal}.")
        return Order(
            number=next(self._numbers),
            owner=owner,
            listing=listing,
            client_id=client_id,
            side=words["side"],
            kind=kind,
            force=words.get("timeInForce", "GTC"),
            price=D(words.get("price", "0")),
            quantity=D(words["quantity"]),
            at_ms=self.now_ms(),
        )

    def _check_filters(self, order: Order) -> None:
        listing = order.listing
        if not listing.lot <= order.quantity <= listing.quantity_max or order.quantity % listing.lot:
            raise Refusal(-1013, "Filter failure: LOT_SIZE")
        if order.kind == "MARKET":
            return
        if order.price <= 0 or order.price % listing.tick:
            raise Refusal(-1013, "Filter failure: PRICE_FILTER")
        if order.price * order.quantity < listing.notional_min:
            raise Refusal(-1013, "Filter failure: NOTIONAL")

    def _check_book(self, order: Order) -> None:
        if order.kind == "LIMIT_MAKER" and any(order.crosses(other) for other in self._against(order)):
            raise Refusal(-2010, "Order would immediately match and take.")
        if order.owner == MAKER:
            return
        asset, amount = self._needs(order)
        if self.free.get((order.owner, asset), D(0)) < amount:
            raise Refusal(-2010, "Account has insufficient balance for requested action.")

    def _needs(self, order: Order) -> tuple[str, Decimal]:
        """The asset and how much of it must be free."""
        if not order.buys:
            return order.listing.base, order.leaves
        if order.kind != "MARKET":
            return order.listing.quote, order.leaves * order.price
        cost, left = D(0), order.leaves
        for other in self._against(order):
            taken = min(left, other.leaves)
            cost, left = cost + taken * other.price, left - taken
        return order.listing.quote, cost

    # Matching

    def _against(self, order: Order) -> list[Order]:
        """The other side of the book, best first."""
        others = [
            other
            for other in self.orders.values()
            if other.is_open and other.listing is order.listing and other.side != order.side
        ]
        return sorted(others, key=lambda other: (other.price if order.buys else -other.price, other.number))

    def _match(self, order: Order) -> None:
        candidates = [other for other in self._against(order) if order.crosses(other) and other.owner != order.owner]
        if order.force == "FOK" and sum((c.leaves for c in candidates), D(0)) < order.quantity:
            candidates = []
        for other in candidates:
            if not order.leaves:
                break
            self.trade(order, other, min(order.leaves, other.leaves), other.price)
        if order.is_open and (order.kind == "MARKET" or order.force in ("IOC", "FOK")):
            order.status = "EXPIRED"
            self._release(order)
            self._note("expired", order)
            self._tell(order, "EXPIRED")

    def trade(self, taker: Order, maker: Order, quantity: Decimal, price: Decimal) -> None:
        number = next(self._trade_numbers)
        for order, is_maker in ((maker, True), (taker, False)):
            self._fill(order, number, quantity, price, is_maker)

    def _fill(self, order: Order, number: int, quantity: Decimal, price: Decimal, is_maker: bool) -> None:
        self._release(order)
        order.filled += quantity
        order.quote += quantity * price
        order.status = "PARTIALLY_FILLED" if order.leaves else "FILLED"
        fee, asset = self._settle(order, quantity, price)
        if order.is_open:
            self._lock(order)
        trade = {
            "owner": order.owner,
            "symbol": order.listing.symbol,
            "id": number,
            "orderId": order.number,
            "orderListId": -1,
            "price": eight(price),
            "qty": eight(quantity),
            "quoteQty": eight(price * quantity),
            "commission": eight(fee),
            "commissionAsset": asset,
            "time": self.now_ms(),
            "isBuyer": order.buys,
            "isMaker": is_maker,
            "isBestMatch": True,
        }
        self.trades.append(trade)
        named = ("price", "qty", "commission", "commissionAsset")
        order.fills.append({name: trade[name] for name in named} | {"tradeId": number})
        self._note("fill", order, trade_id=number, price=eight(price), quantity_now=eight(quantity))
        self._tell(order, "TRADE", trade=trade)

    def _settle(self, order: Order, quantity: Decimal, price: Decimal) -> tuple[Decimal, str]:
        """Move the assets; the fee is taken from what is received, or in BNB by those who chose so."""
        listing, owner = order.listing, order.owner
        given, received = (listing.quote, listing.base) if order.buys else (listing.base, listing.quote)
        paid, got = (quantity * price, quantity) if order.buys else (quantity, quantity * price)
        fee, asset = got * FEE, received
        if owner in self.pays_in_bnb:
            fee, asset = (quantity * price * FEE / D(600)).quantize(D("1e-8")), "BNB"
        for name, change in ((given, -paid), (received, got), (asset, -fee)):
            self.free[owner, name] = self.free.get((owner, name), D(0)) + change
        return fee, asset

    def _lock(self, order: Order) -> None:
        if order.kind != "MARKET" and order.owner != MAKER:
            asset, amount = self._needs(order)
            self.free[order.owner, asset] = self.free.get((order.owner, asset), D(0)) - amount
            self.locked[order.owner, asset] = self.locked.get((order.owner, asset), D(0)) + amount

    def _release(self, order: Order) -> None:
        if order.kind != "MARKET" and order.owner != MAKER:
            asset, amount = self._needs(order)
            self.free[order.owner, asset] += amount
            self.locked[order.owner, asset] -= amount

    # What is said and noted

    def _tell(self, order: Order, what: str, **words: Any) -> None:
        order.updated_ms = self.now_ms()
        if order.owner != MAKER:
            self.hear(order.owner, self._report(order, what, **words))
            touched = (order.listing.base, order.listing.quote)
            held = [{"a": b["asset"], "f": b["free"], "l": b["locked"]} for b in self.balances(order.owner)]
            position = {"e": "outboundAccountPosition", "E": self.now_ms(), "u": order.updated_ms}
            self.hear(order.owner, position | {"B": [one for one in held if one["a"] in touched]})

    def _report(
        self, order: Order, what: str, trade: dict[str, Any] | None = None, client_id: str = "", original: str = ""
    ) -> Event:
        last = trade or {"qty": eight(0), "price": eight(0), "quoteQty": eight(0), "id": -1, "isMaker": False}
        return {
            "e": "executionReport",
            "E": self.now_ms(),
            "s": order.listing.symbol,
            "c": client_id or order.client_id,
            "S": order.side,
            "o": order.kind,
            "f": order.force,
            "q": eight(order.quantity),
            "p": eight(order.price),
            "P": eight(0),
            "F": eight(0),
            "g": -1,
            "C": original or (order.client_id if client_id else ""),
            "x": what,
            "X": order.status,
            "r": "NONE",
            "i": order.number,
            "l": last["qty"],
            "z": eight(order.filled),
            "L": last["price"],
            "n": trade["commission"] if trade else "0",
            "N": trade["commissionAsset"] if trade else None,
            "T": trade["time"] if trade else order.updated_ms,
            "t": last["id"],
            "I": order.number * 2,
            "w": order.is_open,
            "m": last["isMaker"],
            "M": False,
            "O": order.at_ms,
            "Z": eight(order.quote),
            "Y": last["quoteQty"],
            "Q": eight(0),
            "W": order.at_ms,
            "V": "EXPIRE_MAKER",
        }

    def _note(self, what: str, order: Order, **words: Any) -> None:
        if order.owner == MAKER:
            return
        entry = {
            "what": what,
            "at_ms": self.now_ms(),
            "owner": order.owner,
            "client_id": order.client_id,
            "order_id": order.number,
            "symbol": order.listing.symbol,
            "side": order.side,
            "quantity": eight(order.quantity),
            "filled": eight(order.filled),
        }
        self.log.append(entry | words)
        self.noted(entry | words)
