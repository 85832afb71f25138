"""Any other venue through ccxt: OKX, as ccxt speaks to it, over real sockets to a mock venue."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from services.gateway.core.audience import Audience
from services.gateway.core.board import Board
from services.gateway.core.mirror import Mirrors, Terms
from services.gateway.feeds.live.rest import Backoff
from services.gateway.feeds.outlet import Outlet
from services.gateway.feeds.venue_feeds import VenueFeeds
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


async def test_what_is_not_wanted_any_more_is_not_watched(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    live.feed.unwant([Topic(channel, ETH) for channel in Channel])
    while await venue.play(6):
        await asyncio.sleep(0)
    assert live.trade_ids(ETH) == []
    assert live.status(ETH) is FeedStatus.DOWN


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


def test_ccxt_is_found_without_being_loaded() -> None:
    assert "okx" in venues()
