"""Coinbase and Kraken live, against mock venues that go wrong in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from services.gateway.feeds.live import feed
from services.gateway.feeds.venues.coinbase import Coinbase
from services.gateway.feeds.venues.kraken import Kraken
from shared.contract.errors import Unavailable
from shared.contract.feeds import Channel, Topic
from shared.contract.market import FeedStatus
from tests.conftest import Closer
from tests.mock_venues import coinbase, kraken
from tests.mock_venues.coinbase import CoinbaseTongue
from tests.mock_venues.kraken import KrakenTongue
from tests.mock_venues.server import MockVenue
from tests.services.gateway.live.running import ImpatientClock, LiveFeed, impatient, until
from tests.services.gateway.venue_recordings import said

BTC, ETH = "BTCUSD", "ETHUSD"
WORDS = {"kraken": {BTC: "XBT/USD", ETH: "ETH/USD"}, "coinbase": {BTC: "BTC-USD", ETH: "ETH-USD"}}
BOOK = {"kraken": "book XBT/USD", "coinbase": "level2_batch BTC-USD"}
TOPICS = {"kraken": 6, "coinbase": 8}


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert left == set()


class House:
    """A mock venue and the feed that follows it."""

    def __init__(self, name: str, venue: MockVenue, live: LiveFeed) -> None:
        self.name, self.venue, self.live = name, venue, live

    @property
    def tongue(self) -> Any:
        return self.venue.tongue

    def is_level(self, *symbols: str) -> bool:
        """These books are whole, and are the venue's."""
        return all(self._is_level(symbol) for symbol in symbols or (BTC, ETH))

    def _is_level(self, symbol: str) -> bool:
        book = self.live.mirror.book(symbol)
        return bool(book) and not book.waiting and self.live.book(symbol) == self.ranked(symbol)

    def ranked(self, symbol: str) -> Any:
        return self.tongue.books.ranked(WORDS[self.name].get(symbol, symbol))

    async def level(self, *symbols: str) -> None:
        await until(lambda: self.is_level(*symbols))


async def house_of(
    name: str, closing: Closer, count: int = 600, said: Sequence[bytes] | None = None, silence_s: float = 10
) -> House:
    words = tuple(WORDS[name].values())
    if name == "kraken":
        venue, kind = MockVenue(KrakenTongue(words), said or kraken.made(words, count)), Kraken
    else:
        venue, kind = MockVenue(CoinbaseTongue(words), said or coinbase.made(words, count)), Coinbase
    await venue.start()
    closing(venue.close)
    # The first change makes a book, with which later subscriptions begin.
    await venue.play(8)
    live = LiveFeed(impatient(kind(venue.endpoints), silence_s=silence_s))
    closing(live.close)
    live.want(BTC, ETH)
    await until(lambda: len(venue.topics) == TOPICS[name])
    house = House(name, venue, live)
    await house.level()
    return house


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
async def test_an_undisturbed_recording_gives_every_trade_and_the_venues_books(closing: Closer, name: str) -> None:
    house = await house_of(name, closing)
    before = len(house.tongue.trades[WORDS[name][BTC]]) if name == "coinbase" else house.tongue.trades["XBT/USD"]
    await house.venue.play()
    await house.level()
    trades = house.tongue.trades[WORDS[name][BTC]]
    expected = (trades if name == "kraken" else len(trades)) - before
    await until(lambda: len(house.live.trade_ids(BTC)) == expected)
    assert len(set(house.live.trade_ids(BTC))) == expected
    assert FeedStatus.GAP not in house.live.told(BTC)
    assert house.live.status(BTC) is FeedStatus.LIVE
    await until(lambda: str(house.live.quotes[-1].bid) in ("99.99", "99.99000"))


@pytest.mark.parametrize("kind", ["drop", "alter"])
async def test_krakens_checksum_finds_what_is_lost_or_wrong_and_the_book_is_taken_anew(
    closing: Closer, kind: str
) -> None:
    house = await house_of("kraken", closing)
    live, venue = house.live, house.venue
    venue.order(kind, "book XBT/USD", alter=lambda message: message.replace(b'"c":"', b'"c":"1'))
    await venue.play(120)
    await house.level()
    await venue.play()
    await house.level()
    assert live.whys(BTC, FeedStatus.GAP) == ["the book's checksum does not match"]
    assert FeedStatus.GAP not in live.told(ETH)
    assert FeedStatus.RESYNC not in live.told(ETH)[live.told(ETH).index(FeedStatus.LIVE) :]
    await until(lambda: live.told(BTC)[-1] is FeedStatus.LIVE)
    asked = [word for word in venue.words if '"unsubscribe"' in word]
    assert len(asked) == 1
    assert '["XBT/USD"]' in asked[0]


