"""A venue is followed live: its book is the venue's, its trades are on the tape once, through cuts and a crash."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.rig import Suite, running
from tests.mock_venues.beside import VenueBeside, venue_beside
from tests.mock_venues.binance import BinanceTongue, made
from tests.servers import wait_until

pytestmark = pytest.mark.suite

BTC = "BTCUSDT"


def _feed(suite: Suite) -> Any:
    return next((feed for feed in suite.get("/api/gateway/feeds") if feed["symbol"] == BTC), {"status": "", "why": ""})


def _assert_followed(suite: Suite, beside: VenueBeside, tongue: BinanceTongue) -> None:
    """Everything played so far has come through."""
    ticks, [bids, asks] = len(tongue.trades[BTC]), tongue.ranked(BTC)
    wait_until(lambda: suite.get("/api/sink-ticks/count/ticks")["count"] == ticks, "each trade to be on the tape once")

    def equal() -> bool:
        book = suite.get(f"/api/gateway/book/{BTC}", depth=20)
        return (book["status"], book["bids"], book["asks"]) == (
            "LIVE",
            [list(level) for level in bids[:20]],
            [list(level) for level in asks[:20]],
        )

    wait_until(equal, "the book to be the venue's")


def test_a_venue_is_followed_through_cuts_and_a_crash_of_the_gateway(tmp_path: Path) -> None:
    tongue = BinanceTongue((BTC,))
    with venue_beside(tongue, made((BTC,), 1200)) as beside:
        at = beside.venue.endpoints
        feeds = {"binance": {"symbols": [BTC], "stream_url": at.stream, "rest_url": at.rest}}
        settings = {"GATEWAY_SIMULATE": "false", "GATEWAY_STALE_AFTER_S": "600", "GATEWAY_FEEDS": json.dumps(feeds)}
        with running(tmp_path, **settings) as suite:
            wait_until(lambda: len(beside.venue.topics) == 3, "the gateway to subscribe")
            beside.do(beside.venue.play(300))
            _assert_followed(suite, beside, tongue)

            beside.do(beside.venue.cut())
            wait_until(lambda: beside.venue.joined == 2 and len(beside.venue.topics) == 3, "it to come back")
            beside.do(beside.venue.play(300))
            _assert_followed(suite, beside, tongue)

            suite.kill("gateway")
            wait_until(lambda: beside.venue.joined == 3 and len(beside.venue.topics) == 3, "it to come back")
            beside.do(beside.venue.play())
            _assert_followed(suite, beside, tongue)
            assert _feed(suite)["status"] == "LIVE"
