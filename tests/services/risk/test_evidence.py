"""The evidence is true: its tests are there, and nothing is said that it does not account for."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from services.risk.core.evidence.clauses import CLAUSES
from services.risk.core.evidence.proof import Proof
from services.risk.core.evidence.shown import PROOFS, evidence
from services.risk.settings import Settings
from shared.contract.risk import Limits

CHECKOUT = Path(__file__).resolve().parents[3]
CODE = sorted((CHECKOUT / "services" / "risk").rglob("*.py"))
SOURCES = [path for path in CODE if path.parent.name != "evidence"]

every_proof = pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.rule)


@cache
def named_in(path: str) -> set[str]:
    tree = ast.parse((CHECKOUT / path).read_text())
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {node.name for node in functions if node.name.startswith("test_")}


def spoken(pattern: str) -> set[str]:
    """Every word of that pattern that risk's code writes out, save in docstrings."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(pattern, node.value):
                found.add(node.value)
    return found


def test_every_code_that_risk_can_say_is_accounted_for_and_no_other() -> None:
    assert {code for proof in PROOFS for code in proof.codes} == spoken(r"RISK_[A-Z_]+")


def test_a_code_belongs_to_one_control() -> None:
    codes = [code for proof in PROOFS for code in proof.codes]
    assert len(codes) == len(set(codes))


def test_every_rule_that_is_looked_at_is_accounted_for() -> None:
    assert spoken(r"R\d\d") <= {proof.rule for proof in PROOFS}


@every_proof
def test_every_control_is_proved_by_tests_that_exist(proof: Proof) -> None:
    assert proof.tests, f"{proof.rule} is proved by nothing"
    named = [test.partition("::") for test in proof.tests]
    assert [f"{path}::{name}" for path, _, name in named if name not in named_in(path)] == []


@every_proof
def test_every_control_answers_to_a_clause_that_is_explained(proof: Proof) -> None:
    assert proof.clauses
    assert set(proof.clauses) <= set(CLAUSES)


def test_every_clause_is_answered() -> None:
    assert set(CLAUSES) - {clause for proof in PROOFS for clause in proof.clauses} == set()


@every_proof
def test_what_governs_a_control_is_a_limit_or_a_setting(proof: Proof) -> None:
    assert set(proof.governed_by) <= {*Limits.model_fields, *Settings.model_fields}


def test_every_limit_governs_something() -> None:
    assert set(Limits.model_fields) - {name for proof in PROOFS for name in proof.governed_by} == set()


def test_the_evidence_shows_the_limits_of_the_moment() -> None:
    limits = {"firm": {"loss_max": "5000", "messages_per_s_max": "100"}, "settings": {"loss_action": "HALTED"}}
    shown = {entry.rule: entry for entry in evidence(limits)}
    assert shown["R17"].limits == {"firm.loss_max": "5000", "settings.loss_action": "HALTED"}
    assert shown["R12"].limits == {"firm.messages_per_s_max": "100"}
    assert shown["R14"].clauses["SEC 15c3-5(c)(1)(ii)"].endswith("duplicative")
    assert len(shown) == len(PROOFS)
