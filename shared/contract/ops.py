"""How services speak of themselves."""

from __future__ import annotations

from pydantic import Field

from shared.contract.base import Account, Message, Name, Nanos, Word


class ServiceState(Word):
    """A process's life: STARTING, RUNNING, DRAINING, then STOPPED, or FAILED."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DRAINING = "DRAINING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


class Check(Message):
    """One thing a service needs, and whether it is there."""

    name: str
    ok: bool
    detail: str = ""


class Health(Message):
    """What `/readyz` and `/health` answer: 200 with `ready`, else 503 with `unready` and the failing checks."""

    status: str
    service: str
    state: ServiceState
    checks: tuple[Check, ...] = ()


class Version(Message):
    """Which code this is, and on which Python it runs."""

    service: str
    version: str
    git: str
    python: str


class Parked(Message):
    """A message that could not be read or broke its handler, set aside for a person to look at: its first 64 KiB."""

    service: str
    subject: str
    error: str = Field(max_length=2000)
    payload: str
    at_ns: Nanos


class Alert(Message):
    """Something a person should look at. `code` is stable; `about` names the thing."""

    service: Name
    code: str
    account: Account | None = None
    about: str = ""
    message: str
    at_ns: Nanos
