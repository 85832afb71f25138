"""How refusals read, and what is said when nobody answers."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from shared.cli.door import Away, Door, Unanswered, read, segment
from shared.cli.trouble import Trouble
from tests.servers import free_port


def problem(status: int, **words: object) -> str:
    with pytest.raises(Trouble) as refusal:
        read(status, json.dumps(words).encode())
    return str(refusal.value)


def test_an_answer_is_its_json() -> None:
    assert read(200, b'{"a": 1}') == {"a": 1}
    assert read(204, b"") is None


def test_a_refusal_is_one_line_that_names_the_field_and_the_code() -> None:
    errors = [{"field": "quantity", "message": "quantity: must be\n greater than 0"}]
    words = problem(422, code="INVALID", detail="quantity: must be greater than 0", errors=errors)
    assert words == "quantity: must be greater than 0 (INVALID, 422)"


def test_every_field_at_fault_is_named() -> None:
    errors = [{"field": "side", "message": "is required"}, {"field": "symbol", "message": "is required"}]
    assert problem(422, code="INVALID", errors=errors) == "side: is required; symbol: is required (INVALID, 422)"


def test_a_refusal_without_fields_says_its_detail() -> None:
    assert problem(503, code="UNAVAILABLE", detail="risk is recovering") == "risk is recovering (UNAVAILABLE, 503)"
    assert problem(500) == "refused (500)"


def test_an_answer_that_is_not_json_is_shown_as_it_is() -> None:
    with pytest.raises(Trouble, match=r"\(502\) is not JSON: b'<html>'"):
        read(502, b"<html>")


def test_without_a_suite_the_way_to_start_one_is_said() -> None:
    port = free_port()
    with pytest.raises(Trouble, match=f"no suite answers on http://127.0.0.1:{port}; start one with: trade2026 up"):
        Door("127.0.0.1", port).get("/system/status")


def test_a_request_that_was_sent_and_not_answered_is_unknown_and_not_failed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Unanswered):
            Door("127.0.0.1", server.getsockname()[1]).post("/orders", {"symbol": "BTCUSDT"})
        thread.join()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_door_with_nobody_behind_it_is_told_from_a_refusal(status: int) -> None:
    with pytest.raises(Away):
        read(status, b'{"detail": "risk is away"}')


def test_a_word_of_a_path_cannot_lead_elsewhere() -> None:
    assert segment("../a b?c") == "..%2Fa%20b%3Fc"
