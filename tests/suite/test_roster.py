"""The roster, held against the folders, the ports and the map in the README."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from shared.contract.roster import NATS_MONITOR_PORT, NATS_PORT, ROSTER, VALKEY_PORT, Entry

CHECKOUT = Path(__file__).resolve().parents[2]
SERVICES = CHECKOUT / "services"
PARTS = {"__init__", "service", "core", "store", "settings", "feeds", "venues"}
MAP_HEAD = "| service | port | owns |"

every_service = pytest.mark.parametrize("entry", ROSTER, ids=lambda entry: entry.name)


def test_every_service_has_a_folder_and_every_folder_a_service() -> None:
    folders = {path.name for path in SERVICES.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {entry.package for entry in ROSTER}


def test_no_two_ports_are_the_same() -> None:
    ports = [NATS_PORT, NATS_MONITOR_PORT, VALKEY_PORT, *(entry.port for entry in ROSTER)]
    assert len(set(ports)) == len(ports)


def test_lanes_are_frontend_low_latency_and_backend() -> None:
    assert all(entry.lanes and set(entry.lanes) <= set("FLB") for entry in ROSTER)


@every_service
def test_a_service_has_the_parts_that_all_have_and_no_others(entry: Entry) -> None:
    parts = {path.stem for path in (SERVICES / entry.package).iterdir() if path.name != "__pycache__"}
    assert {"__init__", "service", "settings"} <= parts <= PARTS


@every_service
def test_a_service_says_in_one_to_three_lines_what_it_owns(entry: Entry) -> None:
    text = (SERVICES / entry.package / "__init__.py").read_text()
    charter = ast.get_docstring(ast.parse(text))
    assert charter
    assert len(text.strip().splitlines()) <= 3


@every_service
def test_a_service_joins_the_world_in_at_most_150_lines(entry: Entry) -> None:
    assert len((SERVICES / entry.package / "service.py").read_text().splitlines()) <= 150


@every_service
def test_a_service_wires_itself_first(entry: Entry) -> None:
    tree = ast.parse((SERVICES / entry.package / "service.py").read_text())
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert defined[0] == "wire"


def test_the_readme_maps_the_roster() -> None:
    lines = (CHECKOUT / "README.md").read_text().splitlines()
    start = lines.index(MAP_HEAD) + 2
    rows: list[tuple[str, int]] = []
    for line in lines[start:]:
        found = re.match(r"\| `?([a-z-]+)`? \| (\d+) \| \S", line)
        if found is None:
            break
        rows.append((found[1], int(found[2])))
    assert sorted(rows) == sorted((entry.name, entry.port) for entry in ROSTER)
