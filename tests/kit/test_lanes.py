"""Lanes: one at a time per key."""

from __future__ import annotations

import asyncio

from shared.kit.lanes import Lanes


async def test_a_key_is_worked_in_order_and_one_at_a_time() -> None:
    done: list[tuple[str, int]] = []
    busy: set[str] = set()

    async def work(item: tuple[str, int]) -> None:
        key, _ = item
        assert key not in busy
        busy.add(key)
        for _ in range(3):
            await asyncio.sleep(0)
        busy.remove(key)
        done.append(item)

    lanes = Lanes(work)
    for n in range(50):
        lanes.put(f"key{n % 5}", (f"key{n % 5}", n))
    await lanes.drained()

    for key in range(5):
        assert [n for k, n in done if k == f"key{key}"] == list(range(key, 50, 5))


async def test_a_slow_key_does_not_hold_up_another() -> None:
    gate = asyncio.Event()
    done: list[str] = []

    async def work(key: str) -> None:
        if key == "slow":
            await gate.wait()
        done.append(key)
        if key == "quick":
            gate.set()

    lanes = Lanes(work)
    lanes.put("slow", "slow")
    lanes.put("quick", "quick")
    await lanes.drained()

    assert done == ["quick", "slow"]
