"""Modes, circuit breaker and rate budget."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.live_gateway.core.breaker import Breaker
from services.live_gateway.core.budget import Budget
from services.live_gateway.settings import Settings
from shared.contract import subjects
from shared.contract.dealing import Unsure
from shared.contract.errors import NotFound, Refused
from shared.contract.venue import VENUES, Mode, ModeRequest, PanicRequest
from shared.kit.fakes import FakeClock, fake_kit
from tests.services.live_gateway.conftest import INSTRUMENTS, NOW_NS, SECOND_NS, quote, route
from tests.services.live_gateway.room import ENABLED, Room

ALL = "send all orders to binance"


async def opened(**words: Any) -> Room:
    kit = fake_kit("live-gateway", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    room = await Room(kit, **(ENABLED | words)).begin()
    await room.hear(subjects.QUOTE, quote())
    return room


async def set_mode(room: Room, mode: Mode, sentence: str = "", venue: str | None = "binance") -> Any:
    return await room.call("/mode", ModeRequest(mode=mode, venue=venue, sentence=sentence), method="POST")


def real(number: int = 1, **words: Any) -> Any:
    return route(f"default-{number:020x}", **({"side": "BUY", "quantity": "5", "venue": "binance"} | words))


async def test_everything_is_paper_unless_somebody_says_otherwise() -> None:
    room = await opened()
    await room.hear(subjects.ORDER_NEW, real(side="BUY", price=None))

    assert (await room.call("/mode"))["modes"] == dict.fromkeys(VENUES, Mode.PAPER)
    assert await room.statuses() == ["FILLED"]
    assert room.reports()[0].venue == "paper"
    assert room.venue.asked == []


async def test_in_shadow_nothing_leaves_and_the_order_says_where_it_would_have_gone() -> None:
    room = await opened()
    await set_mode(room, Mode.SHADOW)
    await room.hear(subjects.ORDER_NEW, real())

    assert await room.statuses() == ["REJECTED"]
    assert room.reports()[0].reason == "SHADOW: it would have gone to binance"
    assert room.service.stats()["orders_refused"] == {"shadow": 1}


async def test_live_takes_the_exact_sentence_and_then_orders_go_out() -> None:
    room = await opened()
    with pytest.raises(Refused, match="type exactly 'send all orders to binance'"):
        await set_mode(room, Mode.LIVE, "yes")
    await set_mode(room, Mode.LIVE, ALL)
    await room.hear(subjects.ORDER_NEW, real())

    assert await room.statuses() == ["WORKING"]
    assert room.venue.count("submit") == 1


async def test_a_mode_outlives_a_restart() -> None:
    room = await opened()
    await set_mode(room, Mode.LIVE, ALL)
    room = await room.killed()

    assert (await room.call("/mode"))["modes"]["binance"] is Mode.LIVE


async def test_who_changed_a_mode_when_from_what_and_to_what_outlives_a_restart_and_is_told() -> None:
    room = await opened()
    wanted = ModeRequest(mode=Mode.LIVE, venue="binance", sentence=ALL, actor="ada")
    await room.call("/mode", wanted, method="POST")
    room.kit.clock.advance(60)  # type: ignore[attr-defined]
    await room.call("/panic", PanicRequest(reason="smoke", actor="grace"), method="POST")
    await room.kit.journal.said()
    room = await room.killed()

    shown = (await room.call("/mode"))["changes"]
    assert [(c.at_ns, c.venue, c.before, c.mode, c.actor, c.reason) for c in shown] == [
        (NOW_NS + 60 * SECOND_NS, "binance", "LIVE", "SHADOW", "grace", "smoke"),
        (NOW_NS + 60 * SECOND_NS, "paper", "PAPER", "SHADOW", "grace", "smoke"),
        (NOW_NS, "binance", "PAPER", "LIVE", "ada", ""),
    ]
    told = [(alert.code, alert.about, alert.message) for alert in room.kit.earlier.bus.heard(subjects.ALERT)]
    assert told == [
        ("MODE_CHANGED", "binance", "binance goes from PAPER to LIVE, says ada"),
        ("MODE_CHANGED", "paper", "paper goes from PAPER to SHADOW, says grace: smoke"),
        ("MODE_CHANGED", "binance", "binance goes from LIVE to SHADOW, says grace: smoke"),
    ]


async def test_a_venue_that_could_not_be_armed_now_falls_back_to_shadow_for_good_and_that_is_on_record() -> None:
    room = await opened()
    await set_mode(room, Mode.LIVE, ALL)
    room.words["binance_testnet"] = False
    room = await room.killed()

    shown = await room.call("/mode")
    assert shown["modes"]["binance"] is Mode.SHADOW
    last = shown["changes"][0]
    assert (last.before, last.mode, last.actor) == ("LIVE", "SHADOW", "live-gateway")
    assert "does not authenticate" in last.reason
    room.words["binance_testnet"] = True
    room = await room.killed()
    assert (await room.call("/mode"))["modes"]["binance"] is Mode.SHADOW


async def test_a_mode_that_is_being_set_when_a_panic_comes_is_not_in_force_after_it() -> None:
    room = await opened()
    panic = room.call("/panic", PanicRequest(actor="grace"), method="POST")
    await asyncio.gather(set_mode(room, Mode.LIVE, ALL), panic)

    assert (await room.call("/mode"))["modes"]["binance"] is Mode.SHADOW
    room = await room.killed()
    assert (await room.call("/mode"))["modes"]["binance"] is Mode.SHADOW


@pytest.mark.parametrize("mode", [Mode.CANARY, Mode.LIVE])
async def test_nothing_arms_real_money_and_the_refusal_says_that_requests_are_not_authenticated(mode: Mode) -> None:
    room = await opened(binance_testnet=False, canary_fraction=1, canary_notional_max="500")
    with pytest.raises(Refused, match="this version does not authenticate its requests, so nothing arms binance"):
        await set_mode(room, mode, ALL)


@pytest.mark.parametrize("words", [{"binance_enabled": False}, {"binance_key": ""}, {"binance_secret": ""}])
async def test_a_venue_that_is_not_configured_is_not_armed(words: dict[str, Any]) -> None:
    room = await opened(**words)
    with pytest.raises(Refused, match="binance is not configured: set binance_enabled"):
        await set_mode(room, Mode.LIVE, ALL)


async def test_the_paper_venue_does_not_go_live_and_a_venue_nobody_knows_has_no_mode() -> None:
    room = await opened()
    with pytest.raises(Refused, match="its modes are PAPER and SHADOW"):
        await set_mode(room, Mode.LIVE, ALL, venue="paper")
    with pytest.raises(NotFound, match="known: paper, binance"):
        await set_mode(room, Mode.SHADOW, venue="nasdaq")


async def test_without_a_venue_a_mode_is_every_venues() -> None:
    room = await opened()
    assert (await set_mode(room, Mode.SHADOW, venue=None))["modes"] == {"paper": Mode.SHADOW, "binance": Mode.SHADOW}


async def test_a_canary_lets_nothing_out_as_shipped() -> None:
    with pytest.raises(Refused, match="canary_fraction"):
        await set_mode(await opened(), Mode.CANARY, "send a few orders to binance")


async def test_a_canary_lets_out_what_is_small_and_the_rest_is_rejected_and_not_simulated() -> None:
    room = await opened(canary_fraction=1, canary_notional_max="500")
    await set_mode(room, Mode.CANARY, "send a few orders to binance")
    await room.hear(subjects.ORDER_NEW, real(1, quantity="5", price="100"))
    await room.hear(subjects.ORDER_NEW, real(2, quantity="5.001", price="100"))
    await room.hear(subjects.ORDER_NEW, real(3, quantity="4.9", price=None))
    await room.hear(subjects.ORDER_NEW, real(4, quantity="0.001", price=None, symbol="ETHUSDT"))

    await room.statuses()
    assert room.venue.count("submit") == 2
    refused = [report.reason for report in room.reports() if report.status == "REJECTED"]
    assert refused == [
        "CANARY: worth 500.100, and no more than 500 may go out",
        "CANARY: a market order's worth is not known without a quote",
    ]


async def test_a_canary_gives_entries_and_exits_of_one_strategy_the_same_fate() -> None:
    room = await opened(canary_fraction=0.3, canary_notional_max="5000")
    await set_mode(room, Mode.CANARY, "send a few orders to binance")
    fates: dict[str, set[bool]] = {}
    for number in range(80):
        strategy = f"s{number % 40}"
        side = "BUY" if number < 40 else "SELL"
        before = room.venue.count("submit")
        await room.hear(subjects.ORDER_NEW, real(number, side=side, strategy=strategy))
        await room.settled()
        fates.setdefault(strategy, set()).add(room.venue.count("submit") > before)

    assert all(len(fate) == 1 for fate in fates.values())
    assert 4 <= sum(True in fate for fate in fates.values()) <= 22


async def test_a_venue_that_says_nothing_gets_no_orders_for_a_while_and_then_one_at_a_time() -> None:
    room = await (await opened(breaker_failures=2, breaker_open_s=30)).live()
    room.venue.plan["submit"] = [Unsure("timeout")] * 2
    for number in range(4):
        await room.hear(subjects.ORDER_NEW, real(number))
        await room.statuses()

    assert room.venue.count("submit") == 2
    assert "circuit is open after 2 failures" in room.reports()[-1].reason
    room.kit.clock.advance(30)  # type: ignore[attr-defined]
    for number in range(10, 12):
        await room.hear(subjects.ORDER_NEW, real(number))
    await room.settled()
    assert room.venue.count("submit") == 3, "half open: one at a time"
    await room.hear(subjects.ORDER_NEW, real(20))
    await room.settled()
    assert room.venue.count("submit") == 4, "closed by the success"


def test_a_half_open_circuit_opens_again_at_the_first_failure() -> None:
    breaker = Breaker(failures_max=1, open_ns=30 * SECOND_NS)
    assert breaker.note(0, well=False)
    assert breaker.state(1) == "OPEN"
    assert breaker.admit(30 * SECOND_NS) == ""
    breaker.note(30 * SECOND_NS, well=False)
    assert breaker.admit(31 * SECOND_NS) != ""


def test_the_last_tokens_are_for_cancels_alone() -> None:
    budget = Budget(per_s=1, burst=5, reserve=2)
    spent = [budget.spend(SECOND_NS, cancel=False) for _ in range(4)]

    assert spent[:3] == [0, 0, 0]
    assert spent[3] == SECOND_NS
    assert [budget.spend(SECOND_NS, cancel=True) for _ in range(3)] == [0, 0, SECOND_NS]
    assert budget.spend(2 * SECOND_NS, cancel=True) == 0


async def test_orders_over_the_rate_budget_wait_a_while_and_are_then_rejected_but_cancels_go_out() -> None:
    room = await (await opened(rate_per_s=1, rate_burst=4, rate_reserve=3, rate_wait_s=0.5)).live()
    await room.hear(subjects.ORDER_NEW, real(1))
    await room.hear(subjects.ORDER_NEW, real(2))
    await room.settled()

    assert await room.statuses() == ["WORKING", "REJECTED"]
    assert room.reports()[-1].reason == "binance's rate budget is spent"
    room.gateway.board._kills.look({"firm": ("", "unnamed")}, 0)
    await room.gateway.stop()
    assert (await room.statuses())[-1] == "CANCELED"


@pytest.mark.parametrize(
    "words",
    [
        {"binance_testnet": False, "binance_rest_url": "http://127.0.0.1:1"},
        {"binance_rest_url": "https://api.binance.com/api/v3"},
    ],
)
def test_what_passes_for_play_money_is_play_money(words: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only the test network"):
        Settings(**words)


async def test_the_venues_are_shown_with_how_they_stand() -> None:
    room = await (await opened()).live()
    await room.hear(subjects.ORDER_NEW, real())
    await room.settled()
    room.venue.trouble = "no stream"

    paper, binance = await room.call("/venues")
    assert paper == {"venue": "paper", "mode": Mode.PAPER, "orders_open": 0}
    assert (binance["mode"], binance["orders_open"], binance["circuit"]) == (Mode.LIVE, 1, "CLOSED")
    assert room.service.checks() == {"venue binance": "no stream"}
