"""What fills do to the books: positions, each strategy's share, money in the account's currency, double entries."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from services.oms.core.holdings import Holdings, Terms
from shared.contract import keys, subjects
from shared.contract.accounts import Entry
from shared.contract.currencies import Rates
from shared.contract.errors import Refused, Unavailable
from shared.contract.market import Instrument
from shared.contract.orders import Fill, Side
from shared.kit.fakes import fake_kit
from tests.services.oms.running import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(fake_kit("oms"))


def entries(desk: Desk) -> list[Entry]:
    return [Entry.decode(words) for words in desk.kit.valkey.store[keys.entries("default")]]


async def test_each_strategy_has_its_own_share_and_the_account_their_sum(desk: Desk) -> None:
    trend = await desk.order("1", strategy="trend")
    carry = await desk.order("2", strategy="carry", side="SELL", quantity="1")
    await desk.report(trend, "FILLED", ("e1", "3", "100"))
    desk = await desk.restarted()
    await desk.report(carry, "FILLED", ("e2", "1", "110"))

    assert await desk.position() == 2
    shares = {
        name: (await desk.get("/positions/{account}", "default", strategy=name))["BTCUSDT"]
        for name in ("trend", "carry")
    }
    assert {name: share.quantity for name, share in shares.items()} == {"trend": 3, "carry": -1}
    last = (await desk.said(subjects.ORDER_EVENT))[-1]
    assert (last.strategy_position.strategy, last.strategy_position.quantity, last.position.quantity) == (
        "carry",
        -1,
        2,
    )
    assert last.report.fill.execution_id == "e2"


async def test_every_fill_makes_one_entry_that_sums_to_zero(desk: Desk) -> None:
    order = await desk.order()
    for _ in range(2):
        await desk.report(order, "PARTIALLY_FILLED", ("e1", "1", "100"))
    await desk.report(order, "FILLED", ("e2", "2", "101"))

    made = entries(desk)
    assert [entry.fill_id for entry in made] == ["paper:e1", "paper:e2"]
    for entry in made:
        sums: Counter[str] = Counter()
        for posting in entry.postings:
            sums[posting.unit] += posting.amount  # type: ignore[assignment]
        assert set(sums.values()) == {0}


async def test_an_account_is_opened_by_its_first_order_and_by_no_other(desk: Desk) -> None:
    first = await desk.order("1")
    await desk.report(first, "FILLED", ("e1", "3", "100"))
    await desk.order("2")
    desk = await desk.restarted()
    await desk.order("3")

    account = await desk.get("/accounts/{account}", "default")
    assert Decimal(account["cash"]) == Decimal(1_000_000) - 300 - Decimal("0.5")


def fill(quantity: str, price: str, symbol: str = "FUT") -> Fill:
    return Fill(
        fill_id="f",
        account="a",
        order_id="o",
        symbol=symbol,
        side=Side.BUY,
        price=Decimal(price),
        quantity=Decimal(quantity),
        fee=Decimal(2),
        venue="paper",
        maker=False,
        strategy="trend",
        event_ns=1,
        committed_ns=1,
    )


def holdings(rates: dict[str, dict[str, str]]) -> Holdings:
    one = Decimal(1)
    listed = Instrument(
        symbol="FUT",
        price_tick=one,
        lot=one,
        quantity_min=one,
        quantity_max=Decimal(100),
        currency="EUR",
        multiplier=Decimal(10),
    )
    return Holdings(Terms({"FUT": listed}, Rates.model_validate({"rates": rates}).rate, {}, Decimal(1000)))


def test_a_fill_counts_by_its_multiplier_and_in_the_money_of_the_account() -> None:
    posted = holdings({"EUR": {"USD": "2"}}).post(fill("3", "5"))

    assert posted.balance.cash == 1000 - (3 * 5 * 10 + 2) * 2
    assert (posted.position.cost, posted.position.average_price) == (150, 5)
    assert posted.strategy_position is not None
    assert posted.strategy_position.strategy == "trend"


def test_what_could_not_be_booked_is_refused_at_the_door() -> None:
    with pytest.raises(Refused) as refused:
        holdings({}).check_currency("a", "FUT")
    assert refused.value.code == "NO_CONVERSION_RATE"


def test_a_fill_that_cannot_be_valued_is_not_entered_and_comes_again() -> None:
    held = holdings({})
    with pytest.raises(Unavailable, match="no rate from EUR to USD"):
        held.post(fill("3", "5"))
    with pytest.raises(Unavailable, match="is not listed"):
        held.post(fill("3", "5", "GONE"))

    assert (held.quantity("a", "FUT"), held.balance("a").cash) == (0, 1000)
