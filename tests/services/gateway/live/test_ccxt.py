"""Any other venue through ccxt: OKX, as ccxt speaks to it, over real sockets to a mock venue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from services.gateway.core.audience import Audience
from services.gateway.core.board import Board
from services.gateway.core.mirror import Mirrors, Terms
from services.gateway.feeds.live.rest import Backoff
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.venue_feeds import VenueFeeds
from services.gateway.feeds.venues import ccxt
from services.gateway.feeds.venues.ccxt import Ccxt, venues
from services.gateway.settings import Settings
from shared.contract.errors import Unavailable
from shared.contract.feeds import Channel, Listed, Topic
from shared.contract.market import FeedStatus
from shared.kit.fakes import FakeBus, FakeClock
from shared.kit.meter import Meter
from shared.kit.settings import SettingsError
from tests.conftest import Closer
from tests.mock_venues import okx
from tests.mock_venues.kraken import KrakenTongue
from tests.mock_venues.okx import OkxTongue
from tests.mock_venues.server import MockVenue
from tests.services.gateway.live.running import LiveFeed, until

BTC, ETH = "BTCUSDT", "ETHUSDT"
WORDS = ("BTC-USDT", "ETH-USDT")


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await until(lambda: asyncio.all_tasks() - before <= {asyncio.current_task()})


@pytest.fixture(autouse=True)
def a_quiet_channel_is_soon_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt, "STANDS_S", 0.01)


@pytest.fixture
def a_quiet_channel_is_never_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ccxt, "STANDS_S", 3600)


class CcxtFeed(LiveFeed):
    """OKX's feed through ccxt."""

    def __init__(self, venue: MockVenue) -> None:
        super().__init__(_Nothing())  # type: ignore[arg-type]
        backoff = partial(Backoff, random.Random(7), 0.01, 0.1)
        log = structlog.get_logger()
        self.ccxt = Ccxt("okx", venue.endpoints, self.feed, self.clock, log, backoff)
        self.feed.attach(self.ccxt)

    async def close(self) -> None:
        await self.source.close()
        await super().close()


class _Nothing:
    """In place of a dialect, where there is none."""

    def __init__(self) -> None:
        from services.gateway.feeds.venues.kraken import Kraken

        self.venue, self.depth_max, self.checksum, self.limits = "okx", None, None, Kraken.limits


async def venue_of(closing: Closer, count: int = 600) -> MockVenue:
    venue = await MockVenue(OkxTongue(WORDS), okx.made(WORDS, count)).start()
    closing(venue.close)
    await venue.play(30)
    return venue


async def followed(venue: MockVenue, closing: Closer) -> CcxtFeed:
    live = CcxtFeed(venue)
    closing(live.close)
    live.want(BTC, ETH)
    await until(lambda: len(venue.topics) == 6, 60)
    await until(lambda: is_level(live, venue))
    return live


def is_level(live: CcxtFeed, venue: MockVenue) -> bool:
    return all(_is_level(live, venue, symbol, word) for symbol, word in zip((BTC, ETH), WORDS, strict=True))


def _is_level(live: CcxtFeed, venue: MockVenue, symbol: str, word: str) -> bool:
    book = live.mirror.book(symbol)
    if book is None or book.waiting:
        return False
    ours, theirs = live.book(symbol), venue.tongue.books.ranked(word)  # type: ignore[attr-defined]
    return [_numbers(side) for side in ours] == [_numbers(side) for side in theirs]


def _numbers(levels: Any) -> list[tuple[Decimal, Decimal]]:
    return [(Decimal(price), Decimal(quantity)) for price, quantity in levels]


