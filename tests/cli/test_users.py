"""Making the users of NATS and Valkey: what stays when it is done again, what is renewed, and who may read it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.cli.trouble import Trouble
from shared.cli.users import NATS_USERS, VALKEY_USERS, make_passwords, write_rules
from shared.contract import keys
from shared.contract.roster import ROSTER
from shared.contract.subjects import ALERT, FILL, ORDER_REPORT
from shared.kit import Service, on
from tests.journeys.rig import Suite

NOBODY = 65534


async def hear(_: object) -> None:
    """Nothing."""


BEFORE = {"oms": Service(says=(ALERT,), keeps=(keys.order,))}
AFTER = {"oms": Service(hears=(on(ORDER_REPORT, hear, lane="order_id"),), says=(ALERT, FILL), keeps=(keys.order,))}


def test_everybody_has_a_password_that_only_the_owner_of_the_files_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    passwords = make_passwords(folder)
    assert set(passwords) == {"operator", *(entry.name for entry in ROSTER)}
    assert len(set(passwords.values())) == len(passwords)
    assert min(map(len, passwords.values())) >= 43
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_made_again_passwords_stay_and_rules_are_renewed(tmp_path: Path) -> None:
    write_rules(tmp_path, BEFORE)
    passwords, before = make_passwords(tmp_path), (tmp_path / NATS_USERS).read_text()
    assert '"fills.*"' not in before
    assert "oms-orders_account_report" not in before

    write_rules(tmp_path, AFTER)

    after = (tmp_path / NATS_USERS).read_text()
    assert make_passwords(tmp_path) == passwords
    assert '"fills.*"' in after
    assert '"$JS.ACK.ORDERS.oms-4of4-orders_account_report.>"' in after
    assert "oms-5of5" not in after
    write_rules(tmp_path, AFTER, copies=5)
    assert "oms-5of5" in (tmp_path / NATS_USERS).read_text()


def test_valkey_is_not_told_the_passwords_themselves(tmp_path: Path) -> None:
    write_rules(tmp_path, BEFORE)
    written = (tmp_path / VALKEY_USERS).read_text()
    assert not any(password in written for password in make_passwords(tmp_path).values())


@pytest.mark.skipif(os.getuid() != 0, reason="files are given away by root alone")
def test_whose_the_files_were_they_stay(tmp_path: Path) -> None:
    write_rules(tmp_path, BEFORE)
    for path in tmp_path.iterdir():
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o640)

    write_rules(tmp_path, AFTER)

    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {(NOBODY, 0o640)}


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Trouble, match="file.* cannot be used"):
        make_passwords(tmp_path / "file" / "secrets")


def test_the_verb_makes_them_where_it_is_told(tmp_path: Path) -> None:
    said = Suite(tmp_path / "var").run("secrets", str(tmp_path / "made"), "--copies", "2").stdout
    assert str(tmp_path / "made") in said
    assert "now restart NATS and Valkey" in said
    rules = (tmp_path / "made" / NATS_USERS).read_text()
    assert ("oms-2of2" in rules, "oms-1of3" in rules) == (True, False)
    assert not any(word in said for word in make_passwords(tmp_path / "made").values())
