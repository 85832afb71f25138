"""Reservations: set aside at once, shrunk by fills, released by the end of their order and by nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.risk.store import Held
from shared.contract.errors import Conflict
from shared.contract.orders import Order, OrderStatus
from tests.services.risk.conftest import LIMITS, NOW_NS, Desk, check, event, order, quote

D = Decimal
S = OrderStatus


def test_two_checks_cannot_both_pass_on_the_same_room(desk: Desk) -> None:
    desk.holds("10")

    assert desk.reserve("a", "BUY", "10").approved
    assert desk.reserve("b", "BUY", "0.1").code == "RISK_POSITION_LIMIT"


def test_the_same_order_asked_again_is_set_aside_once(desk: Desk) -> None:
    first = desk.reserve("a", "BUY", "10")
    again = desk.reserve("a", "BUY", "10", now_ns=NOW_NS + 1)

    assert again.valid_until_ns == first.valid_until_ns + 1
    assert again.rules == first.rules
    assert again.reservation == first.reservation.model_copy(update={"reserved_ns": NOW_NS + 1})
    assert desk.keeper.exposures.of("default").line("BTCUSDT").buys == 10


def test_the_same_order_id_with_other_words_is_a_conflict(desk: Desk) -> None:
    desk.reserve("a", "BUY", "5")

    for words in (("BUY", "6"), ("SELL", "5")):
        with pytest.raises(Conflict, match="ORDER_ID_REUSED"):
            desk.reserve("a", *words)


def test_a_kill_outranks_an_approval_that_is_asked_for_again(desk: Desk) -> None:
    assert desk.reserve("a", "BUY", "5").approved
    desk.kill("firm")

    assert desk.reserve("a", "BUY", "5").code == "RISK_KILLED"


def test_fills_move_exposure_from_open_to_held(desk: Desk) -> None:
    wanted = check("BUY", "10", order_id="a")
    desk.reserve("a", "BUY", "10")

    desk.hear(event(order(wanted, S.PARTIALLY_FILLED, version=2, filled="4"), position=("4", 1)))

    line = desk.keeper.exposures.of("default").line("BTCUSDT")
    assert (line.quantity, line.buys, line.worst_long) == (4, 6, 10)


@pytest.mark.parametrize("status", [S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED])
def test_the_end_of_an_order_releases_what_was_set_aside(desk: Desk, status: OrderStatus) -> None:
    desk.reserve("a", "BUY", "10")

    assert desk.hear(event(order(check("BUY", "10", order_id="a"), status, version=2)))

    line = desk.keeper.exposures.of("default").line("BTCUSDT")
    assert (line.buys, line.buy_notional) == (0, 0)


@pytest.mark.parametrize("status", [S.ACCEPTED, S.ROUTED, S.WORKING, S.PENDING_CANCEL, S.PENDING_UNKNOWN])
def test_an_order_that_may_still_fill_keeps_what_was_set_aside(desk: Desk, status: OrderStatus) -> None:
    desk.reserve("a", "BUY", "10")

    assert not desk.hear(event(order(check("BUY", "10", order_id="a"), status)))

    assert desk.keeper.exposures.of("default").line("BTCUSDT").buys == 10


def test_old_news_changes_nothing(desk: Desk) -> None:
    wanted = check("BUY", "10", order_id="a")
    desk.reserve("a", "BUY", "10")
    desk.hear(event(order(wanted, S.PARTIALLY_FILLED, version=3, filled="6"), position=("6", 2), cash=("5", 2)))

    desk.hear(event(order(wanted, S.PARTIALLY_FILLED, version=2, filled="4"), position=("4", 1), cash=("9", 1)))

    exposure = desk.keeper.exposures.of("default")
    assert exposure.balance.cash == 5
    assert (exposure.line("BTCUSDT").quantity, exposure.line("BTCUSDT").buys) == (6, 4)


def test_an_open_order_that_was_never_set_aside_is_set_aside_when_heard_of(desk: Desk) -> None:
    desk.hear(event(order(check("BUY", "10", order_id="a"), S.WORKING, filled="1")))

    assert desk.keeper.exposures.of("default").line("BTCUSDT").buys == 9


def test_an_open_order_of_unknown_cost_reserves_all_the_cash(desk: Desk) -> None:
    unpriced = check("BUY", "4", price=None, symbol="XRP", order_id="a")

    desk.hear(event(order(unpriced, S.ROUTED)))

    assert desk.judge("BUY", "1").code == "RISK_BUYING_POWER"


def test_without_a_price_just_now_an_order_keeps_what_it_was_approved_at(desk: Desk) -> None:
    wanted = check("BUY", "4", None, order_id="a", order_type="TRAILING_STOP", trail="1%")
    assert desk.reserve("a", "BUY", "4", None, order_type="TRAILING_STOP", trail="1%").approved
    approved = desk.keeper.exposures.of("default").holds["a"].reservation
    desk.market.quote(quote(ask=None))

    desk.hear(event(order(wanted, S.ACCEPTED, trail="1%", stop_price="90")))
    desk.hear(event(order(wanted, S.ACCEPTED, version=2, trail="1%", stop_price="89")))

    assert desk.keeper.exposures.of("default").holds["a"].reservation == approved
    assert desk.judge("BUY", "1", symbol="AAPL").approved


def test_an_order_that_is_not_decided_yet_is_no_exposure(desk: Desk) -> None:
    desk.hear(event(order(check("BUY", "10", order_id="a"), S.PENDING_RISK)))

    assert desk.reserve("a", "BUY", "10").rules


def test_only_reservations_never_heard_of_again_lapse(desk: Desk) -> None:
    desk.reserve("lost", "BUY", "1")
    desk.reserve("committed", "BUY", "2")
    desk.hear(event(order(check("BUY", "2", order_id="committed"), S.ACCEPTED)))
    later_ns = NOW_NS + 31_000_000_000

    assert desk.keeper.follower.lapsed(NOW_NS + 30_000_000_000, 30) == []
    (lapsed,) = desk.keeper.follower.lapsed(later_ns, 30)
    assert lapsed.reservation.order_id == "lost"

    desk.reserve("lost", "BUY", "1", now_ns=NOW_NS)
    assert not desk.keeper.follower.let_go(lapsed), "it was renewed"
    (lapsed,) = desk.keeper.follower.lapsed(later_ns, 30)
    assert desk.keeper.follower.let_go(lapsed)


def test_asking_costs_no_memory(desk: Desk) -> None:
    for number in range(100):
        desk.judge(account=f"a{number}")

    assert desk.keeper.exposures.accounts == {}


class Oms:
    """The other side of the trade: commits what was approved, fills it, and tells of it late or twice."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.orders: dict[str, Order] = {}
        self.position = (D(0), 0)
        self.cash = (D(10_000), 0)

    def submit(self, side: str, quantity: int, away: int) -> None:
        order_id = f"o{len(self.orders)}"
        # Its own orders must not meet.
        price = 99 - away if side == "BUY" else 100 + away
        verdict = self.desk.reserve(order_id, side, str(quantity), price=str(price))
        if verdict.approved:
            self.orders[order_id] = order(check(side, str(quantity), str(price), order_id=order_id), S.ACCEPTED)

    def fill(self, at: int, share: int) -> None:
        live = [o for o in self.orders.values() if o.leaves and o.status is not S.CANCELED]
        if not live:
            return
        chosen = live[at % len(live)]
        quantity = min(chosen.leaves, D(share))
        assert chosen.price is not None
        # A sale below the market fills at the market, 99 to 100.
        price = chosen.price if chosen.side == "BUY" else max(chosen.price, D(100))
        sign = chosen.side.sign
        self.position = (self.position[0] + sign * quantity, self.position[1] + 1)
        self.cash = (self.cash[0] - sign * quantity * price - quantity * price * D("0.0005"), self.cash[1] + 1)
        filled = chosen.filled_quantity + quantity
        status = S.FILLED if filled == chosen.quantity else S.PARTIALLY_FILLED
        update = {"filled_quantity": filled, "status": status, "version": chosen.version + 1}
        self.orders[chosen.order_id] = chosen.model_copy(update=update)

    def cancel(self, at: int) -> None:
        live = [o for o in self.orders.values() if o.leaves]
        if live:
            chosen = live[at % len(live)]
            update = {"status": S.CANCELED, "version": chosen.version + 1}
            self.orders[chosen.order_id] = chosen.model_copy(update=update)

    def tell(self, at: int) -> None:
        if self.orders:
            told = list(self.orders.values())[at % len(self.orders)]
            position, cash = self.position, self.cash
            self.desk.hear(event(told, position=(str(position[0]), position[1]), cash=(str(cash[0]), cash[1])))

    def restart(self) -> None:
        """Risk dies; even what it had reserved for committed orders may be lost."""
        held = self.desk.keeper.exposures.of("default").holds
        reservations = {k: hold.reservation for k, hold in held.items() if len(k) % 2}
        told = event(
            order(check(), S.FILLED),
            position=(str(self.position[0]), self.position[1]),
            cash=(str(self.cash[0]), self.cash[1]),
        )
        assert told.position is not None
        self.desk = Desk()
        orders = list(self.orders.values())
        self.desk.keeper.follower.take(Held("default", reservations, orders, [told.position], [], told.balance))

    def worst(self) -> tuple[Decimal, Decimal]:
        live = [o for o in self.orders.values() if o.status is not S.CANCELED]
        buys = sum((o.leaves for o in live if o.side == "BUY"), D(0))
        sells = sum((o.leaves for o in live if o.side == "SELL"), D(0))
        return self.position[0] + buys, sells - self.position[0]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.sampled_from(["BUY", "SELL"]), st.integers(1, 10), st.sampled_from([0, 1, 50])),
        st.tuples(st.just("fill"), st.integers(0, 9), st.integers(1, 10)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("tell"), st.integers(0, 9)),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@given(STEPS)
