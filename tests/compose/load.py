"""A trader that never gives up: each order is sent under its own id until it is answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import httpx

ACCOUNT = "load"
EVERY_S = 0.05
AGAIN_S = 0.2


class Trader:
    """`with Trader() as trader`: orders flow; at the end each of them has been answered."""

    def __init__(self, door: str) -> None:
        self.acknowledged: dict[str, dict[str, Any]] = {}
        """The answer to each client order id."""
        self.answers: Counter[int] = Counter()
        self._http = httpx.Client(base_url=door, trust_env=False, timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._trade)

    def __enter__(self) -> Trader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(120)
        self._http.close()
        assert not self._thread.is_alive(), "an order was never answered"

    def _trade(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            words = {"account": ACCOUNT, "client_order_id": f"load-{number}", "symbol": "BTCUSDT", "quantity": "0.001"}
            self._submit({**words, "side": "SELL" if number % 3 == 0 else "BUY"})
            time.sleep(EVERY_S)

    def _submit(self, words: dict[str, Any]) -> None:
        """Until it was taken or denied; whatever else is said leaves it unknown."""
        while True:
            try:
                answer = self._http.post("/api/oms/orders", json=words)
            except httpx.HTTPError:
                self.answers[0] += 1
            else:
                self.answers[answer.status_code] += 1
                if answer.status_code in {200, 422}:
                    self.acknowledged[words["client_order_id"]] = answer.json()
                    return
            time.sleep(AGAIN_S)
