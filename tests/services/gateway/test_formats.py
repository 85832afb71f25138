"""Recorded files: every line used, of another kind, or bad with its number and reason."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.gateway.feeds.formats.recording import Format, Recording, open_recording
from services.gateway.feeds.formats.rows import Choice, Quotes, Rows, Trades
from shared.contract.errors import Refused
from tests.services.gateway.files import DEPTH, QUOTE, SPOT_QUOTE, TRADE, cut_file, lean_file, raw_file, text_file

C = TypeVar("C", Trades, Quotes)
CSV = "symbol,timestamp,price,quantity,side,trade_id"


def read(path: str, format: Format | None = None, choice: Choice | None = None) -> tuple[list[Rows], Recording]:
    recording = open_recording(path, format, choice or Choice())
    found: list[Rows] = []
    try:
        while (rows := recording.next()) is not None:
            found.append(rows)
    finally:
        recording.close()
    assert recording.account.balanced
    return found, recording


def trades(path: str, choice: Choice | None = None) -> tuple[Trades, Recording]:
    found, recording = read(path, choice=choice)
    return joined([rows.trades for rows in found]), recording


def quotes(path: str, choice: Choice | None = None) -> tuple[Quotes, Recording]:
    found, recording = read(path, choice=choice)
    return joined([rows.quotes for rows in found]), recording


def joined(parts: list[C]) -> C:
    columns = {name: [getattr(part, name) for part in parts] for name in vars(parts[0])}
    return type(parts[0])(*(list(chain(*c)) if isinstance(c[0], list) else np.concatenate(c) for c in columns.values()))


def bad_lines(recording: Recording) -> dict[int, str]:
    return {bad.line: bad.reason for bad in recording.account.bad_lines}


# CSV.


def test_a_csv_line_is_a_tick(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", CSV, "btc/usdt,2024-01-01T00:00:00.5Z,42000.10,0.5,sell,t1")
    found, recording = trades(path)
    assert recording.markets.known == [("replay", "BTCUSDT")]
    at_ns = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9 + 500_000_000
    assert (found.event_ns[0], found.price[0], found.quantity[0], found.side[0]) == (at_ns, 42000.10, 0.5, -1)
    assert list(found.trade_id) == ["t1"]


@pytest.mark.parametrize(
    "written",
    [
        "1704067200000",
        "1704067200000000",
        "1704067200000000000",
        "2024-01-01T00:00:00Z",
        "2024-01-01T01:00:00+01:00",
        "2024-01-01 00:00:00",
    ],
)
def test_a_timestamp_may_be_ms_or_us_or_ns_or_rfc_3339(tmp_path: Path, written: str) -> None:
    path = text_file(tmp_path, "a.csv", "symbol,timestamp,price,quantity", f"X,{written},1,1", "X,never,1,1")
    found, recording = trades(path)
    assert found.event_ns.tolist() == [1704067200_000000000]
    assert bad_lines(recording) == {3: "timestamp: must be RFC 3339 or an epoch time in ms or ns, not 'never'"}


def test_a_date_that_does_not_exist_is_a_bad_line_among_good_ones(tmp_path: Path) -> None:
    lines = ["X,2024-01-01T00:00:00Z,1,1", "X,2024-13-45T00:00:00Z,1,1", "X,1704067200000,1,1"]
    found, recording = trades(text_file(tmp_path, "a.csv", "symbol,timestamp,price,quantity", *lines))
    assert found.line.tolist() == [2, 4]
    assert list(bad_lines(recording)) == [3]


def test_columns_may_have_other_names_and_any_order(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", "Size,LAST,event_ns,exchange,symbol", "2,10,1704067200000000001,Kraken,XBTUSD")
    found, recording = trades(path)
    assert recording.markets.known == [("kraken", "XBTUSD")]
    assert (found.price[0], found.quantity[0], found.event_ns[0]) == (10, 2, 1704067200_000000001)
    assert list(found.trade_id) == ["2"]


def test_rows_without_a_price_are_quotes_in_their_place(tmp_path: Path) -> None:
    lines = ["X,1704067200000,10,1,,", "X,1704067200000,,,9,11", "X,1704067200000,10,1,,", "X,1704067200000,,,9,"]
    (rows,), recording = read(text_file(tmp_path, "a.csv", "symbol,timestamp,price,quantity,bid,ask", *lines))
    assert rows.trades.line.tolist() == [2, 4]
    assert rows.quotes.line.tolist() == [3, 5]
    assert recording.account.used_quotes == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("X,1704067200000,abc,1,,", "price: must be a number, not 'abc'"),
        ("X,1704067200000,-1,1,,", "price: must be a positive number, not '-1.0'"),
        ("X,1704067200000,nan,1,,", "price: is missing"),
        ("X,1704067200000,inf,1,,", "price: must be a positive number, not 'inf'"),
        ("X,1704067200000,1e300,1,,", "price: must be a positive number, not '1e+300'"),
        ("X,1704067200000,1,0,,", "quantity: must be a positive number, not '0.0'"),
        ("X,1704067200000,1,,,", "quantity: must be a positive number, not 'nan'"),
        ("X,,1,1,,", "timestamp: is missing"),
        ("X,-5,1,1,,", "timestamp: must be a time after 1970"),
        ("X,99999999999999999999,1,1,,", "timestamp: must be RFC 3339 or an epoch time in ms or ns, not"),
        ("X,1704067200000,1,1,up,", "side: must be buy, sell or unknown, not 'up'"),
        ("X Y!,1704067200000,1,1,,", "symbol: must be letters and digits, not 'X Y!'"),
        (",1704067200000,1,1,,", "symbol: must be letters and digits, not ''"),
        ("X,1704067200000,1,1,," + "i" * 65, "trade_id: longer than 64"),
        ("X,1704067200000,1", "3 values where 6 are expected"),
        ('X,1704067200000,1,"1,,', "a quotation mark that is not closed"),
        ("\udcff,1704067200000,1,1,,", "symbol: must be letters and digits, not '\ufffd'"),
    ],
)
def test_a_bad_csv_line_is_told_with_its_number_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    good = "X,1704067200000,1,1,,"
    path.write_bytes("\n".join([CSV, good, line, "", good]).encode(errors="surrogateescape"))
    found, recording = trades(str(path))
    assert found.line.tolist() == [2, 5]
    (told,) = recording.account.bad_lines
    assert told.line == 3
    assert reason in told.reason
    assert recording.account.other == 2  # the header and the blank line


def test_only_the_first_hundred_bad_lines_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    lines = ["X,1704067200000,1,1,,"] + ["X,1704067200000,?,1,,", "X,1704067200000,1,0,,"] * 150
    _, recording = trades(text_file(tmp_path, "a.csv", CSV, *lines))
    assert recording.account.bad == 300
    assert [bad.line for bad in recording.account.bad_lines] == list(range(3, 103))


def test_a_file_may_end_its_lines_as_windows_does(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfsymbol,timestamp,price,quantity\r\nX,1704067200000,1,1\r\n")
    assert len(trades(str(path))[0]) == 1


def test_a_csv_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(f"{CSV}\nX,1704067200000,1,1,,\n".encode()))
    assert len(trades(str(path))[0]) == 1


def test_a_chosen_symbol_leaves_out_the_others(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", CSV, "A,1704067200000,1,1,,", "B,1704067200000,1,1,,")
    found, recording = trades(path, Choice(symbol="B"))
    assert found.line.tolist() == [3]
    assert recording.account.other == 2
    assert recording.markets.known == [("replay", "B")]


def test_a_chosen_symbol_and_venue_stand_in_where_the_file_names_none(tmp_path: Path) -> None:
    path = text_file(tmp_path, "a.csv", "timestamp,price,quantity", "1704067200000,1,1")
    _, recording = trades(path, Choice(symbol="SPY", venue="arca"))
    assert recording.markets.known == [("arca", "SPY")]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.booleans()), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_whatever_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, written: list[tuple]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    lines = [f"X,{1704067200000 + at},{price}.25,1,{'b' if buy else 's'}," for at, price, buy in written]
    found, _ = trades(text_file(folder, "a.csv", CSV, *lines))
    assert found.price.tolist() == [price + 0.25 for _, price, _ in written]
    assert found.event_ns.tolist() == [(1704067200000 + at) * 10**6 for at, _, _ in written]
    assert found.side.tolist() == [1 if buy else -1 for *_, buy in written]


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_lines_are_whole_wherever_a_block_ends(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.feeds.formats.blocks.Source.blocks.__defaults__", (size,))
    lines = [f"X,{1704067200000 + n},{n + 1},1,," for n in range(100)]
    found, recording = read(text_file(tmp_path, "a.csv", CSV, *lines))
    assert [price for rows in found for price in rows.trades.price] == list(range(1, 101))
    assert [line for rows in found for line in rows.trades.line] == list(range(2, 102))
    assert recording.account.lines == 101


# Parquet.


def test_parquet_columns_may_be_typed(tmp_path: Path) -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "symbol": pa.array(["BTC-USDT", "BTC-USDT", None]).dictionary_encode(),
            "timestamp": pa.array([at, at, at], pa.timestamp("ms", "UTC")),
            "price": pa.array([Decimal("42000.10"), None, Decimal(1)], pa.decimal128(18, 2)),
            "size": pa.array([1, 2, 3], pa.int32()),
            "side": pa.array([1, -1, 0], pa.int8()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found, recording = trades(str(tmp_path / "a.parquet"))
    assert (found.price.tolist(), found.quantity.tolist(), list(found.trade_id)) == ([42000.10], [1.0], ["1"])
    assert bad_lines(recording) == {2: "price: is missing", 3: "symbol: must be letters and digits, not ''"}


def test_epoch_times_in_parquet_may_be_floats(tmp_path: Path) -> None:
    table = pa.table({"symbol": ["X", "X"], "timestamp": [1704067200000.0, 0.5], "price": [1.0, 1.0], "qty": [1, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    found, recording = trades(str(tmp_path / "a.parquet"))
    assert found.event_ns.tolist() == [1704067200_000000000]
    assert list(bad_lines(recording)) == [2]


# Raw Binance recordings.


def test_a_raw_trade_is_a_tick_and_the_taker_sold_when_the_buyer_made(tmp_path: Path) -> None:
    found, recording = trades(raw_file(tmp_path, TRADE, TRADE.replace(b'"m":false', b'"m":true')))
    assert recording.markets.known == [("binance", "BTCUSDT")]
    assert found.side.tolist() == [1, -1]
    assert (found.event_ns[0], found.price[0], found.quantity[0]) == (1723161256321_000000, 61800.30, 0.006)
    assert found.trade_id[0] == "5266583935"


def test_a_raw_quote_without_event_time_has_the_receive_time(tmp_path: Path) -> None:
    found, _ = quotes(raw_file(tmp_path, QUOTE, SPOT_QUOTE))
    assert found.event_ns.tolist() == [1723161256313_000000, 1723161255_001000000]
    assert found.bid.tolist() == [61800.20, 1.0]


def test_depth_snapshots_and_acknowledgements_are_of_another_kind(tmp_path: Path) -> None:
    _, recording = read(raw_file(tmp_path, DEPTH, b'{"lastUpdateId":1,"bids":[]}', b'{"result":null,"id":1}', TRADE))
    assert (recording.account.other, recording.account.used_ticks) == (3, 1)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"{nope", "JSON is malformed"),
        (b"[1]", "Expected `object`, got `array`"),
        (TRADE.replace(b'"p":"61800.30",', b""), "could not convert string to float: ''"),
        (TRADE.replace(b"61800.30", b"x"), "could not convert string to float"),
        (TRADE.replace(b"61800.30", b"-1"), "'-1' is not a positive number"),
        (TRADE.replace(b'"T":1723161256321', b'"T":"soon"'), "Expected `int`, got `str` - at `$.data.T`"),
        (TRADE.replace(b'"m":false', b'"m":0'), "got `int` - at `$.data.m`"),
        (TRADE.replace(b'"s":"BTCUSDT"', b'"s":"$"'), "'$' is not a symbol"),
        (QUOTE.replace(b"61800.20", b"0"), "bid: must be a positive number"),
    ],
)
def test_a_bad_raw_line_is_told_with_its_number_and_reason(tmp_path: Path, message: bytes, reason: str) -> None:
    found, recording = trades(raw_file(tmp_path, TRADE, message, TRADE))
    assert found.line.tolist() == [1, 3]
    (told,) = recording.account.bad_lines
    assert told.line == 2
    assert reason in told.reason


# Raw words of other venues.

MATCH = (
    b'{"type":"match","trade_id":82008,"side":"sell","size":"335","price":"0.5762","product_id":"SKL-GBP",'
    b'"time":"2021-04-17T16:43:37.270697Z"}'
)
TRADES = b'[0,[["5","1","1534614057.321597","s","l",""],["6","2","1534614057.321598","b","l",""]],"trade","XBT/USD"]'


def test_the_venue_of_raw_words_is_named_or_told_by_the_folder(tmp_path: Path) -> None:
    asked = Choice(venue="coinbase")
    recording = open_recording(raw_file(tmp_path, MATCH), None, asked)
    assert (recording.format, recording.markets.known) == ("raw", [("coinbase", "SKLGBP")])
    recording.close()
    folder = tmp_path / "kraken" / "2018-08-18"
    folder.mkdir(parents=True)
    found, recording = trades(raw_file(folder, TRADES, b'{"event":"heartbeat"}', TRADES))
    assert recording.markets.known == [("kraken", "BTCUSD")]
    assert found.line.tolist() == [1, 1, 3, 3]
    account = recording.account
    assert (account.lines, account.further, account.used_ticks, account.other) == (3, 2, 4, 1)
    assert refusal(raw_file(tmp_path, MATCH), "raw").field == "venue"


def test_what_cryptofeed_has_recorded_is_read_too(tmp_path: Path) -> None:
    lines = [
        "wss://ws-feed.pro.coinbase.com <-> 1618677816.8434298",
        "1618677817.27: " + MATCH.decode(),
        "",
        "7 x",
        "x y",
    ]
    rows, recording = read(text_file(tmp_path, "coinbase.ws.txt", *lines), "raw", Choice(venue="coinbase"))
    account = recording.account
    assert (rows[0].trades.line.tolist(), account.lines, account.other, account.bad) == ([2], 5, 2, 2)
    assert [bad.line for bad in account.bad_lines] == [5, 4]


# LEAN.


def test_lean_prices_are_ten_thousandths_and_times_count_from_midnight_in_new_york(tmp_path: Path) -> None:
    found, recording = trades(lean_file(tmp_path, "14417034,1674200,210,Q,2000,0"))
    assert recording.markets.known == [("lean", "SPY")]
    midnight_ns = int(datetime(2013, 10, 8, 4, tzinfo=UTC).timestamp()) * 10**9
    assert (found.event_ns[0], found.price[0]) == (midnight_ns + 14417034_000000, 167.42)
    assert (found.side[0], list(found.trade_id)) == (0, ["1"])


def test_lean_times_follow_the_wall_on_the_day_clocks_change(tmp_path: Path) -> None:
    lines = ("3600000,10000,1,Q,0,0", "36000000,10000,1,Q,0,0")
    found, _ = trades(lean_file(tmp_path, *lines), Choice(date="20131103"))
    walls = [datetime(2013, 11, 3, 5, tzinfo=UTC), datetime(2013, 11, 3, 15, tzinfo=UTC)]
    assert found.event_ns.tolist() == [int(wall.timestamp()) * 10**9 for wall in walls]


def test_a_zero_is_an_absent_side_of_a_lean_quote(tmp_path: Path) -> None:
    path = lean_file(tmp_path, "1,0,0,140200,500,Q,1,0", "2,138400,700,0,0,P,1,0", name="bac_20131007_quote.zip")
    found, _ = quotes(path)
    assert [str(value) for value in found.bid] == ["nan", "13.84"]
    assert [str(value) for value in found.ask_quantity] == ["500.0", "nan"]


def test_forex_quotes_have_no_quantities(tmp_path: Path) -> None:
    path = lean_file(
        tmp_path,
        "17007,1.39147,1.39148\r",
        name="eurusd_20140508_quote.zip",
        inside="20140508_eurusd_tick_quote.csv",
    )
    found, recording = quotes(path)
    assert recording.markets.known == [("lean", "EURUSD")]
    assert (found.bid[0], found.ask[0], str(found.bid_quantity[0])) == (1.39147, 1.39148, "nan")


def test_the_caller_may_name_symbol_date_and_venue_of_a_lean_file(tmp_path: Path) -> None:
    path = lean_file(tmp_path, "0,10000,1,Q,0,0", name="trade.zip", inside="x.csv")
    found, recording = trades(path, Choice(symbol="IBM", date="20140102", venue="nyse"))
    assert recording.markets.known == [("nyse", "IBM")]
    assert found.event_ns[0] == int(datetime(2014, 1, 2, 5, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("x,1,1,Q,0,0", "ms: must be a number, not 'x'"),
        ("86400000,1,1,Q,0,0", "ms: must be whole milliseconds within a day"),
        ("1,0,1,Q,0,0", "price: must be a positive number"),
        ("1,1,0,Q,0,0", "quantity: must be a positive number"),
        ("1,1,1,7,0,0", "venue code: must be letters"),
        ("1,1,1", "3 values where 6 are expected"),
    ],
)
def test_a_bad_lean_line_is_told_with_its_number_and_reason(tmp_path: Path, line: str, reason: str) -> None:
    found, recording = trades(lean_file(tmp_path, "1,10000,1,Q,0,0", line, "2,10000,1,Q,0,0"))
    assert found.line.tolist() == [1, 3]
    assert reason in bad_lines(recording)[2]


# Files that cannot be replayed.


def refusal(path: str, format: Format | None = None, choice: Choice | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        read(path, format, choice)
    return caught.value


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    assert refusal(str(tmp_path / "nope.csv")).code == "NO_SUCH_FILE"
    assert refusal("a\0b.csv").code == "NO_SUCH_FILE"
    assert refusal("x" * 300).code == refusal("x" * 300, "raw").code == "NO_SUCH_FILE"
    assert refusal(str(tmp_path), "csv").code == "NOT_A_FILE"
    assert refusal(str(tmp_path / "empty.csv")).code == "EMPTY_FILE"
    assert refusal(str(tmp_path / "empty.csv")).field == "path"


def test_a_name_that_tells_no_format_is_refused_with_the_formats_there_are(tmp_path: Path) -> None:
    error = refusal(text_file(tmp_path, "a.txt", "x"))
    assert (error.code, error.field) == ("FORMAT_UNKNOWN", "format")
    assert "lean-trades" in error.detail


@pytest.mark.parametrize("name", ["a_trade.zip", "a.jsonl.gz", "a.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    error = refusal(text_file(tmp_path, name, "hello"))
    assert (error.code, error.field, error.status) == ("BAD_FILE", "path", 422)


def test_a_zip_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a_trade.zip", "w") as archive:
        archive.writestr("a", "1")
        archive.writestr("b", "2")
    assert "holds 2 files" in refusal(str(tmp_path / "a_trade.zip")).detail


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    path = text_file(tmp_path, "spy_20131008_trade.csv", "a,b,c,d,e,f", "g,h,i,j,k,l")
    assert refusal(path, "binance-raw").code == "WRONG_FORMAT"
    assert refusal(path, "lean-trades").code == "WRONG_FORMAT"
    assert "unknown column 'a'" in refusal(path).detail


def test_bars_are_not_ticks(tmp_path: Path) -> None:
    line = "0,7424.91,7424.91,7422,7422,7.14319709"
    minute = lean_file(tmp_path, line, name="x_minute_20180404_trade.zip", inside="20180404_x_minute_trade.csv")
    assert "holds bars" in refusal(minute).detail
    assert refusal(lean_file(tmp_path, line)).code == "WRONG_FORMAT"


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("symbol,timestamp,price", "price and quantity"),
        ("symbol,price,quantity", "event_ns or timestamp"),
        ("timestamp,price,quantity", "symbol"),
        ("symbol,timestamp,price,quantity,qty", "two columns for quantity"),
        ("symbol,timestamp,price,quantity,mood", "unknown column 'mood'"),
    ],
)
def test_csv_columns_that_do_not_do_are_refused(tmp_path: Path, header: str, told: str) -> None:
    assert told in refusal(text_file(tmp_path, "a.csv", header, "1,2,3,4,5")).detail


def test_a_csv_with_nothing_but_a_header_is_refused(tmp_path: Path) -> None:
    assert "no lines of data" in refusal(text_file(tmp_path, "a.csv", CSV)).detail


def test_a_lean_file_whose_name_says_neither_symbol_nor_date_wants_both(tmp_path: Path) -> None:
    path = lean_file(tmp_path, "0,10000,1,Q,0,0", name="trade.zip", inside="x.csv")
    assert refusal(path).field == "symbol"
    assert refusal(path, choice=Choice(symbol="SPY")).field == "date"


def a_day(folder: Path, *files: bytes) -> str:
    """A venue's captured files of a day."""
    day = folder / "binance" / "2024-08-09"
    day.mkdir(parents=True)
    for number, words in enumerate(files):
        (day / f"{1723161255_000000000 + number}.jsonl.gz").write_bytes(words)
    return str(day)


