"""Subscriptions at runtime: kept before they are answered, restored at the start, refused with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.gateway.feeds.routes import subscriptions_of
from services.gateway.feeds.subscriptions import Subscriptions
from services.gateway.store import SubscriptionStore
from shared.contract.errors import Unavailable
from shared.contract.feeds import Channel, Listed, Subscription
from shared.contract.market import Instrument
from shared.kit.fakes import FakeKit, fake_kit
from shared.kit.journal import Journal
from shared.kit.valkey import ValkeyStore
from shared.kit.web import open_app
from tests.conftest import Closer
from tests.servers import Server

INSTRUMENT = Instrument.model_validate(
    {"symbol": "BTCUSD", "price_tick": "0.01", "lot": "0.001", "quantity_min": "0.001", "quantity_max": "100"}
)
CONFIGURED = Subscription(id="kraken-ETHUSD", venue="kraken", symbol="ETHUSD", channels=(Channel.TRADES,), created_ns=0)


class Live:
    """Feeds that note what is wanted of them."""

    venues = ("binance", "kraken")

    def __init__(self) -> None:
        self.wanted: set[tuple[str, str, Channel]] = set()
        self.away = False

    def channels(self, venue: str) -> frozenset[Channel]:
        return frozenset(Channel) if venue == "kraken" else frozenset({Channel.TRADES})

    async def listing(self, venue: str) -> Sequence[Listed]:
        if self.away:
            raise Unavailable(f"{venue} does not say what it lists")
        tick, lot = Decimal("0.1"), Decimal("1e-8")
        words = {"BTCUSD": True, "ETHUSD": True, "OLDUSD": False}
        return [Listed(symbol, symbol.lower(), tick, lot, trading) for symbol, trading in words.items()]

    def want(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None:
        self.wanted |= {(venue, symbol, channel) for channel in channels}

    def unwant(self, venue: str, symbol: str, channels: Sequence[Channel]) -> None:
        self.wanted -= {(venue, symbol, channel) for channel in channels}


class House:
    """The doors of subscriptions over the twins."""

    def __init__(self, kit: FakeKit) -> None:
        self.kit = kit
        self.live = Live()
        store = SubscriptionStore(kit.valkey, kit.journal)
        listed, self.replayed = {"BTCUSD": INSTRUMENT}, dict[tuple[str, str], str]()
        self.subscriptions = Subscriptions(
            self.live, store, [CONFIGURED], 2, listed, lambda *market: self.replayed.get(market, ""), kit.clock, kit.log
        )
        self._doors = open_app("gateway", "0", list(subscriptions_of(self.subscriptions)), self._open)

    async def _open(self) -> None:
        return None

    async def ask(self, method: str, path: str, **words: Any) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._doors)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.request(method, path, **words)

    async def subscribe(self, **words: Any) -> httpx.Response:
        return await self.ask("POST", "/subscriptions", json=words)

    async def again(self) -> House:
        """The next process after a crash."""
        house = House(self.kit.restarted())
        await house.subscriptions.recover()
        return house


@pytest.fixture
async def house() -> House:
    house = House(fake_kit("gateway"))
    await house.subscriptions.recover()
    return house


FOLLOWED = {("kraken", "ETHUSD", Channel.TRADES)}


async def test_what_is_asked_for_is_followed_and_survives_a_crash(house: House) -> None:
    assert house.live.wanted == FOLLOWED
    answer = await house.subscribe(venue="Kraken", symbol="btc/usd")
    assert (answer.status_code, answer.headers["location"]) == (201, "/subscriptions/kraken-BTCUSD")
    body = answer.json()
    assert (body["id"], body["channels"], body["configured"]) == ("kraken-BTCUSD", list(Channel), False)
    wanted = FOLLOWED | {("kraken", "BTCUSD", channel) for channel in Channel}
    assert house.live.wanted == wanted

    after = await house.again()
    assert after.live.wanted == wanted
    listed = (await after.ask("GET", "/subscriptions")).json()
    assert [(one["id"], one["configured"]) for one in listed] == [("kraken-BTCUSD", False), ("kraken-ETHUSD", True)]


async def test_asked_again_it_is_one_and_has_the_channels_asked_for_last(house: House) -> None:
    first = await house.subscribe(venue="kraken", symbol="BTCUSD", channels=["trades"])
    again = await house.subscribe(venue="kraken", symbol="BTC-USD", channels=["TRADES"])
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await house.subscribe(venue="kraken", symbol="BTCUSD", channels=["BOOK"])
    assert other.json()["channels"] == ["BOOK"]
    assert house.live.wanted == FOLLOWED | {("kraken", "BTCUSD", Channel.BOOK)}
    assert (await house.again()).live.wanted == house.live.wanted


async def test_what_is_ended_stays_ended(house: House) -> None:
    await house.subscribe(venue="kraken", symbol="BTCUSD")
    ended = await house.ask("DELETE", "/subscriptions/kraken-BTCUSD")
    assert (ended.status_code, ended.json()["id"]) == (200, "kraken-BTCUSD")
    assert house.live.wanted == FOLLOWED
    assert (await house.ask("DELETE", "/subscriptions/kraken-BTCUSD")).status_code == 404
    assert (await house.again()).live.wanted == FOLLOWED


@pytest.mark.parametrize(
    ("words", "status", "field", "detail"),
    [
        ({"venue": "nowhere", "symbol": "X"}, 404, "venue", "known: binance, kraken"),
        ({"venue": "kraken", "symbol": "BTCUSDT"}, 422, "symbol", "near it are BTCUSD"),
        ({"venue": "kraken", "symbol": "OLDUSD"}, 422, "symbol", "is not trading"),
        ({"venue": "binance", "symbol": "BTCUSD", "channels": ["BOOK"]}, 422, "channels", "binance has no BOOK"),
        ({"venue": "kraken", "symbol": "BTCUSD", "channels": []}, 422, "channels", "at least 1"),
        ({"venue": "kraken", "symbol": "BTCUSD", "channels": ["NEWS"]}, 422, "channels", "TRADES"),
        ({"venue": "kraken", "symbol": "ETHUSD", "channels": ["BOOK"]}, 409, "channels", "feeds.kraken"),
        ({"venue": "kraken"}, 422, "symbol", "symbol"),
    ],
)
async def test_what_cannot_be_followed_is_refused_with_a_reason(
    house: House, words: dict[str, Any], status: int, field: str, detail: str
) -> None:
    answer = await house.subscribe(**words)
    problem = answer.json()
    assert answer.status_code == status
    assert field in problem["errors"][0]["field"]
    assert detail in problem["detail"]
    assert house.live.wanted == FOLLOWED


async def test_a_market_that_is_being_replayed_is_not_followed(house: House) -> None:
    house.replayed["kraken", "BTCUSD"] = "day-1"
    refused = await house.subscribe(venue="kraken", symbol="BTCUSD")
    assert (refused.status_code, refused.json()["code"]) == (409, "REPLAY_RUNNING")
    assert "DELETE /replays/day-1" in refused.json()["detail"]
    assert (await house.again()).live.wanted == house.live.wanted == FOLLOWED
    house.replayed.clear()
    assert (await house.subscribe(venue="kraken", symbol="BTCUSD")).status_code == 201


async def test_a_venue_takes_no_more_than_its_budget(house: House) -> None:
    assert (await house.subscribe(venue="kraken", symbol="BTCUSD")).status_code == 201
    await house.ask("DELETE", "/subscriptions/kraken-BTCUSD")
    house.subscriptions._venue_max = 1  # type: ignore[attr-defined]
    refused = await house.subscribe(venue="kraken", symbol="BTCUSD")
    assert (refused.status_code, refused.json()["code"]) == (409, "TOO_MANY_SUBSCRIPTIONS")
    venues = {one["venue"]: one for one in (await house.ask("GET", "/venues")).json()}
    assert (venues["kraken"]["subscriptions"], venues["kraken"]["subscriptions_max"]) == (1, 1)
    assert venues["binance"]["channels"] == ["TRADES"]


async def test_what_the_settings_follow_is_not_ended_here(house: House) -> None:
    refused = await house.ask("DELETE", "/subscriptions/kraken-ETHUSD")
    assert (refused.status_code, refused.json()["code"]) == (409, "CONFIGURED")
    assert house.live.wanted == FOLLOWED


async def test_a_listing_shows_where_an_instrument_of_ours_differs(house: House) -> None:
    listed = {one["symbol"]: one for one in (await house.ask("GET", "/venues/kraken/symbols")).json()}
    assert listed["BTCUSD"] == {
        "symbol": "BTCUSD",
        "word": "btcusd",
        "price_tick": "0.1",
        "lot": "0.00000001",
        "trading": True,
        "differs": {
            "price_tick": {"ours": "0.01", "theirs": "0.1"},
            "lot": {"ours": "0.001", "theirs": "0.00000001"},
        },
    }
    assert listed["ETHUSD"]["differs"] is None
    assert (await house.ask("GET", "/venues/nowhere/symbols")).status_code == 404
    house.live.away = True
    assert (await house.ask("GET", "/venues/kraken/symbols")).status_code == 503


async def test_nothing_is_followed_that_could_not_be_kept(house: House) -> None:
    house.kit.valkey.away = True
    answer = await house.subscribe(venue="kraken", symbol="BTCUSD")
    assert answer.status_code == 503
    assert house.live.wanted == FOLLOWED
    assert house.kit.journal.trouble is None


async def test_subscriptions_lie_in_a_real_valkey(valkey: Server, closing: Closer) -> None:
    kits = [fake_kit("gateway"), fake_kit("gateway")]
    for kit in kits:
        store = ValkeyStore(f"redis://127.0.0.1:{valkey.port}")
        kit.__dict__.update(valkey=store, journal=Journal(kit.name, store, kit.bus.store_all))
        closing(store.close)
        closing(kit.journal.close)
    first, second = House(kits[0]), House(kits[1])
    await first.subscribe(venue="kraken", symbol="BTCUSD", channels=["BOOK", "TRADES"])
    await second.subscriptions.recover()
    assert second.live.wanted == FOLLOWED | {("kraken", "BTCUSD", one) for one in (Channel.BOOK, Channel.TRADES)}
    assert (await second.ask("DELETE", "/subscriptions/kraken-BTCUSD")).status_code == 200
    await first.subscriptions.recover()
    assert first.live.wanted == FOLLOWED
