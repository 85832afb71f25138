"""Verdicts in short: what is kept once for many orders, when, and that nothing is lost on the way back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.risk.store import shapes
from shared.contract import keys
from shared.contract.errors import Unavailable
from shared.contract.judgement import Judgement, Shape
from shared.contract.risk import Limits, Outcome, Verdict
from shared.kit.fakes import FakeClock, FakeKit, fake_kit
from shared.kit.journal import Journal
from shared.kit.valkey import ValkeyStore
from tests.conftest import Closer
from tests.servers import Server
from tests.services.risk.conftest import INSTRUMENTS, NOW_NS, SCOPES, WIDE, Desk, check
from tests.services.risk.test_service import Room

SIDES = (("BUY", "99"), ("SELL", "101"))
ANYBODY = {"account.*": WIDE, "strategy.*": Limits(open_orders_max=9)}


def travelled(judgement: Judgement) -> tuple[Shape, Verdict]:
    """The shape and the verdict in short, each as it is read back."""
    shape = Shape.of(judgement)
    return Shape.decode(shape.encode()), Verdict.decode(judgement.in_short(shape.name).encode())


def kept(room: Room) -> set[str]:
    return {key for key in room.kit.valkey.store if key.startswith(keys.shape(""))}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("BUY", "1"), {}),
        (("SELL", "1"), {"strategy": "trend", "group": "g"}),
        (("BUY", "1"), {"price": None}),
        (("BUY", "1"), {"order_type": "STOP_LIMIT", "stop_price": "101"}),
        (("BUY", "1"), {"price": "99", "post_only": True}),
        (("BUY", "1"), {"time_in_force": "GTD", "expire_ns": NOW_NS + 1}),
        (("SELL", "2"), {"reduce_only": True}),
        (("SELL", "3"), {"account": "AAPL", "symbol": "AAPL"}),
        (("BUY", "1"), {"account": "firm", "symbol": "AAPL", "strategy": "account"}),
    ],
)
def test_nothing_of_an_approval_is_lost_in_short(words: tuple[str, str], given: dict[str, Any]) -> None:
    desk = Desk(limits=SCOPES | ANYBODY)
    desk.holds("5")
    whole = desk.reserve("a", *words, **given)
    assert whole.approved, whole.reason

    shape, short = travelled(whole)

    assert short.rules == ()
    assert len(short.encode()) < len(whole.encode()) / 4
    assert shape.fill(short) == Verdict.model_validate(whole.model_dump())


def test_a_warning_to_an_exit_comes_back_with_its_value_and_limit(desk: Desk) -> None:
    desk.holds("30")

    shape, short = travelled(desk.reserve("a", "SELL", "15"))

    warned = {rule.code: rule for rule in shape.fill(short).rules if rule.outcome is Outcome.WARN}
    assert warned["RISK_ORDER_QUANTITY"].value == "15"
    assert warned["RISK_ORDER_QUANTITY"].limit == "10"


def test_accounts_and_symbols_under_the_same_limits_share_a_shape() -> None:
    desk = Desk(limits={"account.*": WIDE})
    names = {
        Shape.of(desk.reserve(f"{account}-{n}", "BUY", "1", account=account, price=price)).name
        for n, (account, price) in enumerate([("ann", "100"), ("bob", "99.5"), ("ann", "98"), ("BTCUSDT", "97")])
    }
    assert len(names) == 2, "an account that is named like the symbol is the odd one"


def test_another_limit_is_another_shape(desk: Desk) -> None:
    before = Shape.of(desk.reserve("a", "BUY", "1"))
    desk.controls.put_limits("account.default", WIDE.model_copy(update={"open_orders_max": 7}), "ann", "drill", NOW_NS)
    after = Shape.of(desk.reserve("b", "BUY", "1"))

    assert before.name != after.name


def test_values_that_do_not_fit_a_shape_are_not_told_as_if_they_did(desk: Desk) -> None:
    shape, short = travelled(desk.reserve("a", "BUY", "1"))
    with pytest.raises(ValueError, match="has room for"):
        shape.fill(short.model_copy(update={"values": short.values[1:]}))


# The service.


@pytest.fixture
async def room() -> Room:
    return await Room(fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)).begin()


async def test_an_approval_leaves_in_short_once_its_shape_is_kept(room: Room) -> None:
    verdict = await room.ask("a")

    assert verdict.rules == ()
    shape = await room.kit.valkey.get(keys.shape(verdict.shape), Shape)
    assert shape is not None
    rules = {rule.code: rule for rule in shape.fill(verdict).rules}
    assert rules["RISK_ORDER_QUANTITY"].value == "1"
    assert rules["RISK_ORDER_QUANTITY"].limit == "10"
    assert rules["RISK_ORDER_QUANTITY"].scope == "account.default.symbol.BTCUSDT"


async def test_what_is_not_to_be_committed_is_told_in_full(room: Room) -> None:
    asked = await room.call("POST /check", check(order_id="a", reserve=True))
    denied = await room.ask("b", "BUY", "5000")

    for verdict in (asked, denied):
        assert (verdict.shape, verdict.values) == ("", ())
        assert Verdict.decode(verdict.encode()).rules == verdict.rules != ()
    assert kept(room) == set()


async def test_an_approval_asked_for_again_is_told_in_the_same_words(room: Room) -> None:
    first, again = await room.ask("a"), await room.ask("a")

    assert (again.shape, again.values) == (first.shape, first.values)
    assert len(kept(room)) == 1


async def test_an_approval_whose_shape_cannot_be_kept_does_not_leave(room: Room) -> None:
    await room.ask("a")
    room.kit.valkey.away = True

    with pytest.raises(Unavailable):
        await room.ask("b", "SELL", price="101")


async def test_no_shape_is_taken_for_known_in_the_next_life(room: Room) -> None:
    verdict = await room.ask("a")
    del room.kit.valkey.store[keys.shape(verdict.shape)]
    await room.service.recovers()

    assert (await room.ask("b")).shape == verdict.shape
    assert kept(room) == {keys.shape(verdict.shape)}


async def test_with_too_many_shapes_the_next_verdict_is_told_in_full(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shapes, "SHAPES_MAX", 1)
    assert (await room.ask("a")).shape

    for order_id in ("b", "c"):
        verdict = await room.ask(order_id, "SELL", price="101")
        assert verdict.approved
        assert verdict.shape == ""
        assert len(verdict.rules) > 30
    assert (await room.ask("d", price="98")).shape


async def test_a_shape_is_on_disk_before_the_verdict_leaves_and_after_risk_was_killed(
    valkey: Server, closing: Closer
) -> None:
    def joined(kit: FakeKit) -> FakeKit:
        store = ValkeyStore(f"redis://127.0.0.1:{valkey.port}")
        kit.__dict__["valkey"], kit.__dict__["journal"] = store, Journal("risk", store, kit.bus.store_all)
        closing(store.close)
        return kit

    room = await Room(joined(fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS))).begin()
    verdicts = await asyncio.gather(
        *(room.ask(f"o{n}", side, price=price) for n, (side, price) in enumerate(SIDES * 3))
    )
    room = await Room(joined(room.kit.restarted())).begin()
    verdicts.append(await room.ask("late"))

    assert len({verdict.shape for verdict in verdicts}) == 2
    for verdict in verdicts:
        shape = await room.kit.valkey.get(keys.shape(verdict.shape), Shape)
        assert shape is not None
        assert len(shape.fill(verdict).rules) == len(shape.findings) > 30
