"""`trade2026 chaos`: the harness of the checkout, run as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.cli import chaos
from shared.cli.trouble import Trouble


def test_without_a_checkout_it_says_where_the_harness_is_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="comes with the project's checkout"):
        chaos.play("pr", None, [], None, checkout=tmp_path)


def test_what_was_asked_for_is_handed_on_and_its_exit_code_comes_back(tmp_path: Path) -> None:
    harness = tmp_path / "tests" / "chaos"
    harness.mkdir(parents=True)
    for package in (harness, harness.parent):
        (package / "__init__.py").touch()  # else the real harness, where it is on the path, would be found before it
    (harness / "__main__.py").write_text(
        "import pathlib, sys; pathlib.Path('asked').write_text(' '.join(sys.argv[1:])); sys.exit(7)"
    )
    assert chaos.play("nightly", 5, ["F1", "F3"], 2, checkout=tmp_path) == 7
    assert (tmp_path / "asked").read_text() == "--profile nightly --seed 5 --faults F1 F3 --loops 2"
    assert chaos.play("pr", 5, ["F8"], None, 4, checkout=tmp_path) == 7
    assert (tmp_path / "asked").read_text() == "--profile pr --seed 5 --faults F8 --only 4"