def member(*numbers: int) -> bytes:
    lines = [b"%d %s\n" % (1723161255_000000000 + n, TRADE.replace(b"5266583935", b"%d" % n)) for n in numbers]
    return gzip.compress(b"".join(lines))


@pytest.mark.parametrize("empty", [b"", b"\x1f", member(9)[:10]])
def test_a_captured_file_in_which_nothing_was_written_yet_costs_nothing(tmp_path: Path, empty: bytes) -> None:
    found, recording = trades(a_day(tmp_path, empty, member(1, 2), empty, member(3), empty))

    assert list(found.trade_id) == ["1", "2", "3"]
    assert (recording.account.lines, recording.account.bad) == (3, 0)


def test_of_a_day_of_empty_files_nothing_can_be_replayed(tmp_path: Path) -> None:
    assert refusal(a_day(tmp_path, b"", b"")).code == "EMPTY_FOLDER"


@pytest.mark.parametrize("cut", [1, 8, 9, 30, 60, 100])
def test_a_torn_captured_file_loses_what_is_torn_and_nothing_else(tmp_path: Path, cut: int) -> None:
    torn = member(1, 2) + member(3, 4)
    found, recording = trades(a_day(tmp_path, torn[:-cut], member(5)))

    assert list(found.trade_id)[:2] == ["1", "2"]
    assert list(found.trade_id)[-1] == "5"
    assert recording.account.bad == 0


def test_a_captured_file_that_is_damaged_within_is_still_told(tmp_path: Path) -> None:
    words = bytearray(member(*range(1000)))
    words[len(words) // 2] ^= 0xFF
    with pytest.raises(Refused, match="is damaged"):
        trades(a_day(tmp_path, bytes(words), member(5)))


def test_a_truncated_file_is_told_to_be_damaged_where_it_breaks(tmp_path: Path) -> None:
    path = cut_file(raw_file(tmp_path, *[TRADE] * 100_000), 0.5)
    assert "is damaged" in refusal(path).detail
