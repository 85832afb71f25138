"""`python -m shared.kit oms`: the one launcher. `--list` prints the roster."""

from __future__ import annotations

import sys

from shared.contract.roster import BY_NAME, ROSTER


def _usage() -> int:
    for entry in ROSTER:
        sys.stdout.write(f"{entry.port}  {entry.name:14} {entry.owns}\n")
    return 0


def _launch(arguments: list[str]) -> int:
    if arguments == ["--list"]:
        return _usage()
    if len(arguments) != 1 or arguments[0] not in BY_NAME:
        sys.stderr.write(f"usage: python -m shared.kit SERVICE | --list\nservices: {', '.join(BY_NAME)}\n")
        return 2
    from shared.kit.run import main

    return main(arguments[0])


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1:]))
