"""What the command line could not do, in one line that says how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.kit.settings import Suite


class Trouble(Exception):
    """Shown to the person as it stands; the command ends with 1."""


def suite() -> Suite:
    """This suite's settings, with `var` made absolute. Imported late: the kit is too large for `--help`."""
    from shared.kit.settings import SettingsError, load_suite

    try:
        found = load_suite()
    except SettingsError as error:
        raise Trouble(str(error)) from None
    return found.model_copy(update={"var": found.var.absolute()})
