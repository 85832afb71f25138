"""Risk, asked over NATS with every rule on; the questions reserve nothing."""

from __future__ import annotations

import asyncio

from nats.aio.client import Client

from shared.contract.risk import RiskCheck
from tests.bench.load import Load, open_loop, saturate
from tests.bench.orders import named
from tests.journeys.rig import Suite

CHECK = RiskCheck.model_validate({"symbol": "BTCUSDT", "side": "BUY", "quantity": "0.001"}).encode()


async def _steady(suite: Suite, seconds: float) -> Load:
    client = await _client(suite)

    async def send(_n: int) -> bool:
        return b'"approved":true' in (await client.request("risk.check", CHECK, timeout=5)).data

    load = await open_loop(send, rate_per_s=1000, seconds=seconds)
    await client.close()
    return load


async def _pipelined(suite: Suite, seconds: float) -> Load:
    client = await _client(suite)

    async def send(_n: int) -> bool:
        return b'"approved":true' in (await client.request("risk.check", CHECK, timeout=5)).data

    load = await saturate(send, at_once=256, seconds=seconds)
    await client.close()
    return load


async def _client(suite: Suite) -> Client:
    return await suite.nats()


def steady(suite: Suite, seconds: float) -> dict[str, float]:
    return named("risk checks at 1,000/s", asyncio.run(_steady(suite, seconds)))


def pipelined(suite: Suite, seconds: float) -> dict[str, float]:
    return named("risk checks, 256 under way", asyncio.run(_pipelined(suite, seconds)))
