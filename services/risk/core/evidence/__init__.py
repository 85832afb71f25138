"""The map from rule to clause to test."""
