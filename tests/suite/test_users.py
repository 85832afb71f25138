"""The users of NATS and Valkey, held against the services' code and against the example that is shipped."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from shared.cli.users import NATS_USERS, VALKEY_USERS, make_passwords, nats_users, valkey_users
from shared.contract.roster import ROSTER, Entry
from shared.kit import Service
from shared.kit.permissions import at_nats, at_valkey
from shared.kit.run import prepare
from shared.kit.settings import Suite
from tests.suite.test_subjects import wired

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "secrets.example"
OWNED = {"owner", "shard"}

every_service = pytest.mark.parametrize("entry", ROSTER, ids=lambda entry: entry.name)


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    return {entry.name: wired(entry) for entry in ROSTER}


def spoken_of(package: Path) -> set[str]:
    """Every kind of keys that a service's code makes one of."""
    found: set[str] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="keys"), attr=name)):
                    found.add(name)
                case _:
                    pass
    return found


@every_service
def test_a_service_is_allowed_the_keys_that_its_code_speaks_of(entry: Entry, services: dict[str, Service]) -> None:
    listed = (*services[entry.name].keeps, *services[entry.name].reads)
    names = {one.partition(":")[0] if isinstance(one, str) else one.__name__ for one in listed}
    assert names == spoken_of(CHECKOUT / "services" / entry.package)


def test_a_kind_of_keys_is_kept_by_one_service(services: dict[str, Service]) -> None:
    kept = [key for one in services.values() for key in one.keeps if not isinstance(key, str)]
    shared = [key for key in kept if not OWNED & set(inspect.signature(key).parameters)]
    assert len(shared) == len(set(shared))


def test_what_is_read_is_kept_by_somebody(services: dict[str, Service]) -> None:
    kept = {key for one in services.values() for key in one.keeps}
    read = {key for one in services.values() for key in one.reads if not isinstance(key, str)}
    assert read - kept == set()


def test_who_touches_a_server_is_known_there(services: dict[str, Service]) -> None:
    at = {"bus": set(at_nats(services)), "valkey": set(at_valkey(services))}
    for name, life in prepare(Suite()).items():
        for part, users in at.items():
            assert life._kit.touched(part) == (name in users), f"{name} and its {part}"


def test_the_example_says_what_the_tables_say(services: dict[str, Service]) -> None:
    passwords = make_passwords(EXAMPLE)
    mend = "trade2026 secrets secrets.example"
    assert (EXAMPLE / NATS_USERS).read_text() == nats_users(passwords, at_nats(services)), mend
    assert (EXAMPLE / VALKEY_USERS).read_text() == valkey_users(passwords, at_valkey(services)), mend


def test_nobody_has_anothers_password() -> None:
    passwords = make_passwords(EXAMPLE)
    assert len(set(passwords.values())) == len(passwords) == len(ROSTER) + 1
