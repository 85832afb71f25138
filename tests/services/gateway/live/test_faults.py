"""A live feed over real sockets, and everything that can go wrong with a venue: afterwards all is as if it had not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from services.gateway.feeds.live import feed
from services.gateway.feeds.live.connections import Connections
from services.gateway.feeds.venues.binance import Binance, BinanceFutures
from shared.contract.errors import Unavailable
from shared.contract.feeds import Channel, Topic
from shared.contract.market import FeedStatus
from tests.conftest import Closer
from tests.mock_venues.binance import BinanceTongue, made, recording
from tests.mock_venues.server import MockVenue
from tests.services.gateway.live.running import ImpatientClock, LiveFeed, impatient, until

BTC, ETH = "BTCUSDT", "ETHUSDT"
Fault = Callable[[MockVenue], Awaitable[None] | None]


@pytest.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert left == set()


async def venue_of(closing: Closer, *, futures: bool = False, count: int = 600) -> MockVenue:
    venue = await MockVenue(
        BinanceTongue((BTC, ETH), futures=futures), made((BTC, ETH), count, futures=futures)
    ).start()
    closing(venue.close)
    return venue


async def followed(
    venue: MockVenue, closing: Closer, *, futures: bool = False, stall_s: float = 60, silence_s: float = 10
) -> LiveFeed:
    dialect = (BinanceFutures if futures else Binance)(venue.endpoints)
    live = LiveFeed(impatient(dialect, silence_s=silence_s), stall_s=stall_s)
    closing(live.close)
    live.want(BTC, ETH)
    await until(lambda: len(venue.topics) == 6)
    return live


def tongue(venue: MockVenue) -> BinanceTongue:
    assert isinstance(venue.tongue, BinanceTongue)
    return venue.tongue


async def level_again(live: LiveFeed, venue: MockVenue, *symbols: str) -> None:
    """Both books are live and have come to the venue's newest state."""
    at = tongue(venue).last
    await until(lambda: all(live.last(symbol) == at[symbol] for symbol in symbols or (BTC, ETH)))


def assert_books_equal(live: LiveFeed, venue: MockVenue) -> None:
    for symbol in (BTC, ETH):
        assert live.book(symbol) == tongue(venue).ranked(symbol)


def assert_trades_once(live: LiveFeed) -> None:
    for symbol in (BTC, ETH):
        ids = live.trade_ids(symbol)
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("futures", [False, True], ids=["spot", "futures"])
async def test_an_undisturbed_recording_gives_every_trade_and_the_venues_books(closing: Closer, futures: bool) -> None:
    venue = await venue_of(closing, futures=futures)
    live = await followed(venue, closing, futures=futures)
    await venue.play()
    await level_again(live, venue)
    await until(lambda: len(live.trade_ids(BTC)) == len(tongue(venue).trades[BTC]))
    await until(lambda: len(live.trade_ids(ETH)) == len(tongue(venue).trades[ETH]))
    assert_books_equal(live, venue)
    assert_trades_once(live)
    assert FeedStatus.GAP not in live.told(BTC)
    assert live.status(BTC) is FeedStatus.LIVE
    await until(lambda: live.quotes)
    assert live.quotes[-1].bid is not None


@pytest.mark.parametrize(
    ("kind", "topic", "why"),
    [
        ("drop", "btcusdt@depth", "of the book are missing"),
        ("swap", "btcusdt@depth", "of the book are missing"),
        ("drop", "btcusdt@trade", "is missing"),
        ("swap", "btcusdt@trade", "is missing"),
    ],
)
async def test_what_is_lost_or_out_of_order_is_said_and_made_good(
    closing: Closer, kind: str, topic: str, why: str
) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    await until(lambda: live.told(ETH)[-1:] == live.told(BTC)[-1:] == [FeedStatus.LIVE])
    before_btc, before = len(live.told(BTC)), len(live.told(ETH))
    venue.order(kind, topic)
    await venue.play()
    await level_again(live, venue)
    assert_books_equal(live, venue)
    assert_trades_once(live)
    await until(lambda: [why in told for told in live.whys(BTC, FeedStatus.GAP)] == [True])
    assert live.told(ETH)[before:] == []
    await until(lambda: live.told(BTC)[-1] is FeedStatus.LIVE)
    resync = [FeedStatus.RESYNC] if "depth" in topic else []
    assert live.told(BTC)[before_btc:] == [FeedStatus.GAP, *resync, FeedStatus.LIVE]
    assert live.meter.totals["feed_gaps"] == 1


