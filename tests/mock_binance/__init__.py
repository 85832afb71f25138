"""A mock of Binance spot: its REST, its WebSocket API and its user data, over real sockets, with faults on order."""

from __future__ import annotations

from tests.mock_binance.engine import Engine, Refusal
from tests.mock_binance.server import KEY, SECRET, MockBinance

__all__ = ["KEY", "SECRET", "Engine", "MockBinance", "Refusal"]
