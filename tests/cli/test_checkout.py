"""Which commit the code is: what git says of a checkout, and what was given of anything else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shared.cli.checkout import commit_of


def git(home: Path, *arguments: str) -> str:
    named = ("-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(home), *named, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One with a single commit."""
    (tmp_path / "code").write_text("one")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "code")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


def test_a_checkout_is_its_commit_and_says_when_it_was_changed_since(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "--short", "HEAD")
    assert commit_of("given", checkout) == commit
    (checkout / "code").write_text("two")
    assert commit_of("given", checkout) == f"{commit}-dirty"


def test_what_only_lies_in_a_checkout_of_something_else_is_what_was_given(checkout: Path) -> None:
    (checkout / "unpacked").mkdir()
    assert commit_of("given", checkout / "unpacked") == "given"


def test_without_a_commit_or_without_git_it_is_what_was_given(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path_factory.mktemp("empty")
    git(empty, "init", "--quiet")
    assert commit_of("given", empty) == "given"
    monkeypatch.setenv("PATH", "")
    assert commit_of("given", checkout) == "given"