def test_no_limit_is_ever_exceeded_whatever_fills_is_cancelled_told_late_or_restarted(
    steps: list[tuple[object, ...]],
) -> None:
    oms = Oms()
    for name, *words in steps:
        getattr(oms, str(name))(*words)

        long, short = oms.worst()
        assert long <= LIMITS.long_quantity_max
        assert short <= LIMITS.short_quantity_max
        exposure = oms.desk.keeper.exposures.of("default")
        line, known = exposure.line("BTCUSDT"), exposure.positions.get("BTCUSDT")
        if oms.position[1] == (known.version if known else 0):
            assert line.worst_long >= long, "risk counts too little"
            assert line.worst_short >= short, "risk counts too little"


@given(STEPS)
def test_the_running_sums_are_the_sums_of_what_is_held(steps: list[tuple[object, ...]]) -> None:
    oms = Oms()
    for name, *words in steps:
        getattr(oms, str(name))(*words)

    exposure = oms.desk.keeper.exposures.of("default")
    line = exposure.line("BTCUSDT")
    held = [hold.reservation for hold in exposure.holds.values()]
    assert line.buys == sum(r.quantity for r in held if r.side == "BUY")
    assert line.sells == sum(r.quantity for r in held if r.side == "SELL")
    assert line.buy_notional == sum(r.quantity * r.price for r in held if r.side == "BUY")
    assert line.sell_notional == sum(r.quantity * r.price for r in held if r.side == "SELL")


