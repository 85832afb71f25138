"""Tests, mirroring what they test."""
