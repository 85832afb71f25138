"""Users of NATS and Valkey: a password for each service and for the operator, and what each of them may do there.

In a folder lie a file with each password and two that the servers read. Made again, passwords stay and rules are those
of today's tables.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from shared.cli.trouble import Trouble
from shared.contract.roster import COPIES_MAX, ROSTER
from shared.kit.permissions import OPERATOR, Subjects, at_nats, at_valkey
from shared.kit.service import Service
from shared.kit.settings import password_file

NATS_USERS = "nats_users"
VALKEY_USERS = "valkey_users"
PASSWORD_BYTES = 32

ANYBODY = "user default on nopass resetchannels -@all +ping"
"""Who comes to Valkey without a name may ask whether it is there."""


def make_passwords(folder: Path) -> dict[str, str]:
    """Everybody's, in files of their own; those that are there stay."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {name: _password(folder / password_file(name)) for name in (OPERATOR, *(one.name for one in ROSTER))}
    except OSError as error:
        raise _cannot(folder, error) from None


def _password(path: Path) -> str:
    try:
        if password := path.read_text().strip():
            return password
    except FileNotFoundError:
        pass
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    _write(path, password + "\n")
    return password


def write_rules(folder: Path, services: Mapping[str, Service], copies: int = COPIES_MAX) -> None:
    """The files for the servers, from passwords that are there."""
    passwords = make_passwords(folder)
    try:
        _write(folder / NATS_USERS, nats_users(passwords, at_nats(services, copies)))
        _write(folder / VALKEY_USERS, valkey_users(passwords, at_valkey(services)))
    except OSError as error:
        raise _cannot(folder, error) from None


def _cannot(folder: Path, error: OSError) -> Trouble:
    return Trouble(f"{error.filename or folder} cannot be used by user {os.getuid()}: {error.strerror}")


def _write(path: Path, words: str) -> None:
    """In one step, for its owner alone; whose it was it stays."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(words)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileNotFoundError):
        before = path.stat()
        fresh.chmod(before.st_mode & 0o777)
        if before.st_uid != os.getuid():
            os.chown(fresh, before.st_uid, before.st_gid)
    fresh.replace(path)


def nats_users(passwords: Mapping[str, str], allowed: Mapping[str, Subjects]) -> str:
    """What NATS's configuration includes. Whoever is not in it does not get in."""
    users = [f"    {{ user: {OPERATOR}, password: {json.dumps(passwords[OPERATOR])} }}\n"]
    for name, subjects in allowed.items():
        users.append(
            f"    {{ user: {name}, password: {json.dumps(passwords[name])}, permissions: {{\n"
            f"      publish: {{ allow: [\n{_listed(subjects.publish)}      ] }}\n"
            f"      subscribe: {{ allow: [\n{_listed(subjects.subscribe)}      ] }}\n"
            "    } }\n"
        )
    head = "# Made by `trade2026 secrets` from the tables of the services.\n"
    return f"{head}authorization {{\n  users: [\n{''.join(users)}  ]\n}}\n"


def _listed(subjects: Iterable[str]) -> str:
    return "".join(f"        {json.dumps(subject)}\n" for subject in subjects)


def valkey_users(passwords: Mapping[str, str], rules: Mapping[str, Iterable[str]]) -> str:
    """Valkey's ACL file."""
    lines = [ANYBODY, f"user {OPERATOR} on #{_sum(passwords[OPERATOR])} allkeys allchannels +@all"]
    lines += [f"user {name} on #{_sum(passwords[name])} {' '.join(some)}" for name, some in rules.items()]
    return "\n".join(lines) + "\n"


def _sum(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()
