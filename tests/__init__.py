"""The suite's tests; each folder mirrors what it tests."""
