"""What risk is asked, what it answers, and the limits it holds orders to."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from shared.contract.base import Account, Amount, Message, Name, Nanos, Price, Quantity, Symbol, Trail, Venue, Word


class Outcome(Word):
    """PEND: over a soft limit; a second person may let it through. WARN: noted, and nothing more."""

    PASS = "PASS"
    WARN = "WARN"
    PEND = "PEND"
    FAIL = "FAIL"


class RuleResult(Message):
    """One rule's finding: what was measured, against which limit, in which scope."""

    id: str
    code: str
    value: str
    limit: str
    scope: str
    outcome: Outcome


ORDER_TYPES = ("LIMIT", "MARKET", "STOP", "STOP_LIMIT", "TRAILING_STOP")
SIDES = ("BUY", "SELL")


def _is_spelt(words: dict[str, Any]) -> bool:
    return words.get("time_in_force") in ("GTC", "DAY", "IOC", "FOK", "GTD") and "type" not in words


class RiskCheck(Message):
    """An order's intent. With `reserve` the worst case is set aside under `order_id` before the answer is given.

    `replaces`: these are new terms for the order of that id, which is set aside already; `quantity` is its new whole,
    `filled_quantity` what it has filled of it. Of the orders of one `group` no more than the largest can fill.
    """

    account: Account = "default"
    order_id: str | None = None
    symbol: Symbol
    side: str = Field(pattern="^(BUY|SELL)$")
    order_type: str = Field(default="LIMIT", pattern="^(MARKET|LIMIT|STOP|STOP_LIMIT|TRAILING_STOP)$")
    quantity: Quantity
    filled_quantity: Amount = Decimal(0)
    price: Price | None = None
    stop_price: Price | None = None
    trail: Trail | None = None
    time_in_force: str = "GTC"
    expire_ns: Nanos | None = None
    reduce_only: bool = False
    post_only: bool = False
    venue: Venue = "paper"
    strategy: Name | None = None
    group: str | None = None
    replaces: bool = False
    reserve: bool = False

    @model_validator(mode="before")
    @classmethod
    def _forgiving_words(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        words: dict[str, Any] = given  # pyright: ignore[reportUnknownVariableType]
        if words.get("order_type") in ORDER_TYPES and words.get("side") in SIDES and _is_spelt(words):
            return words
        words = dict(words)
        if "type" in words:
            words.setdefault("order_type", words.pop("type"))
            words.pop("type", None)
        if words.get("order_type") is None:
            words["order_type"] = "LIMIT" if words.get("price") is not None else "MARKET"
        for field in ("side", "order_type", "time_in_force"):
            if isinstance(words.get(field), str):
                words[field] = words[field].upper()
        return words

    @model_validator(mode="after")
    def _consistent(self) -> RiskCheck:
        if self.order_type in ("LIMIT", "STOP_LIMIT") and self.price is None:
            raise ValueError(f"price: a {self.order_type} order needs a price")
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


class Reservation(Message):
    """The worst case of one order set aside: what may still fill, and the price it is taken to fill at.

    Committed by the oms together with the order, shrunk with its fills, dropped with its end.
    """

    account: Account
    order_id: str
    symbol: Symbol
    side: str
    quantity: Quantity
    price: Price
    strategy: str | None = None
    group: str | None = None
    reserved_ns: Nanos


class Ruling(Message):
    """A verdict without its findings: approved or not, and under which code.

    `pending`: not approved, but a second person may release it. An approval comes with the reservation to commit
    together with the order, before `valid_until_ns`, and only while the account's key of that name still holds
    `epoch`: risk changes it when it begins anew, and what it had approved before is void.
    """

    approved: bool
    pending: bool = False
    code: str = ""
    reason: str = ""
    risk_level: RiskLevel
    elapsed_us: int = 0
    valid_until_ns: Nanos = 0
    epoch: str = ""
    reservation: Reservation | None = None


class Verdict(Ruling):
    """The answer, with every rule that was looked at.

    An approval that is to be committed comes in short: `rules` is empty, `shape` names what its findings have in common
    with those of other orders, which is kept under that name, and `values` are its own (see `judgement.py`).
    """

    rules: tuple[RuleResult, ...]
    shape: str = ""
    values: tuple[str, ...] = ()

    def _words(self) -> bytes:
        """Without what is as it mostly is: it is kept for every order."""
        return self.__pydantic_serializer__.to_json(self, exclude_defaults=True)

    def shown(self) -> bytes:
        """At a door it is always in full."""
        return self.__pydantic_serializer__.to_json(self, exclude={"shape", "values"})

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """It is passed on in the very words it came in."""
        verdict = super().decode(payload)
        object.__setattr__(verdict, "_encoded", payload)
        return verdict


Most = Annotated[Amount, Field(ge=0)]
"""A limit: nothing below 0 can be one."""


class Limits(Message):
    """What one scope may do at most. None: this scope says nothing of it; a limit that no scope in reach sets is 0.

    Quantities in units of the symbol, money in the account's currency, fractions of 1, windows are risk's settings.
    `soft` are lower limits: over one of them an order waits for a second person instead of being denied. The week's
    loss alone need not be limited.
    """

    order_quantity_max: Most | None = None
    order_notional_max: Most | None = None
    order_volume_fraction_max: Most | None = None
    long_quantity_max: Most | None = None
    short_quantity_max: Most | None = None
    gross_notional_max: Most | None = None
    net_notional_max: Most | None = None
    concentration_fraction_max: Most | None = None
    leverage_max: Most | None = None
    open_orders_max: Most | None = None
    open_notional_max: Most | None = None
    collar_aggressive_fraction_max: Most | None = None
    collar_passive_fraction_max: Most | None = None
    messages_per_s_max: Most | None = None
    cancels_per_s_max: Most | None = None
    orders_per_trade_max: Most | None = None
    executions_max: Most | None = None
    loss_max: Most | None = None
    week_loss_max: Most | None = None
    drawdown_max: Most | None = None
    soft: Limits | None = None

    @model_validator(mode="after")
    def _softer(self) -> Limits:
        soft = self.soft
        if soft is not None and soft.soft is not None:
            raise ValueError("soft: a soft limit has no softer one")
        for name in Limits.model_fields if soft is not None else ():
            low, high = getattr(soft, name), getattr(self, name)
            if name != "soft" and low is not None and high is not None and low > high:
                raise ValueError(f"soft: {name} {low} lies above the limit {high} itself")
        return self


class Permission(Message):
    """Whoever is named here may trade the symbols named here; `*` is any. An order without a strategy is strategy `-`.

    Selling short takes `short` as well as a limit above 0.
    """

    accounts: tuple[str, ...] = ("*",)
    strategies: tuple[str, ...] = ("*",)
    symbols: tuple[str, ...] = ("*",)
    short: bool = False


class TradingState(Word):
    """ACTIVE trades, REDUCING may only shrink positions, HALTED passes nothing."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


KILLABLE = r"^(firm|(account|strategy|venue|symbol)\.[A-Za-z0-9_-]{1,64})$"


class Kill(Message):
    """A scope in which nothing new is let out: `firm`, or `account.`, `strategy.`, `venue.`, `symbol.` and a name.

    Not `active`: it has been lifted, by an `actor` other than the one who set it.
    """

    scope: str = Field(pattern=KILLABLE)
    reason: str = Field(min_length=1, max_length=200)
    actor: Name = "unnamed"
    active: bool = True
    at_ns: Nanos = 0


def scopes_of(account: str, strategy: str | None, venue: str, symbol: str) -> tuple[str, ...]:
    """Every scope whose kill stops an order of these."""
    scopes = ("firm", f"account.{account}", f"venue.{venue}", f"symbol.{symbol}")
    return scopes if strategy is None else (*scopes, f"strategy.{strategy}")


class Release(Message):
    """A second person lets through an order that is over a soft limit, for a short time."""

    account: Account
    order_id: str
    actor: Name
    reason: str = Field(min_length=1, max_length=200)
    until_ns: Nanos


class RiskAlert(Message):
    """Something risk wants a person to see."""

    alert_id: str
    account: Account
    code: str
    message: str
    symbol: str | None = None
    at_ns: Nanos
    acknowledged: bool = False
