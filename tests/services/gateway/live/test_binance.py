"""Binance's words, read and spoken."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from services.gateway.feeds.live.dialect import Endpoints
from services.gateway.feeds.venues.binance import Binance, BinanceFutures
from services.gateway.feeds.venues.binance_words import Reader
from shared.contract.feeds import Batch, BookChange, Channel, Denied, Listed, Top, Topic, Trade

MS = 1_000_000
AT = Endpoints("ws://here", "http://there")


def said(stream: str, **words: object) -> bytes:
    return json.dumps({"stream": stream, "data": words}).encode()


def read(*messages: bytes) -> Batch:
    return Reader().read(messages, range(7, 7 + len(messages)))


SPOT_TRADE = {"e": "trade", "E": 3, "s": "BTCUSDT", "t": 9, "p": "1.5", "q": "0.1", "T": 2, "m": True, "M": True}
FUTURES_TRADE = {
    "e": "trade",
    "E": 3,
    "T": 2,
    "s": "BTCUSDT",
    "t": 9,
    "p": "1.5",
    "q": "0.1",
    "X": "MARKET",
    "m": False,
}


def test_a_trade_is_read() -> None:
    batch = read(said("btcusdt@trade", **SPOT_TRADE), said("btcusdt@trade", **FUTURES_TRADE))
    assert batch.trades == [
        Trade(0, "BTCUSDT", 2 * MS, 7, 1.5, 0.1, -1, "9", 9),
        Trade(1, "BTCUSDT", 2 * MS, 8, 1.5, 0.1, 1, "9", 9),
    ]


def test_a_trade_that_was_not_made_on_the_book_is_none() -> None:
    batch = read(said("btcusdt@trade", **FUTURES_TRADE | {"X": "NA", "p": "0", "q": "0"}))
    assert (batch.trades, batch.other, batch.garbage) == ([], 1, 0)


def test_spots_best_bid_and_ask_has_the_time_at_which_it_was_received() -> None:
    batch = read(said("btcusdt@bookTicker", u=5, s="BTCUSDT", b="1", B="2", a="3", A="4"))
    assert batch.tops == [Top(0, "BTCUSDT", 7, 7, "1", "2", "3", "4", 5)]


def test_changes_of_spots_book_lead_on_from_the_number_before() -> None:
    batch = read(said("btcusdt@depth", e="depthUpdate", E=3, s="BTCUSDT", U=5, u=9, b=[["1", "2"]], a=[]))
    assert batch.books == [BookChange(0, "BTCUSDT", 3 * MS, 7, [("1", "2")], [], 4, 9)]


def test_changes_of_a_futures_book_name_the_one_before() -> None:
    words = {"e": "depthUpdate", "E": 3, "T": 2, "s": "BTCUSDT", "U": 5, "u": 9, "pu": 3, "b": [], "a": [["3", "0"]]}
    assert read(said("btcusdt@depth", **words)).books == [BookChange(0, "BTCUSDT", 2 * MS, 7, [], [("3", "0")], 3, 9)]


def test_a_message_without_wrapping_is_read_the_same() -> None:
    assert read(json.dumps(SPOT_TRADE).encode()).trades == read(said("btcusdt@trade", **SPOT_TRADE)).trades


def test_a_refusal_is_passed_on() -> None:
    batch = read(b'{"result":null,"id":1}', b'{"error":{"code":2,"msg":"Invalid request"},"id":2}')
    assert batch.notes == [Denied(None, "Invalid request (2)")]
    assert batch.garbage == 0


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xff",
        b"{",
        b"[1,2]",
        b"null",
        b"[" * 100_000,
        b'{"data":7}',
        b'{"data":{"e":"trade","s":7}}',
        said("btcusdt@trade", **SPOT_TRADE | {"p": "-1"}),
        said("btcusdt@trade", **SPOT_TRADE | {"q": "nan"}),
        said("btcusdt@trade", **SPOT_TRADE | {"p": "1e400"}),
        said("btcusdt@trade", **SPOT_TRADE | {"T": 0, "E": 0}),
        said("btcusdt@trade", **SPOT_TRADE | {"T": 10**30}),
        said("btcusdt@trade", **SPOT_TRADE | {"s": "$"}),
        said("btcusdt@trade", **SPOT_TRADE | {"t": 0}),
        said("btcusdt@bookTicker", u=5, s="BTCUSDT", b=[], B="2", a="3", A="4"),
        said("btcusdt@depth", e="depthUpdate", E=3, s="BTCUSDT", U=5, u=9, b=[["1"]], a=[]),
        said("btcusdt@depth", e="depthUpdate", E=3, s="BTCUSDT", U=5, u=9, b="1", a=[]),
    ],
    ids=range(18),
)
def test_garbage_is_counted_and_the_messages_around_it_are_read(message: bytes) -> None:
    trade = said("btcusdt@trade", **SPOT_TRADE)
    batch = read(trade, message, trade)
    assert (len(batch.trades), batch.garbage, batch.other) == (2, 1, 0)
    assert batch.reason
    assert [one.place for one in batch.trades] == [0, 2]


def test_topics_are_subscribed_to_in_the_venues_words() -> None:
    topics = [Topic(channel, "BTCUSDT") for channel in Channel]
    [words] = Binance(AT).subscribe(topics, 3)
    names = ["btcusdt@trade", "btcusdt@bookTicker", "btcusdt@depth@100ms"]
    assert json.loads(words) == {"method": "SUBSCRIBE", "params": names, "id": 3}
    [words] = BinanceFutures(AT).unsubscribe(topics[2:], 4)
    assert json.loads(words) == {"method": "UNSUBSCRIBE", "params": ["btcusdt@depth@0ms"], "id": 4}


def test_futures_have_an_address_for_trades_and_one_for_books_and_quotes() -> None:
    futures = BinanceFutures(AT)
    assert {channel: futures.address(channel) for channel in Channel} == {
        Channel.TRADES: "ws://here/market/stream",
        Channel.QUOTES: "ws://here/public/stream",
        Channel.BOOK: "ws://here/public/stream",
    }


def test_a_listing_gives_ticks_and_lots_without_the_zeros_behind() -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "1.000"},
    ]
    answer = {"symbols": [{"symbol": "BTCUSDT", "status": "BREAK", "filters": filters}, {"symbol": "币安USDT"}]}
    [listed] = Binance(AT).listed(json.dumps(answer).encode())
    assert listed == Listed("BTCUSDT", "BTCUSDT", Decimal("0.01"), Decimal(1), trading=False)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"symbols":[{}]}', b"<html>"])
def test_a_listing_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Binance(AT).listed(answer)


def test_a_snapshot_is_asked_for_and_read() -> None:
    spot = Binance(AT)
    ask = spot.snapshot("BTCUSDT")
    assert ask is not None
    assert ask.url == "http://there/depth?symbol=BTCUSDT&limit=1000"
    book = spot.whole("BTCUSDT", b'{"lastUpdateId":5,"bids":[["1","2"]],"asks":[]}', 7)
    assert (book.last, book.bids, book.asks, book.event_ns) == (5, [("1", "2")], [], 7)
    with pytest.raises(ValueError, match="lastUpdateId"):
        spot.whole("BTCUSDT", b'{"bids":[],"asks":[]}', 7)
