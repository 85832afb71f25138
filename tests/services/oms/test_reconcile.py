"""The oms over the twins, reconciled with a venue that forgets, hides and trades behind its back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.oms.core.reconciling.findings import Reconciliation
from shared.contract import subjects
from shared.contract.errors import Conflict, Refused, Unavailable
from shared.contract.orders import Order, OrderStatus, Report, VenueFill
from shared.contract.venue import StatedOrder, StatedTrade, Statement, StatementRequest
from shared.kit.fakes import deliver, fake_kit
from tests.services.oms.running import Desk

D = Decimal
EVERY_S = 30.0


class Market:
    """A venue: what it has open, what was traded there, what it holds. It repeats its reports when it is asked to."""

    def __init__(self, desk: Desk, venue: str = "binance") -> None:
        self.desk = desk
        self.venue = venue
        self.orders: dict[str, StatedOrder] = {}
        self.trades: list[StatedTrade] = []
        self.holdings: dict[str, Decimal] | None = None
        self.reports: dict[str, list[Report]] = {}
        self.away = False
        self.asked: list[StatementRequest] = []

    def lists(self, order: Order | None = None, number: str = "77", **words: Any) -> None:
        given = {
            "order_id": order and order.order_id,
            "venue_order_id": number,
            "symbol": "BTCUSDT",
            "side": "BUY",
            "order_type": "LIMIT",
            "price": D(100),
            "quantity": D(3),
            "cumulative_quantity": D(0),
            "created_ns": 1,
        }
        self.orders[number] = StatedOrder.model_validate(given | words)

    def trades_in(self, order: Order | None, id: str, quantity: str, number: str = "77") -> VenueFill:
        fill = VenueFill(
            execution_id=id,
            price=D(100),
            quantity=D(quantity),
            fee=D("0.1"),
            event_ns=self.desk.kit.clock.now_ns(),
        )
        stated = {"order_id": order and order.order_id, "venue_order_id": number, "symbol": "BTCUSDT", "side": "BUY"}
        self.trades.append(StatedTrade.model_validate(stated | {"fill": fill}))
        return fill

    def said_once(self, order: Order, status: str, fill: VenueFill | None = None, cumulative: str = "0") -> None:
        """A report that got lost on its way, and will be repeated."""
        some = self.reports.setdefault(order.order_id, [])
        report = Report(
            account=order.account,
            order_id=order.order_id,
            venue=self.venue,
            sequence=len(some) + 1,
            status=OrderStatus(status),
            cumulative_quantity=D(cumulative),
            fill=fill,
            event_ns=1,
        )
        some.append(report)

    async def state(self, asked: StatementRequest) -> Statement:
        self.asked.append(asked)
        if self.away:
            raise Unavailable("the venue does not answer")
        return Statement(
            account=asked.account,
            venue=asked.venue,
            at_ns=self.desk.kit.clock.now_ns(),
            orders=tuple(self.orders.values()) if asked.venue == self.venue else (),
            trades=tuple(
                t for t in self.trades if t.fill.event_ns >= (asked.since_ns or 0) and asked.venue == self.venue
            ),
            holdings=self.holdings if asked.venue == self.venue else None,
        )


class Books:
    """The oms and the market, and the words between them."""

    def __init__(self, desk: Desk, market: Market | None = None) -> None:
        self.desk = desk
        self.market = market or Market(desk)
        self.market.desk = desk
        self._delivered = len(desk.kit.bus.said)
        desk.kit.bus.answers[subjects.VENUE_STATEMENT.pattern] = self.market.state

    async def working(self, name: str = "c1", **words: Any) -> Order:
        """An order that the venue has confirmed, some time ago."""
        given = {"order_type": "LIMIT", "price": "100", "venue": "binance"}
        order = await self.desk.order(name, **(given | words))
        await self.desk.report(order, "WORKING")
        self.desk.advance(10)
        await self.heard()
        return await self.desk.now(order)

    async def heard(self) -> list[str]:
        """Everybody hears what was said; the subjects."""
        heard: list[str] = []
        await self.desk.kit.journal.said()
        while self._delivered < len(said := self.desk.kit.bus.said):
            subject, message = said[self._delivered]
            self._delivered += 1
            heard.append(subject.pattern)
            if subject == subjects.ORDER_REPORT:
                await deliver(self.desk.service, subject, message)
            elif subject == subjects.ORDER_NEW:
                for report in self.market.reports.get(message.order_id, []):  # type: ignore[attr-defined]
                    await self.desk.kit.bus.say(subjects.ORDER_REPORT, report)
            await self.desk.kit.journal.said()
        return heard

    async def round(self, venue: str = "binance", account: str = "default", **words: Any) -> Reconciliation:
        """One round on demand, and what follows from it."""
        found = await self.desk.handler("POST", "/reconcile")(account, venue, **words)
        await self.heard()
        self.desk.advance(EVERY_S)
        return found

    async def rounds(self, count: int) -> list[Reconciliation]:
        return [await self.round() for _ in range(count)]

    async def alerts(self) -> list[str]:
        return [alert.code for alert in await self.desk.said(subjects.ALERT)]

    async def open_here(self) -> list[Order]:
        return (await self.desk.get("/orders", active_only=True))["orders"]

    async def restarted(self) -> Books:
        return Books(await self.desk.restarted(), self.market)


@pytest.fixture
def books() -> Books:
    return Books(Desk(fake_kit("oms")))


def kinds(found: Reconciliation) -> list[str]:
    return [difference.kind.value for difference in found.differences]


async def test_an_empty_account_agrees_with_an_empty_venue(books: Books) -> None:
    found = await books.round()

    assert (found.agrees, found.orders_here, found.orders_there, found.sums) == (True, 0, 0, {})


async def test_a_venue_that_nobody_knows_agrees_with_nothing(books: Books) -> None:
    with pytest.raises(Refused, match="there is no venue nasdaq; known: paper, binance"):
        await books.round("nasdaq")
    assert await books.desk.get("/reconcile") == []


async def test_reports_that_were_lost_are_asked_for_and_the_order_ends_by_the_venues_word(books: Books) -> None:
    order = await books.working()
    fill = books.market.trades_in(order, "e1", "1")
    books.market.said_once(order, "PARTIALLY_FILLED", fill, "1")
    books.market.said_once(order, "CANCELED", cumulative="1")

    first, second, third = await books.rounds(3)

    assert (kinds(first), first.agrees) == (["FILL", "MISSING"], False)
    assert (third.agrees, {one.kind.value for one in third.healed or second.healed}) == (True, {"FILL", "MISSING"})
    after = await books.desk.now(order)
    assert (after.status, after.filled_quantity) == (OrderStatus.CANCELED, D(1))
    assert third.sums == {"BTCUSDT": {"position": "1", "fills": "1"}}


async def test_one_statement_alone_does_nothing(books: Books) -> None:
    await books.working()
    books.market.lists(None, "78")
    said = len(books.desk.kit.bus.said)

    found = await books.round()

    assert kinds(found) == ["EXTERNAL", "MISSING"]
    assert len(books.desk.kit.bus.said) == said


async def test_an_order_the_venue_is_silent_about_stays_open_and_people_are_told(books: Books) -> None:
    order = await books.working()

    rounds = await books.rounds(5)

    assert [kinds(one) for one in rounds] == [["MISSING"]] * 5
    assert await books.desk.status(order) == "WORKING"
    assert await books.alerts() == ["RECONCILIATION_MISSING"]


async def test_an_order_in_doubt_is_left_only_on_proof(books: Books) -> None:
    order = await books.desk.order(order_type="LIMIT", price="100", venue="binance")
    books.desk.advance(10)
    await books.desk.each("ask_again")
    await books.heard()
    books.desk.advance(10)
    assert await books.desk.status(order) == "PENDING_UNKNOWN"

    await books.rounds(4)
    assert await books.desk.status(order) == "PENDING_UNKNOWN"

    books.market.said_once(order, "REJECTED")
    await books.round()
    assert await books.desk.status(order) == "REJECTED"


async def test_a_trade_of_an_order_that_is_over_is_entered_once(books: Books) -> None:
    order = await books.working()
    await books.desk.report(order, "CANCELED")
    books.desk.advance(10)
    books.market.trades_in(order, "e1", "2")

    await books.rounds(4)

    assert await books.desk.position() == 2
    assert (await books.desk.now(order)).status is OrderStatus.CANCELED
    assert [fill.fill_id for fill in await books.desk.said(subjects.FILL)] == ["binance:e1"]
    assert await books.alerts() == ["RECONCILIATION_FILL"]


async def test_a_report_that_crosses_the_statement_is_not_entered_twice(books: Books) -> None:
    order = await books.working()
    books.market.lists(order, cumulative_quantity=D(1))
    fill = books.market.trades_in(order, "e1", "1")
    assert kinds(await books.round()) == ["FILL"]
    report = {"order_id": order.order_id, "account": "default", "venue": "binance", "sequence": 2}
    late = Report.model_validate(
        report | {"status": "PARTIALLY_FILLED", "cumulative_quantity": "1", "fill": fill, "event_ns": 1}
    )
    await deliver(books.desk.service, subjects.ORDER_REPORT, late)

    second, third = await books.rounds(2)

    assert (second.agrees, third.agrees, await books.desk.position()) == (True, True, 1)
    assert await books.alerts() == []


async def test_an_order_of_other_hands_is_adopted_once_with_its_fills(books: Books) -> None:
    await books.round()
    books.market.lists(None, cumulative_quantity=D(1))
    books.market.trades_in(None, "e1", "1")

    rounds = await books.rounds(4)

    assert [kinds(one) for one in rounds[:2]] == [["EXTERNAL"], ["EXTERNAL"]]
    assert rounds[-1].agrees
    [adopted] = await books.open_here()
    assert (adopted.strategy, adopted.status, adopted.leaves) == ("external", OrderStatus.PARTIALLY_FILLED, 2)
    assert adopted.client_order_id == "venue:binance:BTCUSDT:77"
    assert await books.desk.position() == 1
    assert await books.alerts() == ["RECONCILIATION_EXTERNAL"]


async def test_an_adopted_order_fills_changes_and_ends_as_it_does_there(books: Books) -> None:
    books.market.lists(None)
    await books.rounds(3)
    books.market.lists(None, price=D(90), cumulative_quantity=D(1))
    books.market.trades_in(None, "e1", "1")
    await books.rounds(4)
    [adopted] = await books.open_here()
    assert (adopted.price, adopted.filled_quantity, adopted.leaves) == (D(90), 1, 2)

    books.market.orders.clear()
    rounds = await books.rounds(3)

    assert rounds[-1].agrees
    after = await books.desk.now(adopted)
    assert (after.status, after.reason) == (OrderStatus.CANCELED, "the venue lists it no longer")


async def test_other_hands_trade_at_the_market(books: Books) -> None:
    await books.round()
    books.market.trades_in(None, "e1", "1")
    books.market.trades_in(None, "e2", "2")

    rounds = await books.rounds(3)

    assert rounds[-1].agrees
    assert await books.desk.position() == 3
    assert await books.open_here() == []
    fills = (await books.desk.get("/fills", "default"))["fills"]
    assert {fill.strategy for fill in fills} == {"external"}


async def test_what_other_hands_did_before_the_first_round_is_not_ours(books: Books) -> None:
    books.market.trades_in(None, "e1", "1")
    books.desk.advance(1)

    assert all(one.agrees for one in await books.rounds(3))
    assert await books.desk.position() == 0


async def test_an_order_of_other_hands_is_not_ours_to_cancel(books: Books) -> None:
    books.market.lists(None)
    await books.rounds(2)
    [adopted] = await books.open_here()

    with pytest.raises(Conflict, match="other hands"):
        await books.desk.cancel(adopted.order_id)
    with pytest.raises(Conflict):
        await books.desk.replace(adopted.order_id, quantity="1")
    assert await books.desk.cancel_all() == []


async def test_an_order_changed_at_the_venue_is_changed_here(books: Books) -> None:
    order = await books.working()
    books.market.lists(order, price=D(99), quantity=D(2))

    rounds = await books.rounds(4)

    assert [kinds(one) for one in rounds] == [["TERMS"], ["TERMS"], [], []]
    after = await books.desk.now(order)
    assert (after.price, after.quantity, after.status) == (D(99), D(2), OrderStatus.WORKING)
    assert books.desk.reserved() == {order.order_id: D(2)}
    assert await books.alerts() == ["RECONCILIATION_TERMS"]


async def test_an_order_that_is_over_here_is_cancelled_there(books: Books) -> None:
    order = await books.working()
    books.market.lists(order)
    await books.desk.report(order, "CANCELED")
    books.desk.advance(10)

    await books.rounds(2)

    assert await books.desk.told(subjects.ORDER_CANCEL) == [order.order_id]
    assert await books.alerts() == ["RECONCILIATION_REVIVED"]


async def test_the_same_statement_again_and_again_changes_nothing_more(books: Books) -> None:
    await books.round()
    books.market.lists(None)
    books.market.trades_in(None, "e9", "1", number="99")
    await books.rounds(3)
    written = len(books.desk.kit.valkey.store)
    events = len(await books.desk.said(subjects.ORDER_EVENT))

    await books.rounds(3)

    assert len(books.desk.kit.valkey.store) == written
    assert len(await books.desk.said(subjects.ORDER_EVENT)) == events


async def test_what_was_adopted_is_known_after_a_restart(books: Books) -> None:
    await books.round()
    books.market.lists(None)
    books.market.trades_in(None, "e9", "1", number="99")
    await books.rounds(3)

    after = await books.restarted()
    rounds = await after.rounds(3)

    assert all(one.agrees for one in rounds)
    assert await after.desk.position() == 1
    assert len(await after.open_here()) == 1


async def test_where_a_round_begins_survives_a_restart(books: Books) -> None:
    await books.working()
    await books.round()
    after = await books.restarted()
    books.market.trades_in(None, "e1", "1")
    books.market.orders.clear()

    await after.rounds(3)

    assert await after.desk.position() == 1, "made after the first round of all, so it is ours"


async def test_trades_are_not_asked_for_again_once_they_are_entered(books: Books) -> None:
    await books.rounds(3)

    since_ns = [asked.since_ns or 0 for asked in books.market.asked]
    assert since_ns == sorted(since_ns)
    assert books.desk.kit.clock.now_ns() - since_ns[-1] < 100 * 10**9


async def test_many_trades_come_in_several_statements(books: Books) -> None:
    order = await books.working()
    books.market.lists(order, cumulative_quantity=D(2))
    first = books.market.trades_in(order, "e1", "1")
    books.desk.advance(60)
    second = books.market.trades_in(order, "e2", "1")
    whole = books.market.state

    async def in_parts(asked: StatementRequest) -> Statement:
        statement = await whole(asked)
        early = (asked.since_ns or 0) < second.event_ns
        some = [trade for trade in statement.trades if trade.fill == (first if early else second)]
        return statement.model_copy(
            update={"trades": tuple(some), "trades_until_ns": second.event_ns if early else None}
        )

    books.desk.kit.bus.answers[subjects.VENUE_STATEMENT.pattern] = in_parts
    found = await books.rounds(3)

    assert found[-1].agrees
    assert await books.desk.position() == 2


async def test_many_open_orders_come_in_several_statements(books: Books) -> None:
    orders = sorted([await books.working(f"c{n}", quantity="1") for n in range(5)], key=lambda order: order.order_id)
    for n, order in enumerate(orders):
        books.market.lists(order, f"{n}", quantity=D(1))
    whole = books.market.state

    async def in_parts(asked: StatementRequest) -> Statement:
        statement = await whole(asked)
        after = asked.orders_after or ""
        left = {stated.order_id or "": stated for stated in statement.orders}
        some = [left[order_id] for order_id in sorted(left) if order_id > after][:2]
        more = {"orders": tuple(some), "orders_after": some[-1].order_id if len(some) == 2 else None}
        return statement.model_copy(update=more)

    books.desk.kit.bus.answers[subjects.VENUE_STATEMENT.pattern] = in_parts
    found = await books.round()

    assert (found.agrees, found.orders_there) == (True, 5)
    assert [(asked.since_ns is None, asked.orders_after) for asked in books.market.asked] == [
        (False, ""),
        (True, orders[1].order_id),
        (True, orders[3].order_id),
    ]


async def test_while_the_venue_does_not_answer_it_is_said_and_nothing_is_forgotten(books: Books) -> None:
    await books.working()
    await books.round()
    books.market.away = True
    trouble = await books.round()
    books.market.away = False
    after = await books.round()

    assert (trouble.agrees, trouble.trouble, kinds(trouble)) == (False, "the venue does not answer", ["MISSING"])
    assert (after.trouble, after.differences[0].rounds) == ("", 2)


async def test_holdings_that_move_without_a_fill_are_told_until_a_person_accepts_them(books: Books) -> None:
    books.market.holdings = {"BTC": D(10), "USDT": D(500)}
    order = await books.working()
    books.market.lists(order, cumulative_quantity=D(1))
    fill = books.market.trades_in(order, "e1", "1")
    books.market.said_once(order, "PARTIALLY_FILLED", fill, "1")
    books.market.holdings = {"BTC": D(11), "USDT": D(400)}
    await books.rounds(3)
    assert (await books.round()).agrees

    books.market.holdings = {"BTC": D("11.5")}
    rounds = await books.rounds(3)

    assert [kinds(one) for one in rounds] == [["HOLDINGS"]] * 3
    [difference] = rounds[-1].differences
    assert (difference.about, difference.ours) == ("BTC", "11 expected, 1 of it by our fills")
    assert (await books.alerts())[-1] == "RECONCILIATION_HOLDINGS"
    assert (await books.round(accept_holdings=True)).agrees
    assert (await books.round()).agrees
    assert (await (await books.restarted()).round()).agrees


async def test_two_venues_of_one_account_are_reconciled_each_with_its_own(books: Books) -> None:
    here = await books.working("c1")
    there = await books.working("c2", venue="paper")
    books.market.lists(here)

    found = await books.round(), await books.round("paper")

    assert [kinds(one) for one in found] == [[], ["MISSING"]]
    assert found[1].differences[0].about == there.order_id


async def test_all_of_it_is_reconciled_at_the_start_and_every_so_often(books: Books) -> None:
    order = await books.working()
    books.market.lists(order)
    await books.desk.each("go_round")
    await books.desk.each("go_round")
    [found] = await books.desk.get("/reconcile")
    assert (found.venue, found.agrees, found.orders_here, found.orders_there) == ("binance", True, 1, 1)
    assert len(books.market.asked) == 1

    books.desk.advance(EVERY_S)
    await books.desk.each("go_round")
    assert len(books.market.asked) == 2
    assert await books.desk.get("/reconcile", "nobody") == []

    after = await books.restarted()
    await after.desk.each("go_round")
    assert len(books.market.asked) == 3


async def test_a_venue_is_reconciled_though_its_only_order_ended_unfilled_since_a_fill_may_come_late(
    books: Books,
) -> None:
    order = await books.working()
    await books.desk.report(order, "CANCELED")
    after = await books.restarted()
    await after.desk.each("go_round")

    assert [found.venue for found in await after.desk.get("/reconcile")] == ["binance"]
    assert after.desk.service.stats()["reconciled"] == 1


async def test_a_venue_that_does_not_answer_is_tried_again_soon_and_once_for_all_accounts(books: Books) -> None:
    for account in ("a", "b"):
        await books.working(account=account)
    books.market.away = True
    await books.desk.each("go_round")
    assert len(books.market.asked) == 1
    books.market.away = False

    books.desk.advance(6)
    await books.desk.each("go_round")

    assert [found.account for found in await books.desk.get("/reconcile")] == ["a", "b"]
    assert [found.trouble for found in await books.desk.get("/reconcile")] == ["", ""]


async def test_so_many_differences_are_mended_in_one_round_and_the_others_in_the_next(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.oms.core.reconciling.reconciler.MENDED_MAX", 2)
    await books.round()
    for n in range(5):
        books.market.trades_in(None, f"e{n}", "1", number=f"{n}")

    rounds = await books.rounds(5)

    assert [len(found.differences) for found in rounds] == [5, 5, 3, 1, 0]
    assert await books.desk.position() == 5
    assert await books.alerts() == ["RECONCILIATION_EXTERNAL"] * 5
