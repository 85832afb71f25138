"""The image and what its containers are allowed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.contract.roster import ROSTER
from tests.compose.containers import PROJECT, Containers, docker

pytestmark = pytest.mark.suite

SIZE_MAX = 520_000_000
"""See docs/decisions/0008."""
UP_MAX_S = 120

LOOK = """
import json, os, pathlib
status = dict(line.split(":", 1) for line in pathlib.Path("/proc/1/status").read_text().splitlines())
def refused(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError as error:
        return error.strerror
print(json.dumps({
    "user": os.getuid(), "capabilities": int(status["CapEff"], 16), "bound": int(status["CapBnd"], 16),
    "no_new_privileges": int(status["NoNewPrivs"]), "root": refused("/x"), "code": refused("/app/shared/x"),
    "config": refused("/app/config/x"), "tmp": refused("/tmp/x"),
}))
"""


def test_the_whole_suite_is_healthy_within_two_minutes(containers: Containers) -> None:
    assert containers.seconds <= UP_MAX_S
    assert all(containers.is_healthy(name) for name in containers.names())
    assert containers.ready()


def test_lanes_that_were_made_beforehand_are_taken(containers: Containers) -> None:
    assert len(containers.lanes) == 3
    for name, made in containers.lanes.items():
        assert docker("network", "inspect", "-f", "{{.Id}}", name) == made


def test_the_image_is_small_and_runs_as_nobody_in_particular(containers: Containers) -> None:
    image = json.loads(docker("image", "inspect", containers.inspect("oms")["Image"]))[0]
    assert image["Size"] <= SIZE_MAX
    assert image["Config"]["User"] == "10001:10001"
    assert image["Config"]["Healthcheck"]


def test_one_image_serves_all(containers: Containers) -> None:
    assert len({containers.inspect(entry.name)["Image"] for entry in ROSTER}) == 1


@pytest.mark.parametrize("name", [entry.name for entry in ROSTER])
def test_a_service_can_do_little_harm(containers: Containers, name: str) -> None:
    seen = containers.python(name, LOOK)
    assert seen.pop("tmp") is None
    assert (seen.pop("root"), seen.pop("code"), seen.pop("config")) == ("Read-only file system",) * 3
    assert seen == {"user": 10001, "capabilities": 0, "bound": 0, "no_new_privileges": 1}
    limits = containers.inspect(name)["HostConfig"]
    assert limits["Memory"] > 0
    assert limits["PidsLimit"] > 0


def test_what_is_published_is_published_to_this_machine_alone(containers: Containers) -> None:
    for name in containers.names():
        ports = containers.inspect(name)["NetworkSettings"]["Ports"]
        assert {at["HostIp"] for published in ports.values() for at in published or ()} <= {"127.0.0.1"}


def test_the_bucket_is_there(containers: Containers) -> None:
    said = containers.compose("exec", "-T", "seaweedfs", "sh", "-c", "echo s3.bucket.list | weed shell")
    assert "trade2026" in said


def test_the_classic_builder_makes_the_image_too(containers: Containers) -> None:
    tag = f"{PROJECT}-classic:latest"
    classic = replace(containers, environment={"TRADE2026_IMAGE": tag, "DOCKER_BUILDKIT": "0"})
    classic.compose("build")
    classic.http.close()
    assert json.loads(docker("image", "inspect", tag))[0]["Size"] <= SIZE_MAX
    docker("image", "rm", tag)