@given(STEPS)
def test_free_money_never_falls_below_nothing_while_prices_stand_still(steps: list[tuple[object, ...]]) -> None:
    oms = Oms()
    oms.desk.cash("3000")
    oms.cash = (D(3000), 1)
    for name, *words in steps:
        getattr(oms, str(name))(*words)
    for order_id in list(oms.orders):
        oms.tell(list(oms.orders).index(order_id))

    exposure = oms.desk.keeper.exposures.of("default")
    exposure.book.refresh()
    held = [h.reservation for h in exposure.holds.values() if h.reservation.side == "BUY"]
    covering = min(sum((r.quantity for r in held), D(0)), max(D(0), -exposure.line("BTCUSDT").quantity))
    assert exposure.free + covering * 150 >= 0


@pytest.mark.parametrize(
    ("why", "by_venue", "messages"),
    [
        ("cancelled on request", None, 2),
        ("kill firm: drill", None, 1),
        ("killed: firm: drill", None, 1),
        ("the connection was lost", "CANCELED", 1),
    ],
)
def test_a_cancel_that_a_kill_or_the_venue_has_caused_is_no_message_of_its_owner(
    desk: Desk, why: str, by_venue: str | None, messages: int
) -> None:
    desk.reserve("a")
    leaving = order(check(order_id="a"), OrderStatus.PENDING_CANCEL, leaving=why, reason=why, venue_status=by_venue)

    desk.hear(event(leaving))

    ratio = desk.findings()["RISK_ORDERS_PER_TRADE"]
    assert ratio.value == f"{messages}.00"
