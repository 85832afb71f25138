"""What risk said of an order, kept in short and told in full: the real risk over the oms's own store."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.risk.service import wire
from shared.contract import keys, subjects
from shared.contract.errors import Refused, Unavailable
from shared.contract.risk import RiskCheck, Verdict
from shared.kit.fakes import FakeClock, deliver, fake_kit, question
from shared.kit.web import to_json
from tests.services.oms.running import Desk
from tests.services.risk.conftest import INSTRUMENTS, NOW_NS, quote, settings


@pytest.fixture
async def desk() -> Desk:
    """A desk whose questions reach the real risk as they would over the bus."""
    kit = fake_kit("risk", clock=FakeClock(NOW_NS), instruments=INSTRUMENTS)
    risk = wire(kit, settings())
    await risk.recovers()
    await deliver(risk, subjects.QUOTE, quote())
    of_oms = fake_kit("oms", clock=kit.clock, instruments=INSTRUMENTS)
    of_oms.__dict__["valkey"] = kit.valkey
    desk = Desk(of_oms)

    async def ask(check: RiskCheck) -> Verdict:
        answer = await question(risk, subjects.RISK_CHECK, RiskCheck.decode(check.encode()))
        return Verdict.decode(answer.encode())

    desk.kit.bus.answers[subjects.RISK_CHECK.pattern] = ask
    return desk


async def why(desk: Desk, order_id: str) -> dict[str, Any]:
    return orjson.loads(to_json(await desk.get("/orders/{order_id}/why", order_id)))


async def test_every_rule_that_was_looked_at_is_told_of_an_order_that_was_let_through(desk: Desk) -> None:
    order = await desk.order(type="LIMIT", price="99")
    words = desk.kit.valkey.store[keys.verdict("default", order.order_id)]

    verdict = (await why(desk, order.order_id))["verdict"]

    assert len(words) < 900
    assert len(verdict["rules"]) > 30
    assert {"shape", "values"}.isdisjoint(verdict)
    found = {rule["code"]: rule for rule in verdict["rules"]}
    scope = "account.default.symbol.BTCUSDT"
    assert found["RISK_ORDER_QUANTITY"] == {
        **{"id": "R07", "code": "RISK_ORDER_QUANTITY", "value": "3", "limit": "10"},
        **{"scope": scope, "outcome": "PASS"},
    }
    assert found["RISK_BUYING_POWER"]["value"] == "297.1485"
    assert found["RISK_BUYING_POWER"]["limit"] == "1000000", "the cash of that moment"
    told = await desk.get("/orders/{order_id}/events", order.order_id)
    assert [rule.code for rule in told["verdict"].rules] == [rule["code"] for rule in verdict["rules"]]


async def test_every_rule_that_was_looked_at_is_told_of_an_order_that_was_denied(desk: Desk) -> None:
    with pytest.raises(Refused) as first:
        await desk.submit(quantity="11", type="LIMIT", price="99")
    with pytest.raises(Refused) as again:
        await desk.submit(quantity="11", type="LIMIT", price="99")

    assert len(first.value.extra["rules"]) > 30  # type: ignore[arg-type]
    assert again.value.extra == first.value.extra
    order_id = str(first.value.extra["order_id"])
    assert len((await why(desk, order_id))["verdict"]["rules"]) > 30


async def test_the_first_answer_is_given_again(desk: Desk) -> None:
    first, again = await desk.submit(type="LIMIT", price="99"), await desk.submit(type="LIMIT", price="99")

    assert again.headers == {"Idempotency-Replayed": "true"}
    assert again.body == first.body


async def test_a_verdict_whose_shape_is_gone_is_not_told_as_if_nothing_was_looked_at(desk: Desk) -> None:
    order = await desk.order(type="LIMIT", price="99")
    shape = keys.shape(orjson.loads(desk.kit.valkey.store[keys.verdict("default", order.order_id)])["shape"])
    del desk.kit.valkey.store[shape]

    with pytest.raises(Unavailable, match=shape):
        await why(desk, order.order_id)
