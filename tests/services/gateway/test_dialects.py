"""Coinbase's and Kraken's words, read; proven on what the two really said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.core.mirror import Mirror, Terms
from services.gateway.feeds.live.dialect import Dialect
from services.gateway.feeds.live.reading import nanos
from services.gateway.feeds.venues.coinbase import Coinbase
from services.gateway.feeds.venues.kraken import Kraken
from shared.contract.feeds import (
    BookChange,
    BookWhole,
    Channel,
    Denied,
    Level,
    Listed,
    Reached,
    Top,
    Topic,
    Trade,
)
from shared.contract.market import FeedStatus
from tests.services.gateway.venue_recordings import listing, said

NOW_NS = 1_700_000_000_000_000_000


def read(dialect: Dialect, *messages: Any) -> Any:
    raw = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in messages]
    return dialect.reader().read(raw, [NOW_NS] * len(raw))


def mirror_of(dialect: Dialect) -> Mirror:
    return Mirror(Terms(), dialect.depth_max, dialect.checksum)


def depth(mirror: Mirror, symbol: str, levels: int) -> tuple[Sequence[Level], Sequence[Level]]:
    book = mirror.book(symbol)
    assert book is not None
    return book.levels.depth(levels)


@pytest.mark.recorded
def test_every_checksum_that_kraken_said_holds(recorded: Path) -> None:
    dialect = Kraken()
    mirror, reader, checked = mirror_of(dialect), dialect.reader(), 0
    messages = said(recorded, "kraken")
    symbols = {one.symbol for one in read(dialect, *[m for _, m in messages]).books}
    assert len(symbols) == 10
    assert {"ADABTC", "XMRUSD", "BTCCHF"} < symbols
    for symbol in symbols:
        mirror.want(symbol, Channel.BOOK)
    mirror.begin(symbols, 0)
    for at_ns, message in messages:
        batch = reader.read([message], [at_ns])
        assert batch.garbage == 0, batch.reason
        checked += sum(isinstance(one, BookChange) and one.checksum is not None for one in batch.books)
        taken = mirror.take(batch, at_ns)
        assert [news for news in taken.news if news.status is FeedStatus.GAP] == []
    assert checked == 4269
    assert all(not (book := mirror.book(symbol)) or not book.waiting for symbol in symbols)
    assert all(len(side) == 10 for symbol in symbols for side in depth(mirror, symbol, 10))


@pytest.mark.recorded
def test_one_digit_changed_in_krakens_book_is_found_out(recorded: Path) -> None:
    dialect = Kraken()
    mirror = mirror_of(dialect)
    mirror.want("SCEUR", Channel.BOOK)
    mirror.begin(["SCEUR"], 0)
    gaps: list[str] = []
    for place, (at_ns, message) in enumerate(said(recorded, "kraken")):
        spoilt = message.replace(b'"0.043150"', b'"0.043160"') if place > 30 else message
        taken = mirror.take(dialect.reader().read([spoilt], [at_ns]), at_ns)
        gaps += [news.why for news in taken.news if news.status is FeedStatus.GAP]
    assert gaps == ["the book's checksum does not match"]


@pytest.mark.recorded
def test_coinbases_books_never_cross_and_its_trades_are_counted_through(recorded: Path) -> None:
    dialect = Coinbase()
    messages = said(recorded, "coinbase")
    whole = read(dialect, *[message for _, message in messages])
    assert (len(whole.trades), len(whole.tops), len(whole.books), whole.garbage) == (97, 107, 9729, 0)
    assert whole.other == 0
    symbols = {one.symbol for one in (*whole.books, *whole.trades)}
    mirror = mirror_of(dialect)
    for symbol in symbols:
        for channel in Channel:
            mirror.want(symbol, channel)
    mirror.begin(symbols, 0)
    told = 0
    for at_ns, message in messages:
        taken = mirror.take(dialect.reader().read([message], [at_ns]), at_ns)
        told += len(taken.trades)
        assert {news.status for news in taken.news} <= {None}, taken.news
        assert [symbol for symbol in symbols if mirror.book(symbol).levels.crossed] == []  # type: ignore[union-attr]
    assert told == 97
    assert all(all(depth(mirror, symbol, 1)) for symbol in symbols)


@pytest.mark.recorded
def test_listings_give_ticks_and_lots_and_words(recorded: Path) -> None:
    coinbase, kraken = Coinbase(), Kraken()
    ours = {one.symbol: one for one in coinbase.listed(listing(recorded, "coinbase"))}
    assert ours["BTCGBP"] == Listed("BTCGBP", "BTC-GBP", Decimal("0.01"), Decimal("0.00000001"))
    theirs = {one.symbol: one for one in kraken.listed(listing(recorded, "kraken"))}
    assert theirs["ADABTC"] == Listed("ADABTC", "ADA/XBT", Decimal("1e-8"), Decimal("1e-8"))

    topics = [Topic(Channel.BOOK, "BTCGBP"), Topic(Channel.TRADES, "BTCGBP")]
    assert [orjson.loads(word) for word in coinbase.subscribe(topics, 1)] == [
        {
            "type": "subscribe",
            "channels": [
                {"name": "level2_batch", "product_ids": ["BTC-GBP"]},
                {"name": "matches", "product_ids": ["BTC-GBP"]},
                {"name": "heartbeat", "product_ids": ["BTC-GBP"]},
            ],
        }
    ]
    topics = [Topic(Channel.BOOK, "ADABTC"), Topic(Channel.TRADES, "ADABTC")]
    assert [orjson.loads(word) for word in kraken.unsubscribe(topics, 7)] == [
        {"event": "unsubscribe", "pair": ["ADA/XBT"], "subscription": {"name": "trade"}, "reqid": 7},
        {"event": "unsubscribe", "pair": ["ADA/XBT"], "subscription": {"name": "book", "depth": 1000}, "reqid": 7},
    ]


@pytest.mark.parametrize("dialect", [Coinbase(), Kraken()])
@pytest.mark.parametrize("answer", [b"{}", b'{"message":"rate limited"}', b'{"error":["EGeneral:Too many requests"]}'])
def test_an_answer_without_a_listing_is_an_error(dialect: Dialect, answer: bytes) -> None:
    with pytest.raises(ValueError, match="the listing must"):
        dialect.listed(answer)


def test_coinbases_side_is_that_of_the_order_that_waited() -> None:
    words = {"type": "match", "trade_id": 7, "side": "sell", "size": "2.5", "price": "10", "product_id": "BTC-USD"}
    batch = read(
        Coinbase(),
        {**words, "time": "2021-04-17T16:43:37.077621Z"},
        {"type": "heartbeat", "sequence": 1, "last_trade_id": 9, "product_id": "BTC-USD", "time": "x"},
        {"type": "error", "message": "Failed to subscribe", "reason": "NOPE-USD is not a valid product"},
        {"type": "status", "products": []},
    )
    event_ns = 1_618_677_817_077_621_000
    assert batch.trades == [Trade(0, "BTCUSD", event_ns, NOW_NS, 10.0, 2.5, 1, "7", 7)]
    why = "Failed to subscribe: NOPE-USD is not a valid product"
    assert batch.notes == [Reached("BTCUSD", 9), *(Denied(Topic(channel, "NOPEUSD"), why) for channel in Channel)]
    assert (batch.other, batch.garbage) == (1, 0)


def test_krakens_trades_and_tops_are_read() -> None:
    """As its documentation shows them."""
    batch = read(
        Kraken(),
        [
            0,
            [
                ["5541.20000", "0.15850568", "1534614057.321597", "s", "l", ""],
                ["6060.00000", "0.02455000", "1534614057.324998", "b", "l", ""],
                ["6060.00000", "0.02455000", "1534614057.324998", "b", "l", ""],
            ],
            "trade",
            "XBT/USD",
        ],
        [0, ["5698.40000", "5700.00000", "1542057299.545897", "1.01234567", "0.98765432"], "spread", "XBT/USD"],
        {
            "event": "subscriptionStatus",
            "status": "error",
            "pair": "NO/PE",
            "errorMessage": "Currency pair not supported",
        }
        | {"subscription": {"name": "trade"}},
        {"event": "heartbeat"},
    )
    times = 1_534_614_057_321_597_000, 1_534_614_057_324_998_000
    ids = ["1534614057.321597-5541.20000-0.15850568-s", "1534614057.324998-6060.00000-0.02455000-b"]
    assert batch.trades == [
        Trade(0, "BTCUSD", times[0], NOW_NS, 5541.2, 0.15850568, -1, ids[0]),
        Trade(0, "BTCUSD", times[1], NOW_NS, 6060.0, 0.02455, 1, ids[1]),
        Trade(0, "BTCUSD", times[1], NOW_NS, 6060.0, 0.02455, 1, f"{ids[1]}-1"),
    ]
    top = Top(1, "BTCUSD", 1_542_057_299_545_897_000, NOW_NS, "5698.40000", "1.01234567", "5700.00000", "0.98765432")
    assert batch.tops == [top]
    assert batch.notes == [Denied(Topic(Channel.TRADES, "NOPE"), "Currency pair not supported")]
    assert (batch.other, batch.garbage) == (1, 0)


def test_a_whole_book_in_two_parts_is_one_change() -> None:
    batch = read(
        Kraken(),
        [1, {"a": [["2", "1", "1.5"]]}, {"b": [["1", "0", "2.5", "r"]], "c": "42"}, "book-1000", "A/B"],
        [1, {"as": [], "bs": [["1", "1", "1.0"]]}, "book-1000", "A/B"],
    )
    change = BookChange(0, "AB", 2_500_000_000, NOW_NS, [("1", "0")], [("2", "1")], checksum=42)
    assert batch.books == [change, BookWhole(1, "AB", 1_000_000_000, NOW_NS, [("1", "1")], [])]


SPOILT = [
    b"",
    b"\xff\xfe",
    b"null",
    b"7",
    b"[]",
    b"{}",
    b'["a"]',
    b"[" * 2000,
    b'{"type":null}',
    b'{"type":"match"}',
    b'{"type":"match","trade_id":1,"side":"up","size":"1","price":"1","product_id":"A-B","time":"2021-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"-1","price":"1","product_id":"A-B","time":"2021-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"1","price":"nan","product_id":"A-B","time":"2021-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"1","price":"1","product_id":"$","time":"2021-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"1","price":"1","product_id":"A-B","time":"yesterday"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"1","price":"1","product_id":"A-B","time":"2400-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":1,"side":"buy","size":"1","price":"1","product_id":"A-B","time":"1900-04-17T16:43:37Z"}',
    b'{"type":"match","trade_id":9223372036854775808,"side":"buy","size":"1","price":"1","product_id":"A-B",'
    b'"time":"2021-04-17T16:43:37Z"}',
    b'{"type":"snapshot","product_id":"A-B","bids":[["1"]],"asks":[]}',
    b'{"type":"l2update","product_id":"A-B","changes":[["buy",1,2]],"time":"2021-04-17T16:43:37Z"}',
    b'[0,[["1","x","1.0","b","l",""]],"trade","A/B"]',
    b'[0,[["1","1","1.0","z","l",""]],"trade","A/B"]',
    b'[0,[["1","1","1e9","b","l",""]],"trade","A/B"]',
    b'[0,[["1","1","9999999999.0","b","l",""]],"trade","A/B"]',
    b'[0,["1","2"],"spread","A/B"]',
    b'[0,{"a":[[1,2,"1.0"]],"c":"x"},"book-10","A/B"]',
    b'[0,{"a":[["1","2","1.0"]],"c":"x"},"book-10","A/B"]',
    b'{"event":"subscriptionStatus"}',
]


@pytest.mark.parametrize("dialect", [Coinbase(), Kraken()], ids=["coinbase", "kraken"])
@pytest.mark.parametrize("message", SPOILT)
def test_garbage_is_counted_and_does_no_harm(dialect: Dialect, message: bytes) -> None:
    batch = read(dialect, message)
    assert (batch.trades, batch.tops, batch.books, batch.notes) == ([], [], [], [])
    assert batch.other + batch.garbage == 1


@pytest.mark.parametrize("dialect", [Coinbase(), Kraken()], ids=["coinbase", "kraken"])
@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.sampled_from(["book-10", "match", "1", "type", "b"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["type", "event", "a", "time"]), inner),
    )
)
def test_no_message_whatever_breaks_a_reader(dialect: Dialect, message: Any) -> None:
    batch = read(dialect, message)
    assert batch.other + batch.garbage == 1


def test_times_are_read_to_the_nanosecond() -> None:
    assert nanos("1970-01-01T00:00:01Z") == 1_000_000_000
    assert nanos("1970-01-01T00:00:01.000000001Z") == 1_000_000_001
    for wrong in ("", "1970-01-01T00:00:01", "1970-01-01 00:00:01Z", "1970-01-01T00:00:01.x1Z", "1970-13-01T00:00:01Z"):
        with pytest.raises(ValueError):
            nanos(wrong)
