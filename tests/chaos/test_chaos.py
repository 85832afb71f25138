"""The suite is broken for a few minutes in every way there is, and nothing acknowledged is lost or doubled."""

from __future__ import annotations

import pytest

from tests.chaos.__main__ import main

pytestmark = pytest.mark.suite

SEED = 2026


def test_no_invariant_is_violated_by_any_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        assert main(["--profile", "pr", "--seed", str(SEED)]) == 0, "the command that repeats it is printed above"
