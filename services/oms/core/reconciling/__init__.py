"""Reconciliation: our books held against a venue's statements, and what is done about every difference."""
