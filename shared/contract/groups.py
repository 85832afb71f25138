"""Orders that belong together: a bracket (an entry and its exits) and an OCO pair (one cancels the other)."""

from __future__ import annotations

from itertools import pairwise

from pydantic import model_validator

from shared.contract.base import Message, Price, Trail
from shared.contract.orders import AT_ONCE, Order, OrderType, Side, SubmitOrder


class TakeProfit(Message):
    """A LIMIT exit at this price."""

    price: Price


class StopLoss(Message):
    """A STOP exit at `stop_price` (with `price`, STOP_LIMIT), or one that follows the market by `trail`."""

    stop_price: Price | None = None
    price: Price | None = None
    trail: Trail | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> StopLoss:
        if (self.stop_price is None) is (self.trail is None):
            raise ValueError("stop_price: give either stop_price or trail")
        if self.price is not None and self.trail is not None:
            raise ValueError("price: a trailing stop takes none")
        return self


class SubmitBracket(Message):
    """An entry, and the exits that close what it fills. The entry's `client_order_id` is the bracket's."""

    entry: SubmitOrder
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None

    @model_validator(mode="after")
    def _consistent(self) -> SubmitBracket:
        if self.take_profit is None and self.stop_loss is None:
            raise ValueError("take_profit: give at least one of take_profit, stop_loss")
        if self.entry.reduce_only:
            raise ValueError("entry: the entry of a bracket opens a position; it cannot be reduce_only")
        sign = self.entry.side.sign
        marks = [("stop_loss.stop_price", self.stop_loss.stop_price if self.stop_loss else None)]
        marks += [("entry.price", self.entry.price)]
        marks += [("take_profit.price", self.take_profit.price if self.take_profit else None)]
        stated = [(field, mark) for field, mark in marks if mark is not None]
        for (below, low), (above, high) in pairwise(stated):
            if (high - low) * sign <= 0:
                word = "above" if self.entry.side is Side.BUY else "below"
                field = above.partition(".")[0]
                raise ValueError(f"{field}: {above} must be {word} {below} when the entry is to {self.entry.side}")
        return self


class SubmitPair(Message):
    """Two orders of which one is to fill: what either fills is taken off the other.

    The first leg's `client_order_id` is the pair's.
    """

    legs: tuple[SubmitOrder, SubmitOrder]

    @model_validator(mode="after")
    def _consistent(self) -> SubmitPair:
        one, other = self.legs
        for field in ("account", "symbol", "quantity", "venue", "strategy"):
            if getattr(one, field) != getattr(other, field):
                raise ValueError(f"legs: {field} must be the same in both")
        for leg in self.legs:
            if leg.order_type is OrderType.MARKET or leg.time_in_force in AT_ONCE:
                raise ValueError("legs: both must be able to wait; neither MARKET nor IOC nor FOK can")
        if other.client_order_id is not None:
            raise ValueError("legs: the pair goes by the first leg's client_order_id; leave out the second's")
        return self


class GroupOrders(Message):
    """The orders of a bracket or a pair; `group` is the id they share."""

    group: str
    orders: tuple[Order, ...]
