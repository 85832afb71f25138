"""The doors, over real sockets: problems name their field and their mend, and nothing is a 500 but a bug."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import structlog
import uvicorn

from shared.contract.accounts import Position
from shared.contract.base import Message as Words
from shared.contract.errors import Conflict, NotFound, Refused, Unavailable
from shared.contract.orders import SubmitOrder
from shared.kit.clock import SystemClock
from shared.kit.hot_door import hot_doors
from shared.kit.meter import Meter
from shared.kit.service import get, post
from shared.kit.web import BODY_BYTES_MAX, Doors, IdempotencyKey, Reply, open_app, to_json
from tests.servers import free_port

RAISED = {
    "refused": Refused("RISK_X", "over the limit", field="quantity", extra={"order_id": "o1"}),
    "missing": NotFound("there is no such order"),
    "conflict": Conflict("REUSED", "another order"),
    "away": Unavailable("NATS is away", retry_after_s=2),
    "bug": ZeroDivisionError("secret internals"),
}


async def fail(kind: str) -> None:
    raise RAISED[kind]


async def submit(command: SubmitOrder, idempotency_key: IdempotencyKey = None) -> Reply:
    return Reply(command, status=201, headers={"X-Key": idempotency_key or ""})


async def listed(limit: int = 10) -> dict[str, Any]:
    return {"limit": limit}


async def always() -> None:
    return None


class Failing(Words):
    kind: str


async def fail_posted(failing: Failing) -> None:
    raise RAISED[failing.kind]


@pytest.fixture(params=["plain", "hot"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    hot = request.param == "hot"
    posts = [post("/orders", submit, hot=hot), post("/fail", fail_posted, hot=hot)]
    routes = [get("/fail/{kind}", fail), get("/list", listed), *posts]
    app = open_app("test", "1", routes, always)
    doors = Doors(app, SystemClock(), Meter("test"), structlog.get_logger(), hot_doors(routes, always))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(doors, port=port, log_config=None, lifespan="off", ws="none"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        yield client
    server.should_exit = True
    await serving


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("refused", 422, "RISK_X"),
        ("missing", 404, "NOT_FOUND"),
        ("conflict", 409, "REUSED"),
        ("away", 503, "UNAVAILABLE"),
        ("bug", 500, "INTERNAL"),
    ],
)
async def test_each_failure_has_its_problem(client: httpx.AsyncClient, kind: str, status: int, code: str) -> None:
    headers = {"X-Request-Id": "r1"}
    for answer in (
        await client.get(f"/fail/{kind}", headers=headers),
        await client.post("/fail", json={"kind": kind}, headers=headers),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["request_id"]) == (status, code, "r1")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == "r1"
        assert "secret internals" not in answer.text


async def test_a_refusal_carries_its_field_and_more(client: httpx.AsyncClient) -> None:
    problem = (await client.get("/fail/refused")).json()

    assert problem["errors"] == [{"field": "quantity", "message": "over the limit"}]
    assert problem["order_id"] == "o1"


async def test_an_unready_world_says_when_to_come_again(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fail/away")).headers["retry-after"] == "2"


ORDER = '"symbol": "BTCUSDT", "side": "BUY"'


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{" + ORDER + "}", "quantity"),
        ("{" + ORDER + ', "quantity": -1}', "quantity"),
        ("{" + ORDER + ', "quantity": 0}', "quantity"),
        ("{" + ORDER + ', "quantity": NaN}', "quantity"),
        ("{" + ORDER + ', "quantity": 1e999}', "quantity"),
        ("{" + ORDER + ', "quantity": "1e999"}', "quantity"),
        ("{" + ORDER + ', "quantity": [1]}', "quantity"),
        ("{" + ORDER + ', "quantity": 1, "qty": 1}', "qty"),
        ("{" + ORDER + ', "quantity": 1, "type": "LIMIT"}', "price"),
        ("{" + ORDER + ', "quantity": 1, "type": "MARKET", "price": 1}', "price"),
        ("{" + ORDER + ', "quantity": 1, "account": "a b"}', "account"),
        ("{" + ORDER + ', "quantity": 1, "account": "a.b"}', "account"),
        ('{"symbol": "*", "side": "BUY", "quantity": 1}', "symbol"),
        ('{"symbol": 7, "side": "BUY", "quantity": 1}', "symbol"),
        ("{", "body"),
        ("", "body"),
        ("[]", "body"),
        ('"text"', "body"),
        ("\x00", "body"),
    ],
)
async def test_bad_input_names_its_field(client: httpx.AsyncClient, body: str, field: str) -> None:
    answer = await client.post("/orders", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]], answer.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_what_a_foreign_page_could_send_unasked_is_no_order(client: httpx.AsyncClient, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/orders", content="{" + ORDER + ', "quantity": 1}', headers=headers)

    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["detail"]


async def test_a_good_order_is_taken_in_any_case_and_spelling(client: httpx.AsyncClient) -> None:
    words = {"symbol": "btc/usdt", "side": "sell", "type": "limit", "price": 10.5, "quantity": "0.10"}
    answer = await client.post("/orders", json=words, headers={"Idempotency-Key": "k1"})

    order = answer.json()
    assert (answer.status_code, answer.headers["x-key"]) == (201, "k1")
    assert (order["symbol"], order["side"], order["price"], order["quantity"]) == ("BTCUSDT", "SELL", "10.5", "0.1")


async def test_an_idempotency_key_that_could_break_a_key_is_refused(client: httpx.AsyncClient) -> None:
    words = {"symbol": "BTCUSDT", "side": "BUY", "quantity": 1}
    answer = await client.post("/orders", json=words, headers={"Idempotency-Key": "a b.>"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_a_body_too_large_is_413_with_and_without_a_stated_length(client: httpx.AsyncClient) -> None:
    large = b"x" * (BODY_BYTES_MAX + 1)

    async def dripping() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    for content in (large, dripping()):
        answer = await client.post("/orders", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert answer.json()["code"] == "BODY_TOO_LARGE"


async def test_an_unknown_path_or_method_is_a_problem_too(client: httpx.AsyncClient) -> None:
    for answer, status in ((await client.get("/none"), 404), (await client.put("/orders"), 405)):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/list/", "/fail/bug/", "/none/"])
async def test_a_path_too_long_by_a_slash_is_unknown_and_leads_nowhere_else(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert "ask without a slash at its end" in answer.json()["detail"]
    assert "location" not in answer.headers


def test_what_a_client_wrote_is_never_taken_for_a_time() -> None:
    words = {"symbol": "BTCUSDT", "side": "BUY", "quantity": 1, "metadata": {"x_ns": '5,"y_ns":6,', "at_ns": "7"}}
    command = SubmitOrder.model_validate(words)

    assert orjson.loads(to_json(command))["metadata"] == words["metadata"]


def test_a_time_leaves_as_rfc_3339_beside_its_exact_nanoseconds() -> None:
    position = Position(account="a", symbol="BTCUSDT", updated_ns=1_700_000_000_000_000_001)

    [words] = orjson.loads(to_json({"held": [position]}))["held"]

    assert words["updated_at"] == "2023-11-14T22:13:20.000000001Z"
    assert words["updated_ns"] == "1700000000000000001"


async def test_a_query_of_the_wrong_type_names_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/list?limit=many")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "limit"


async def test_what_a_route_does_not_know_is_refused_and_not_overlooked(client: httpx.AsyncClient) -> None:
    misspelt = await client.get("/list?limmit=5")
    assert (misspelt.status_code, misspelt.json()["errors"][0]["field"]) == (422, "limmit")
    assert "known: limit" in misspelt.json()["detail"]

    unread = await client.request("GET", "/list", json={"limit": 5})
    assert (unread.status_code, unread.json()["errors"][0]["field"]) == (422, "body")
    assert "in the query: limit" in unread.json()["detail"]
    assert (await client.request("GET", "/list", json={})).status_code == 200, "nothing is nothing"
