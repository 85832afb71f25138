"""The suite as containers, on a real engine. `tests/compose/prepare.sh` installs what is missing, and is run first."""
