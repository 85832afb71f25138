"""Taste that a machine can check, over every file of the project."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CODE = sorted(path for folder in ("services", "shared") for path in (CHECKOUT / folder).rglob("*.py"))
TESTS = sorted((CHECKOUT / "tests").rglob("*.py"))

FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 400

LOSERS = {"exchange", "ticker", "tickers", "candle", "candles", "qty", "util", "utils", "helper", "helpers", "impl"}
LOSING_CLASS = re.compile(r"(Manager|Helper|Processor|Utils?|Base|Impl)$")
SPOKEN_IN_ROUTES = {"services/gateway": {"ticker", "tickers"}}
"""Names that the outside has fixed, and where they may stand."""

WAITS_BY_THE_CLOCK = {"tests/bench/__main__.py", "tests/bench/load.py", "tests/bench/ticks.py"}
"""Measuring is done against a clock."""


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


every_file = pytest.mark.parametrize("path", CODE, ids=name_of)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def defined(tree: ast.AST) -> Iterator[str]:
    """Every name this file gives to something."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


def sleeps(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of time.sleep and asyncio.sleep, save those that only let others run."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=[ast.Constant(value=0)]):
                pass
            case ast.Call(func=ast.Attribute(attr="sleep", value=ast.Name(id="time" | "asyncio"))):
                yield node
            case _:
                pass


def words(name: str) -> set[str]:
    return {word.lower() for part in name.split("_") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", part)}


@every_file
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "it has no docstring"


@every_file
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions(ast.parse(path.read_text()))}
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES_MAX} == {}


@every_file
def test_no_file_is_too_long_to_be_read(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX


@every_file
def test_things_go_by_their_one_name(path: Path) -> None:
    allowed = {word for folder, some in SPOKEN_IN_ROUTES.items() if name_of(path).startswith(folder) for word in some}
    found = {name for name in defined(ast.parse(path.read_text())) if (words(name) & LOSERS) - allowed}
    assert found == set()


@every_file
def test_no_class_is_named_after_nothing(path: Path) -> None:
    classes = [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)]
    assert [name for name in classes if LOSING_CLASS.search(name)] == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_wait_for_a_condition_and_do_not_sleep(path: Path) -> None:
    if name_of(path) in WAITS_BY_THE_CLOCK:
        return
    tree = ast.parse(path.read_text())
    polling = {id(node) for loop in ast.walk(tree) if isinstance(loop, ast.While) for node in ast.walk(loop)}
    assert [node.lineno for node in sleeps(tree) if id(node) not in polling] == []


@pytest.mark.parametrize("lock", ["core.txt", "dev.txt"])
def test_a_lock_pins_everything_by_hash_and_names_no_place(lock: str) -> None:
    text = (CHECKOUT / "requirements" / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--?(index-url|extra-index-url|find-links|trusted-host|i|f)\b", text, re.MULTILINE)
    pins = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pins) > 30
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_what_is_tested_with_is_what_is_run_with() -> None:
    def pinned(lock: str) -> set[str]:
        text = (CHECKOUT / "requirements" / lock).read_text()
        return set(re.findall(r"^[a-z0-9][^\\\n]*", text, re.MULTILINE))

    assert pinned("core.txt") <= pinned("dev.txt")


def test_the_floors_hold() -> None:
    checked = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=CHECKOUT, capture_output=True, text=True, timeout=120
    )
    assert checked.returncode == 0, checked.stdout[-3000:]
