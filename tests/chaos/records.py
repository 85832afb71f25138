"""Records: the evidence as it is read from Valkey and from the tape, past every service."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from redis import Redis

from tests.chaos.evidence import AtVenue, Evidence, Execution, Words

AT_ONCE = 2000


class Records:
    """What is stored under accounts whose names begin alike."""

    def __init__(self, valkey: Redis, tape: Path) -> None:
        self._valkey = valkey
        self._tape = tape

    def close(self) -> None:
        self._valkey.close()

    def read(self, prefix: str, *, tape: bool = False) -> Evidence:
        """Everything that is on record of the accounts."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for key in self._valkey.scan_iter(f"*{{{prefix}*", count=10_000):
            name = key.decode()
            found[name.partition(":")[0]].append(name)
        evidence = Evidence()
        self._read_books(found, evidence)
        self._read_venue(found, evidence)
        if tape:
            evidence.tape_fills = self._taped("fills", prefix)
            evidence.tape_orders = self._taped("orders", prefix)
        return evidence

    def _read_books(self, found: dict[str, list[str]], evidence: Evidence) -> None:
        evidence.orders = {one["order_id"]: one for one in self._words(found["order"])}
        for key, events in zip(
            found["events"], self._many(found["events"], lambda pipe, key: pipe.hgetall(key)), strict=True
        ):
            evidence.events[_last(key)] = [json.loads(events[version]) for version in sorted(events, key=int)]
        evidence.fills = self._words(found["fill"])
        evidence.positions = self._words(found["position"])
        evidence.balances = {one["account"]: one for one in self._words(found["account"])}
        evidence.entries = {_account(key): entries for key, entries in self._lists(found["entries"])}
        for members in self._many(found["open"], lambda pipe, key: pipe.smembers(key)):
            evidence.open |= {member.decode() for member in members}
        for fields in self._many(found["reservation"], lambda pipe, key: pipe.hgetall(key)):
            evidence.reserved |= {id.decode(): json.loads(words) for id, words in fields.items()}
        evidence.unsaid = sum(self._many(found["outbox"], lambda pipe, key: pipe.hlen(key)))

    def _read_venue(self, found: dict[str, list[str]], evidence: Evidence) -> None:
        filled = [report for _, some in self._lists(found["paper_fills"]) for report in some]
        seen: dict[str, Words] = {}
        for there in self._words(found["paper"]):
            report = there["report"]
            open_ = report["status"] in ("NEW", "WORKING", "PARTIALLY_FILLED", "PENDING_UNKNOWN")
            evidence.venue[there["order_id"]] = AtVenue(
                there["order_id"],
                there["account"],
                report["status"],
                open_,
                Decimal(report["cumulative_quantity"]),
                there["arrival"],
                out_ns=there["arrival"] if open_ else report["event_ns"],
            )
            seen[there["order_id"]] = there
        # A fill of an order that was not listed yet when this look began: the next look will see both.
        reports = [report for report in filled if report["order_id"] in seen]
        reports += [there["report"] for there in seen.values()]
        executions = [_execution(report, seen[report["order_id"]]) for report in reports if report.get("fill")]
        evidence.executions = list({one.execution_id: one for one in executions}.values())

    def _many(self, keys: list[str], ask: Callable[[Any, str], object]) -> Iterable[Any]:
        for start in range(0, len(keys), AT_ONCE):
            pipe = self._valkey.pipeline(transaction=False)
            for key in keys[start : start + AT_ONCE]:
                ask(pipe, key)
            yield from pipe.execute()

    def _words(self, keys: list[str]) -> list[Words]:
        return [json.loads(value) for value in self._many(keys, lambda pipe, key: pipe.get(key)) if value]

    def _lists(self, keys: list[str]) -> Iterable[tuple[str, list[Words]]]:
        values = self._many(keys, lambda pipe, key: pipe.lrange(key, 0, -1))
        return ((key, [json.loads(one) for one in some]) for key, some in zip(keys, values, strict=True))

    def _taped(self, table: str, prefix: str) -> list[Words]:
        with closing(sqlite3.connect(f"file:{self._tape}?mode=ro", uri=True, timeout=10)) as tape:
            tape.row_factory = sqlite3.Row
            rows = tape.execute(f"SELECT * FROM {table} WHERE account GLOB ?", (f"{prefix}*",))
            return [dict(row) for row in rows]


def _execution(report: Words, there: Words) -> Execution:
    fill = report["fill"]
    return Execution(
        fill["execution_id"],
        report["order_id"],
        there["route"]["symbol"],
        there["route"]["side"],
        Decimal(fill["price"]),
        Decimal(fill["quantity"]),
        Decimal(fill["fee"]),
        fill["event_ns"],
    )


def _account(key: str) -> str:
    return key[key.index("{") + 1 : key.index("}")]


def _last(key: str) -> str:
    return key.rpartition(":")[2]
