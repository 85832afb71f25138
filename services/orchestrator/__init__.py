"""The front door: the state of the whole system, and the way to every other service."""