@pytest.mark.parametrize("topic", ["btcusdt@depth", "btcusdt@trade", "btcusdt@bookTicker"])
@pytest.mark.parametrize("kind", ["double", "garble"])
async def test_what_comes_twice_or_cannot_be_read_changes_nothing(closing: Closer, kind: str, topic: str) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    venue.order(kind, topic, count=3)
    await venue.play()
    await level_again(live, venue)
    await until(lambda: len(live.trade_ids(BTC)) == len(tongue(venue).trades[BTC]))
    assert_books_equal(live, venue)
    assert_trades_once(live)
    assert FeedStatus.GAP not in live.told(BTC)
    if kind == "garble":
        assert live.meter.totals["feed_garbage"] == 3 * 5


async def _cut(venue: MockVenue) -> None:
    await venue.cut()


async def _hang_up(venue: MockVenue) -> None:
    await venue.hang_up()


def _silence(venue: MockVenue) -> None:
    venue.silence()


@pytest.mark.parametrize("futures", [False, True], ids=["spot", "futures"])
@pytest.mark.parametrize("fault", [_cut, _hang_up, _silence])
async def test_a_connection_that_is_gone_or_half_open_is_made_anew(
    closing: Closer, fault: Fault, futures: bool
) -> None:
    venue = await venue_of(closing, futures=futures)
    live = await followed(venue, closing, futures=futures, silence_s=0.6 if fault is _silence else 10)
    await venue.play(60)
    await level_again(live, venue)
    await venue.play(60)
    await until(lambda: live.told(BTC)[-1] is FeedStatus.LIVE)
    await level_again(live, venue)
    if (begun := fault(venue)) is not None:
        await begun
    await venue.play(120)
    await until(lambda: venue.joined >= (4 if futures else 2) and len(venue.topics) == 6)
    await venue.play()
    await level_again(live, venue)
    assert_books_equal(live, venue)
    assert_trades_once(live)
    told = live.told(BTC)
    down = len(told) - told[::-1].index(FeedStatus.DOWN)
    assert told[:down].count(FeedStatus.LIVE) >= 1
    assert told[down:].count(FeedStatus.RESYNC) >= 1
    # The trades of the time between are missing, and that is said.
    await until(lambda: any("are missing" in why for why in live.whys(BTC, FeedStatus.GAP)))
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)