async def test_what_coinbase_has_lost_shows_in_its_trades_and_the_book_is_taken_anew(closing: Closer) -> None:
    house = await house_of("coinbase", closing)
    live, venue = house.live, house.venue
    venue.order("drop", "matches BTC-USD")
    venue.order("drop", "level2_batch BTC-USD")
    await venue.play()
    await house.level()
    await until(lambda: ["is missing" in why for why in live.whys(BTC, FeedStatus.GAP)] == [True])
    assert FeedStatus.GAP not in live.told(ETH)
    await until(lambda: live.told(BTC)[-1] is FeedStatus.LIVE)


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
@pytest.mark.parametrize("kind", ["double", "garble"])
async def test_what_comes_twice_or_cannot_be_read_changes_nothing(closing: Closer, name: str, kind: str) -> None:
    house = await house_of(name, closing)
    house.venue.order(kind, BOOK[name], count=3)
    await house.venue.play()
    await house.level()
    assert FeedStatus.GAP not in house.live.told(BTC)
    if kind == "garble":
        assert house.live.meter.totals["feed_garbage"] == 3 * 5


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
@pytest.mark.parametrize("fault", ["cut", "hang_up", "silence"])
async def test_a_connection_that_is_gone_is_made_anew_and_says_what_it_missed(
    closing: Closer, name: str, fault: str
) -> None:
    house = await house_of(name, closing, silence_s=0.6 if fault == "silence" else 10)
    live, venue = house.live, house.venue
    if (begun := getattr(venue, fault)()) is not None:
        await begun
    await venue.play(120)
    await until(lambda: venue.joined >= 2 and len(venue.topics) == TOPICS[name])
    await venue.play()
    await house.level()
    assert FeedStatus.DOWN in live.told(BTC)[1:]
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    ids = live.trade_ids(BTC)
    assert len(set(ids)) == len(ids)
    if name == "coinbase":
        await until(lambda: any("missing" in why for why in live.whys(BTC, FeedStatus.GAP)))


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
async def test_a_symbol_that_is_not_listed_stays_down_and_says_so(closing: Closer, name: str) -> None:
    house = await house_of(name, closing)
    house.live.want("NOPE", channels=[Channel.TRADES])
    await until(lambda: house.live.whys("NOPE", FeedStatus.DOWN)[-1:] == [f"{name} lists no NOPE"])
    house.live.feed.unwant([Topic(channel, ETH) for channel in Channel])
    await until(lambda: len(house.venue.topics) == TOPICS[name] // 2)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("kraken", {"result": []}),
        ("kraken", {"result": {"XBTUSD": {"wsname": "XBT/USD", "tick_size": "x", "lot_decimals": 8}}}),
        ("coinbase", [{"id": "BTC-USD"}]),
        ("coinbase", [7]),
    ],
)
async def test_an_odd_listing_is_asked_for_again(
    closing: Closer, name: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tongue, kind = (KrakenTongue(), Kraken) if name == "kraken" else (CoinbaseTongue(), Coinbase)
    venue = await MockVenue(tongue).start()
    closing(venue.close)

    def rest(path: str, query: dict[str, str]) -> Any:
        return answer

    monkeypatch.setattr(tongue, "rest", rest)
    live = LiveFeed(impatient(kind(venue.endpoints)), clock=ImpatientClock())
    closing(live.close)
    live.want(BTC)
    await until(lambda: any("listing cannot be read" in why for why in live.whys(BTC, FeedStatus.DOWN)))
    with pytest.raises(Unavailable):
        await live.feed.listing()
    monkeypatch.undo()
    await until(lambda: len(venue.topics) == TOPICS[name] // 2)


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
async def test_a_followed_symbol_that_is_listed_no_more_is_its_own_trouble(
    closing: Closer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await house_of(name, closing)
    live, venue = house.live, house.venue
    monkeypatch.setattr(house.tongue, "pairs" if name == "kraken" else "products", (WORDS[name][BTC],))
    monkeypatch.setattr(feed, "LISTING_AGE_NS", 0)
    assert set(await live.feed.listing()) == {BTC}
    await venue.cut()
    await until(lambda: len(venue.topics) == TOPICS[name] // 2)
    await venue.play()
    await house.level(BTC)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    assert live.status(ETH) is not FeedStatus.LIVE


@pytest.mark.parametrize("name", ["kraken", "coinbase"])
async def test_a_symbol_that_is_refused_is_down_and_says_so(
    closing: Closer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await house_of(name, closing)
    live, venue = house.live, house.venue
    monkeypatch.setattr(house.tongue, "pairs" if name == "kraken" else "products", (WORDS[name][BTC],))
    await venue.cut()
    await until(lambda: "the venue refused to tell of BOOK" in live.board.market(ETH).feed.why)
    await until(lambda: len(venue.topics) == TOPICS[name] // 2)
    await venue.play()
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    assert live.status(ETH) is FeedStatus.DOWN
    live.feed.unwant([Topic(Channel.BOOK, ETH)])
    assert "to tell of TRADES" in live.board.market(ETH).feed.why
    assert "BOOK" not in live.board.market(ETH).feed.why
    assert live.meter.totals["feed_subscriptions_denied"] >= 3


@pytest.mark.recorded
async def test_krakens_recording_with_faults_ends_in_the_undisturbed_books(closing: Closer, recorded: Path) -> None:
    messages = [message for _, message in said(recorded, "kraken") if message.startswith(b"[")]
    pairs = ("WAVES/EUR", "XMR/USD", "KSM/XBT", "GRT/ETH", "SC/EUR", "ETH/CHF", "OCEAN/XBT", "OMG/USD")
    pairs += ("XBT/CHF", "ADA/XBT")
    ours = [pair.replace("XBT", "BTC").replace("/", "") for pair in pairs]
    venue = await MockVenue(KrakenTongue(pairs), messages).start()
    closing(venue.close)
    live = LiveFeed(impatient(Kraken(venue.endpoints)))
    closing(live.close)
    live.want(*ours, channels=[Channel.BOOK])
    await until(lambda: len(venue.topics) == len(pairs))
    for fault in ("drop", "double", "swap", "garble", "drop"):
        await venue.play(300)
        venue.order(fault, "book SC/EUR")
        venue.order(fault, "book ETH/CHF")
    await venue.play(500)
    await venue.cut()
    await venue.play(300)
    await until(lambda: len(venue.topics) == len(pairs))
    await venue.play()

    def is_level(pair: str, symbol: str) -> bool:
        book = live.mirror.book(symbol)
        return bool(book) and not book.waiting and live.book(symbol) == venue.tongue.books.ranked(pair)  # type: ignore[attr-defined]

    await until(lambda: all(map(is_level, pairs, ours)))
    assert set(live.whys("SCEUR", FeedStatus.GAP)) <= {"the book's checksum does not match"}
    assert {symbol for symbol in ours if live.whys(symbol, FeedStatus.GAP)} <= {"SCEUR", "ETHCHF"}


@pytest.mark.recorded
async def test_coinbases_recording_over_a_socket_ends_in_the_undisturbed_books(closing: Closer, recorded: Path) -> None:
    messages = [message for _, message in said(recorded, "coinbase") if b'"subscriptions"' not in message[:30]]
    products = ("SKL-USD", "SKL-BTC", "BAND-GBP", "NMR-EUR", "BAND-BTC", "YFI-BTC", "DASH-BTC", "NU-GBP", "CRV-EUR")
    products += ("SKL-GBP",)
    ours = [product.replace("-", "") for product in products]
    venue = await MockVenue(CoinbaseTongue(products), messages).start()
    closing(venue.close)
    live = LiveFeed(impatient(Coinbase(venue.endpoints)))
    closing(live.close)
    live.want(*ours)
    await until(lambda: len(venue.topics) == 4 * len(products))
    await venue.play(4000)
    await venue.cut()
    await venue.play(1000)
    await until(lambda: len(venue.topics) == 4 * len(products))
    await venue.play()

    def is_level(product: str, symbol: str) -> bool:
        book = live.mirror.book(symbol)
        return bool(book) and not book.waiting and live.book(symbol) == venue.tongue.books.ranked(product)  # type: ignore[attr-defined]

    await until(lambda: all(map(is_level, products, ours)))
    for symbol in ours:
        assert len(set(live.trade_ids(symbol))) == len(live.trade_ids(symbol))
