"""The system's state from its parts."""

from __future__ import annotations

from typing import Any

from services.orchestrator import core

UP = {"status": "ready", "version": "1", "git": "a", "checks": [{"name": "nats", "ok": True, "detail": ""}]}
SICK = {"status": "unready", "version": "1", "git": "a", "checks": [{"name": "nats", "ok": False, "detail": "gone"}]}
DOWN: dict[str, Any] = {"status": "down", "version": None, "git": None, "checks": []}


def test_the_system_is_ready_when_every_service_is() -> None:
    assert core.system({"a": UP, "b": UP}, [])["status"] == "ready"
    assert core.system({"a": UP, "b": DOWN}, [])["status"] == "degraded"
    assert core.system({"a": DOWN, "b": DOWN}, [])["status"] == "down"


def test_infrastructure_is_down_when_one_that_needs_it_says_so() -> None:
    seen = core.infrastructure({"a": UP, "b": SICK})

    assert seen == {"nats": {"status": "down", "detail": "b: gone"}}


def test_services_of_different_builds_are_noticed() -> None:
    assert core.system({"a": UP, "b": UP}, [])["same_build"]
    assert not core.system({"a": UP, "b": {**UP, "git": "b"}}, [])["same_build"]