async def test_a_stalled_connection_that_goes_on_loses_nothing(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    venue.stall()
    await venue.play(120)
    await venue.resume()
    await venue.play()
    await level_again(live, venue)
    assert_books_equal(live, venue)
    assert FeedStatus.GAP not in live.told(BTC)


async def test_a_connection_that_only_answers_pings_is_given_up(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing, stall_s=0.2)
    await venue.play(120)
    await level_again(live, venue)
    venue.stall()
    await until(lambda: venue.joined >= 2 and len(venue.topics) == 6)
    assert "nothing heard for 0.2 s" in live.whys(BTC, FeedStatus.DOWN)[-1]


async def test_a_venue_that_asks_us_to_wait_is_waited_for(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    asked = len(venue.requests)
    venue.limit(retry_after="1")
    venue.order("drop", "btcusdt@depth")
    begun_ns = live.clock.monotonic_ns()
    await venue.play()
    await level_again(live, venue)
    assert live.clock.monotonic_ns() - begun_ns > 0.9e9
    assert len(venue.requests) >= asked + 2
    assert live.meter.totals["feed_told_to_wait"] == 1
    assert_books_equal(live, venue)
    assert FeedStatus.GAP not in live.told(ETH)


async def test_a_whole_book_that_comes_late_is_joined_with_the_changes_meanwhile(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    venue.hold()
    venue.order("drop", "btcusdt@depth")
    asked = len(venue.requests)
    await venue.play(120)
    await until(lambda: len(venue.requests) > asked)
    await venue.play(120)
    await level_again(live, venue, ETH)
    assert live.status(BTC) is FeedStatus.RESYNC
    venue.release()
    await level_again(live, venue, BTC)
    assert_books_equal(live, venue)


async def test_a_listing_that_cannot_be_had_is_asked_for_until_it_can(closing: Closer) -> None:
    venue = await venue_of(closing)
    venue.fail()
    live = LiveFeed(impatient(Binance(venue.endpoints)))
    closing(live.close)
    live.want(BTC)
    await until(lambda: any("listing cannot be had" in why for why in live.whys(BTC, FeedStatus.DOWN)))
    await until(lambda: len(venue.topics) == 3)


async def test_a_symbol_that_is_not_listed_stays_down_and_says_so(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = LiveFeed(impatient(Binance(venue.endpoints)))
    closing(live.close)
    live.want(BTC, "NOPE")
    await until(lambda: len(venue.topics) == 3)
    await until(lambda: live.whys("NOPE", FeedStatus.DOWN)[-1:] == ["binance lists no NOPE"])


async def test_a_venue_that_is_not_there_yet_is_found_when_it_comes(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.close()
    await until(lambda: live.status(BTC) is FeedStatus.DOWN)
    await until(lambda: live.meter.totals["feed_disconnects"] >= 3)
    await venue.start()
    await until(lambda: len(venue.topics) == 6)


async def test_topics_that_are_no_longer_wanted_are_ended_and_the_others_stay(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    live.feed.unwant([Topic(channel, ETH) for channel in Channel])
    await until(lambda: venue.topics == {"btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"})
    await venue.play()
    await level_again(live, venue, BTC)
    assert live.trade_ids(ETH) == []
    assert live.status(ETH) is FeedStatus.DOWN
    live.feed.unwant([Topic(channel, BTC) for channel in Channel])
    await until(lambda: venue.clients == [])


async def test_a_symbol_given_up_and_wanted_again_at_once_comes_again(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    topics = [Topic(channel, ETH) for channel in Channel]
    live.feed.unwant(topics)
    live.feed.want(topics)
    assert live.status(ETH) is FeedStatus.DOWN
    await until(lambda: any("UNSUBSCRIBE" in word for word in venue.words) and len(venue.topics) == 6)
    await venue.play()
    await level_again(live, venue)
    await until(lambda: live.status(ETH) is FeedStatus.LIVE)
    assert_books_equal(live, venue)


async def test_other_channels_of_a_followed_symbol_are_taken_up_and_given_up(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = LiveFeed(impatient(Binance(venue.endpoints)))
    closing(live.close)
    live.want(BTC, channels=[Channel.TRADES])
    await until(lambda: len(venue.topics) == 1)
    await venue.play(60)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE)
    live.want(BTC)
    assert live.status(BTC) is FeedStatus.DOWN
    await until(lambda: len(venue.topics) == 3)
    await venue.play(60)
    await level_again(live, venue, BTC)
    await until(lambda: live.status(BTC) is FeedStatus.LIVE and live.quotes)
    assert live.board.live_quotes(live.clock.now_ns())
    live.feed.unwant([Topic(Channel.BOOK, BTC), Topic(Channel.QUOTES, BTC)])
    await until(lambda: venue.topics == {"btcusdt@trade"})
    before = len(live.trade_ids(BTC))
    await venue.play()
    await until(lambda: len(live.trade_ids(BTC)) > before)
    assert live.status(BTC) is FeedStatus.LIVE
    # Nobody tells of it any more, so that the last one says nothing of now.
    assert live.board.live_quotes(live.clock.now_ns()) == []


async def test_a_book_that_is_given_up_while_it_is_awaited_troubles_nobody(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    venue.hold()
    venue.order("drop", "btcusdt@depth")
    await venue.play(120)
    await until(lambda: live.status(BTC) is FeedStatus.RESYNC)
    live.feed.unwant([Topic(Channel.BOOK, BTC)])
    assert live.status(BTC) is FeedStatus.LIVE
    venue.release()


@pytest.mark.parametrize("answer", [{"symbols": []}, {"symbols": [{"symbol": "$"}]}, {"symbols": 7}])
async def test_a_listing_that_is_none_is_asked_for_again(
    closing: Closer, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = await venue_of(closing)

    def rest(path: str, query: dict[str, str]) -> Any:
        return answer

    monkeypatch.setattr(venue.tongue, "rest", rest)
    live = LiveFeed(impatient(Binance(venue.endpoints)), clock=ImpatientClock())
    closing(live.close)
    live.want(BTC)
    await until(lambda: any("listing cannot be had" in why for why in live.whys(BTC, FeedStatus.DOWN)))
    with pytest.raises(Unavailable):
        await live.feed.listing()
    monkeypatch.undo()
    await until(lambda: len(venue.topics) == 3)


async def test_a_door_does_not_wait_for_a_listing_for_ever(closing: Closer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LISTING_WAIT_S", 0.01)
    venue = await venue_of(closing)
    live = LiveFeed(impatient(Binance(venue.endpoints)))
    closing(live.close)
    venue.hold()
    with pytest.raises(Unavailable, match="has not said yet what it lists"):
        await live.feed.listing()
    venue.release()
    await until(lambda: live.feed._listed)
    monkeypatch.setattr(feed, "LISTING_AGE_NS", 0)
    venue.hold()
    assert set(await live.feed.listing()) == {BTC, ETH}
    assert len(venue.requests) == 2
    venue.release()


async def test_a_source_that_cannot_be_closed_costs_no_ticks(closing: Closer, monkeypatch: pytest.MonkeyPatch) -> None:
    venue = await venue_of(closing)
    live = await followed(venue, closing)
    await venue.play()
    await level_again(live, venue)

    async def close() -> None:
        await Connections.close(live.source)
        raise RuntimeError("no")

    monkeypatch.setattr(live.source, "close", close)
    await live.close()
    assert len(live.trade_ids(BTC)) == len(tongue(venue).trades[BTC])
    assert live.told(BTC)[-1] is FeedStatus.DOWN


async def test_more_topics_than_one_connection_carries_go_over_several(closing: Closer) -> None:
    venue = await venue_of(closing)
    live = LiveFeed(impatient(Binance(venue.endpoints), topics_per_connection=2, topics_per_word=1))
    closing(live.close)
    live.want(BTC, ETH)
    await until(lambda: len(venue.topics) == 6)
    assert len(venue.clients) == 3
    assert len(venue.words) == 6
    await venue.play()
    await level_again(live, venue)
    assert_books_equal(live, venue)


async def test_ticks_wait_while_jetstream_is_away_and_none_is_lost(closing: Closer) -> None:
    venue = await venue_of(closing, count=1200)
    live = await followed(venue, closing)
    await venue.play(120)
    await level_again(live, venue)
    said = len(live.trade_ids(BTC))
    live.bus.away = True
    await venue.play(600)
    await level_again(live, venue)
    live.bus.away = False
    await venue.play()
    await until(lambda: len(live.trade_ids(BTC)) == len(tongue(venue).trades[BTC]))
    assert len(live.trade_ids(BTC)) > said
    assert "live_ticks_dropped" not in live.meter.totals
    assert_trades_once(live)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "futures"), [("spot_btcusdt_20240809", False), ("usdm_btcusdt_20240808", True)], ids=["spot", "futures"]
)
async def test_a_recorded_stretch_with_every_fault_ends_in_the_undisturbed_book(
    closing: Closer, recorded: Path, name: str, futures: bool
) -> None:
    said = list(recording(recorded / "binance" / f"{name}.jsonl.gz", 6000))
    venue = await MockVenue(BinanceTongue((BTC,), futures=futures), said).start()
    closing(venue.close)
    live = LiveFeed(impatient((BinanceFutures if futures else Binance)(venue.endpoints)))
    closing(live.close)
    live.want(BTC)
    await until(lambda: len(venue.topics) == 3)
    for fault in ("drop", "double", "swap", "garble"):
        await venue.play(500)
        await until(lambda: live.last(BTC) == tongue(venue).last[BTC])
        venue.order(fault, "btcusdt@depth")
        venue.order(fault, "btcusdt@trade")
    await venue.play(500)
    venue.limit()
    await venue.cut()
    await venue.play(100)
    await until(lambda: len(venue.topics) == 3)
    await venue.play()
    await until(lambda: live.last(BTC) == tongue(venue).last[BTC])
    assert live.book(BTC) == tongue(venue).ranked(BTC)
    ids = live.trade_ids(BTC)
    assert len(set(ids)) == len(ids)
    undisturbed = [str(number) for number in tongue(venue).trades[BTC]]
    lost = set(undisturbed) - set(ids)
    await until(lambda: sum("of the book" in why for why in live.whys(BTC, FeedStatus.GAP)) == 2)
    missing = [why for why in live.whys(BTC, FeedStatus.GAP) if why.startswith("trade")]
    assert lost <= {id for why in missing for id in _named(why)}
    assert live.meter.totals["feed_garbage"] == 10


def _named(why: str) -> set[str]:
    """The trades that a report says are missing."""
    words = why.split()
    return {words[1]} if words[0] == "trade" else {str(n) for n in range(int(words[1]), int(words[3]) + 1)}
