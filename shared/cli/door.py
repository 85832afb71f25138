"""The suite's front door, over HTTP: what the command line asks, and how a refusal reads in one line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from shared.cli.trouble import Trouble

TIMEOUT_S = 15.0
AWAY = (502, 503, 504)


class Away(Trouble):
    """Nobody is there who could do it."""


class Unanswered(Away):
    """The request was sent and no answer came: whether it was done is unknown."""


class Door:
    """The orchestrator, which leads to every service. Nothing is ever sent twice."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def get(self, path: str, **query: object) -> Any:
        """What stands at a path; options that are None are left out."""
        return self._ask("GET", _address(path, query))

    def post(self, path: str, body: Mapping[str, object], **query: object) -> Any:
        """Ask for something to be done; fields and options that are None are left out."""
        return self._ask("POST", _address(path, query), _given(body))

    def patch(self, path: str, body: Mapping[str, object]) -> Any:
        """Ask for something to be changed; fields that are None stay as they are."""
        return self._ask("PATCH", path, _given(body))

    def delete(self, path: str, **query: object) -> Any:
        """Ask for something to end; options that are None are left out."""
        return self._ask("DELETE", _address(path, query))

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        payload = None if body is None else json.dumps(body)
        try:
            connection.connect()
        except OSError:
            raise Away(f"no suite answers on http://{self._host}:{self._port}; start one with: trade2026 up") from None
        try:
            connection.request(method, path, payload, {"Content-Type": "application/json"} if payload else {})
            answer = connection.getresponse()
            status, words = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unanswered(f"no answer to {method} {path} ({error or type(error).__name__})") from None
        finally:
            connection.close()
        return read(status, words)


def read(status: int, words: bytes) -> Any:
    """The answer's JSON; `Trouble` when it is a problem, or not JSON."""
    try:
        answer = json.loads(words) if words else None
    except ValueError:
        raise Trouble(f"the answer ({status}) is not JSON: {words[:120]!r}") from None
    if status >= 400:
        raise (Away if status in AWAY else Trouble)(problem_line(status, answer))
    return answer


def problem_line(status: int, answer: Any) -> str:
    """A problem document in one line: what is wrong with which field, and its code."""
    if not isinstance(answer, Mapping):
        return f"refused ({status})"
    faults = [f"{fault.get('field')}: {_without(fault)}" for fault in answer.get("errors") or []]
    said = "; ".join(faults) or str(answer.get("detail") or answer.get("title") or "refused")
    code = answer.get("code", "")
    return f"{' '.join(said.split())} ({f'{code}, ' if code else ''}{status})"


def _without(fault: Mapping[str, Any]) -> str:
    # A message that begins with its field's name would say it twice.
    return str(fault.get("message", "")).removeprefix(f"{fault.get('field')}: ")


def segment(word: str) -> str:
    """One word of a path, whatever is in it."""
    return quote(word, safe="")


def _given(words: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in words.items() if value is not None}


def _address(path: str, query: Mapping[str, object]) -> str:
    given = {name: _word(value) for name, value in _given(query).items()}
    return f"{path}?{urlencode(given)}" if given else path


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
