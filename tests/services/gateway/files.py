"""Small recorded files, made for a test."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT",'
    b'"t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":1,"s":"BTCUSDT","b":"61800.20","B":"2.507",'
    b'"a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}}'
)
SPOT_QUOTE = b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}}'
DEPTH = b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","b":[],"a":[]}}'


def text_file(folder: Path, name: str, *lines: str) -> str:
    path = folder / name
    path.write_text("".join(line + "\n" for line in lines))
    return str(path)


def raw_file(folder: Path, *messages: bytes, name: str = "raw.jsonl.gz") -> str:
    """Each message is received a millisecond after the one before, and each trade has the next number."""
    path = folder / name
    with gzip.open(path, "wb") as file:
        for number, message in enumerate(messages):
            numbered = message.replace(b'"t":5266583935', b'"t":%d' % (5266583935 + number))
            file.write(b"%d %s\n" % (1723161255_000000000 + number * 1_000_000, numbered))
    return str(path)


def lean_file(folder: Path, *lines: str, name: str = "spy_20131008_trade.zip", inside: str = "") -> str:
    path = folder / name
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside or "20131008_spy_Trade_Tick.csv", "\n".join(lines) + "\n")
    return str(path)


def cut_file(path: str, part: float) -> str:
    """The first part of a file, as an interrupted download leaves it."""
    whole = Path(path).read_bytes()
    cut = Path(path).with_name("cut.jsonl.gz")
    cut.write_bytes(whole[: round(len(whole) * part)])
    return str(cut)
