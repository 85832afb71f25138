"""Every knob has a default and a sentence, and the shipped configuration turns only knobs that are there."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from shared.contract.roster import ROSTER, Entry
from shared.kit.settings import Suite, load, load_instruments

CHECKOUT = Path(__file__).resolve().parents[2]
SHIPPED = Suite(config=CHECKOUT / "config", secrets=CHECKOUT / "secrets.example")
SHARED_TABLES = {"instruments", "accounts", "currencies"}

every_service = pytest.mark.parametrize("entry", ROSTER, ids=lambda entry: entry.name)


def kind_of(entry: Entry) -> type[BaseSettings]:
    return importlib.import_module(f"services.{entry.package}.settings").Settings


def faults(kind: type[BaseSettings]) -> list[str]:
    return [
        name
        for name, field in kind.model_fields.items()
        if field.is_required() or not (field.description or "").strip().endswith((".", ")"))
    ]


@every_service
def test_a_knob_has_a_default_and_a_sentence(entry: Entry) -> None:
    assert faults(kind_of(entry)) == []


def test_the_suites_own_knobs_have_a_default_and_a_sentence() -> None:
    assert faults(Suite) == []


@every_service
def test_the_shipped_configuration_is_taken(entry: Entry) -> None:
    load(kind_of(entry), entry.name, SHIPPED)


def test_every_configuration_file_belongs_to_somebody() -> None:
    names = {path.stem for path in (CHECKOUT / "config").glob("*.yaml")}
    assert names <= SHARED_TABLES | {entry.name for entry in ROSTER}


def test_the_shipped_instruments_are_instruments() -> None:
    assert load_instruments(SHIPPED)
