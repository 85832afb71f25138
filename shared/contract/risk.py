"""What risk is asked, what it answers, and the limits it holds orders to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pydantic import Field, model_validator

from shared.contract.base import Account, Amount, Message, Name, Nanos, Price, Quantity, Symbol, Word


class Outcome(Word):
    PASS = "PASS"
    FAIL = "FAIL"


class RuleResult(Message):
    """One rule's finding: what was measured, against which limit, in which scope."""

    id: str
    code: str
    value: str
    limit: str
    scope: str
    outcome: Outcome


class RiskCheck(Message):
    """An order's intent. With `reserve` the worst case is set aside under `order_id` before the answer is given."""

    account: Account = "default"
    order_id: str | None = None
    symbol: Symbol
    side: str = Field(pattern="^(BUY|SELL)$")
    order_type: str = Field(default="LIMIT", pattern="^(MARKET|LIMIT)$")
    quantity: Quantity
    price: Price | None = None
    strategy: Name | None = None
    reserve: bool = False

    @model_validator(mode="before")
    @classmethod
    def _forgiving_words(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        words: dict[str, Any] = dict(given)  # pyright: ignore[reportUnknownArgumentType]
        if "type" in words:
            words.setdefault("order_type", words.pop("type"))
            words.pop("type", None)
        if words.get("order_type") is None:
            words["order_type"] = "LIMIT" if words.get("price") is not None else "MARKET"
        for field in ("side", "order_type"):
            if isinstance(words.get(field), str):
                words[field] = words[field].upper()
        return words

    @model_validator(mode="after")
    def _consistent(self) -> RiskCheck:
        if self.order_type == "LIMIT" and self.price is None:
            raise ValueError("price: a LIMIT order needs a price")
        if self.reserve and not self.order_id:
            raise ValueError("order_id: a reservation is made under an order_id")
        return self


class RiskLevel(Word):
    """How much of the tightest limit would be used: below 50, 80, 95, 100 per cent, or over it."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"
    BREACHED = "BREACHED"


class Verdict(Message):
    """The answer: approved or not, under which code, and every rule that was looked at.

    An approval with a reservation must be committed by the asker before `valid_until_ns`.
    """

    approved: bool
    code: str = ""
    reason: str = ""
    rules: tuple[RuleResult, ...]
    risk_level: RiskLevel
    elapsed_us: int = 0
    valid_until_ns: Nanos = 0


class Limits(Message):
    """What one account may do in one symbol (`*`: any other). An unset limit is 0: nothing passes.

    Quantities in base units, money in the account's currency, ages in seconds.
    """

    order_quantity_max: Amount = Decimal(0)
    order_notional_max: Amount = Decimal(0)
    long_quantity_max: Amount = Decimal(0)
    short_quantity_max: Amount = Decimal(0)


class TradingState(Word):
    """ACTIVE trades, REDUCING may only shrink positions, HALTED passes nothing."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Reservation(Message):
    """The worst case of one order set aside: what may still fill, and the money it may cost."""

    account: Account
    order_id: str
    symbol: Symbol
    side: str
    quantity: Quantity
    price: Price
    strategy: str | None = None
    reserved_ns: Nanos


class Kill(Message):
    """A scope in which nothing new is let out: `firm`, or `account.`, `strategy.`, `venue.`, `symbol.` and a name."""

    scope: str = Field(pattern=r"^(firm|(account|strategy|venue|symbol)\.[A-Za-z0-9_-]{1,64})$")
    reason: str = Field(min_length=1, max_length=200)
    at_ns: Nanos = 0


class RiskAlert(Message):
    """Something risk wants a person to see."""

    alert_id: str
    account: Account
    code: str
    message: str
    symbol: str | None = None
    at_ns: Nanos
    acknowledged: bool = False