async def test_trades_tops_and_books_come_as_from_any_other_venue(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    assert live.status(BTC) is FeedStatus.LIVE
    before = venue.tongue.trades  # type: ignore[attr-defined]
    while await venue.play(6):
        await asyncio.sleep(0)
    await until(lambda: is_level(live, venue))
    await until(lambda: len(live.trade_ids(BTC)) + len(live.trade_ids(ETH)) == venue.tongue.trades - before)  # type: ignore[attr-defined]
    ids = live.trade_ids(BTC)
    assert len(set(ids)) == len(ids)
    frame = live.frames[0]
    assert (frame.price[0], frame.quantity[0], frame.side[0]) == (100.1, 0.5, 1)
    await until(lambda: any(str(quote.ask) == "100.1" for quote in live.quotes))


async def test_the_listing_has_ticks_and_lots(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = CcxtFeed(venue)
    closing(live.close)
    listed = await live.ccxt.listing()
    assert listed[0] == Listed(BTC, "BTC/USDT", Decimal("0.1"), Decimal("0.00000001"))
    assert [one.symbol for one in listed] == [BTC, ETH]


@pytest.mark.parametrize("fault", ["cut", "hang_up"])
async def test_a_connection_that_is_gone_is_made_anew(closing: Closer, fault: str) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await getattr(venue, fault)()
    await venue.play(60)
    await until(lambda: len(venue.topics) == 6)
    while await venue.play(6):
        await asyncio.sleep(0)
    await until(lambda: is_level(live, venue))
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    told = live.told(BTC)
    assert FeedStatus.DOWN in told[told.index(FeedStatus.LIVE) :]
    assert any("ccxt: NetworkError" in why or "ccxt: Exchange" in why for why in live.whys(BTC, FeedStatus.DOWN))


async def test_a_lost_change_is_found_by_ccxt_and_the_book_is_taken_anew(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    venue.order("drop", "books BTC-USDT")
    while await venue.play(6):
        await asyncio.sleep(0)
    await until(lambda: any("InvalidNonce" in why for why in live.whys(BTC, FeedStatus.DOWN)))
    await until(lambda: is_level(live, venue))
    assert FeedStatus.DOWN not in live.told(ETH)[1:]


def tongue(venue: MockVenue) -> OkxTongue:
    assert isinstance(venue.tongue, OkxTongue)
    return venue.tongue


async def play_all(venue: MockVenue) -> None:
    """Slowly enough for ccxt, which keeps the newest trades alone."""
    while await venue.play(6):
        await asyncio.sleep(0)


async def test_what_is_not_wanted_any_more_is_neither_watched_nor_sent(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    live.feed.unwant([Topic(channel, ETH) for channel in Channel])
    await until(lambda: not venue.topics & {"trades ETH-USDT", "books ETH-USDT"})
    before = tongue(venue).trades
    await play_all(venue)
    await until(lambda: len(live.trade_ids(BTC)) == (tongue(venue).trades - before) // 2)
    assert live.trade_ids(ETH) == []
    assert live.status(ETH) is FeedStatus.DOWN


async def test_what_is_given_up_and_wanted_again_comes_again(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    topics = [Topic(channel, ETH) for channel in Channel]
    live.feed.unwant(topics)
    live.feed.want(topics)
    await until(lambda: len(venue.topics) == 6 and "books ETH-USDT" in venue.topics)
    await venue.play(60)
    await until(lambda: live.status(ETH) is FeedStatus.LIVE)
    await play_all(venue)
    await until(lambda: is_level(live, venue))


async def test_a_book_from_before_a_cut_is_not_told_after_it(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await until(lambda: live.told(BTC)[-1] is FeedStatus.LIVE)
    tongue(venue).withheld.add("books")
    told = len(live.told(BTC))
    await venue.cut()
    await until(lambda: len(venue.topics) == 4)
    before = len(live.trade_ids(BTC))
    await venue.play(60)
    await until(lambda: len(live.trade_ids(BTC)) >= before + 10)
    assert FeedStatus.LIVE not in live.told(BTC)[told:]
    assert live.status(BTC) is not FeedStatus.LIVE
    tongue(venue).withheld.clear()
    await venue.cut()
    await until(lambda: len(venue.topics) == 6)
    await play_all(venue)
    await until(lambda: is_level(live, venue))
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)


@pytest.mark.usefixtures("a_quiet_channel_is_never_up")
@pytest.mark.parametrize("channel", ["trades", "books", "bbo-tbt"])
async def test_a_symbol_is_live_once_all_its_channels_come(closing: Closer, channel: str) -> None:
    venue = await venue_of(closing)
    tongue(venue).withheld.add(channel)
    live = CcxtFeed(venue)
    closing(live.close)
    live.want(BTC, ETH)
    await until(lambda: len(venue.topics) == 4, 60)
    await venue.play(60)
    await until(lambda: live.quotes if channel == "trades" else len(live.trade_ids(BTC)) >= 10)
    assert set(live.told(BTC)) == {FeedStatus.DOWN}
    live.feed.unwant([Topic(_CHANNELS[channel], symbol) for symbol in (BTC, ETH)])
    await play_all(venue)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)


_CHANNELS = {"trades": Channel.TRADES, "books": Channel.BOOK, "bbo-tbt": Channel.QUOTES}


async def test_a_quiet_channel_with_which_nothing_is_wrong_is_up(closing: Closer) -> None:
    venue = await venue_of(closing)
    tongue(venue).withheld.add("trades")
    live = CcxtFeed(venue)
    closing(live.close)
    live.want(BTC)
    await until(lambda: len(venue.topics) == 2, 60)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    assert live.trade_ids(BTC) == []


async def test_a_channel_wanted_besides_leaves_the_symbol_live(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = CcxtFeed(venue)
    closing(live.close)
    live.want(BTC, channels=[Channel.QUOTES, Channel.BOOK])
    await until(lambda: len(venue.topics) == 2, 60)
    await venue.play(30)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    live.want(BTC)
    assert live.status(BTC) is FeedStatus.DOWN
    await until(lambda: len(venue.topics) == 3)
    await venue.play(30)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    await until(lambda: live.trade_ids(BTC))


async def test_a_trade_that_cannot_be_read_costs_itself_alone(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)

    def worse(message: bytes) -> bytes:
        words = orjson.loads(message)
        good = words["data"][0]
        words["data"] = [good | {"tradeId": "bad", "px": "-1"}, good]
        return orjson.dumps(words)

    before, told = tongue(venue).trades, len(live.told(BTC))
    venue.order("alter", "trades BTC-USDT", alter=worse)
    await play_all(venue)
    await until(lambda: len(live.trade_ids(BTC)) == (tongue(venue).trades - before) // 2)
    assert live.meter.totals["feed_garbage"] == 1
    assert FeedStatus.DOWN not in live.told(BTC)[told:]


async def test_a_venue_has_the_channels_that_ccxt_has_of_it(closing: Closer) -> None:
    venue = await venue_of(closing)
    await venue.close()
    backoff = partial(Backoff, random.Random(7), 0.01, 0.1)
    live = CcxtFeed(venue)
    closing(live.close)
    source = Ccxt("bitstamp", venue.endpoints, live.feed, live.clock, structlog.get_logger(), backoff)
    closing(source.close)
    assert source.channels == frozenset(Channel)
    with pytest.raises(Unavailable):
        await source.listing()
    assert source.channels == {Channel.TRADES, Channel.BOOK}


async def test_a_venue_that_is_away_does_not_say_what_it_lists(closing: Closer) -> None:
    venue = await venue_of(closing)
    await venue.close()
    live = CcxtFeed(venue)
    closing(live.close)
    with pytest.raises(Unavailable, match="okx does not say what it lists"):
        await live.ccxt.listing()


def feeds_of(**settings: Any) -> VenueFeeds:
    board, meter, log = Board(stale_after_ns=1, markets_max=9), Meter("x"), structlog.get_logger()
    clock = FakeClock()
    outlet = Outlet(FakeBus(), clock, meter, board, Audience())
    knobs, mirrors = Settings(feeds=settings), Mirrors(Terms())
    return VenueFeeds(knobs, mirrors.make, outlet, board, clock, meter, log, Path("nowhere"))


def test_a_venue_that_nobody_knows_is_an_error_that_says_who_is_known() -> None:
    with pytest.raises(SettingsError, match=r"nowhere is no venue known here; known: binance, .*okx"):
        feeds_of(nowhere={"symbols": [BTC]})
    with pytest.raises(SettingsError, match=r"feeds.okx.capture: ccxt does not show us what the venue says"):
        feeds_of(okx={"symbols": [BTC], "capture": True})
    known = feeds_of().venues
    assert known[:4] == ("binance", "binance-usdm", "coinbase", "kraken")
    assert {"okx", "bybit", "bitget"} <= set(known)
    assert len(set(known)) == len(known) > 50


async def test_a_feed_that_follows_nothing_is_ended_in_time(closing: Closer) -> None:
    venue = await MockVenue(KrakenTongue()).start()
    closing(venue.close)
    at = venue.endpoints
    feeds = feeds_of(kraken={"stream_url": at.stream, "rest_url": at.rest})
    closing(feeds.close)
    before = asyncio.all_tasks()
    await feeds.listing("kraken")
    await until(lambda: len(asyncio.all_tasks() - before) == 2)
    feeds.look()
    assert isinstance(feeds._clock, FakeClock)
    feeds._clock.advance(3601)
    feeds.look()
    await until(lambda: asyncio.all_tasks() <= before)
    assert len(await feeds.listing("kraken")) == 1
    assert len(venue.requests) == 2


def test_ccxt_is_found_without_being_loaded() -> None:
    assert "okx" in venues()
