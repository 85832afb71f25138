"""A real SeaweedFS for tests: S3 with one bucket, from the wheel's program, with the credentials that compose has."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from shared.kit.settings import HOME, Suite
from tests.servers import Daemon, free_port, is_served, wait_until

CREDENTIALS = HOME / "secrets.example" / "seaweedfs_s3"


def _small_port() -> int:
    """One whose port for gRPC, ten thousand higher, is one too."""
    return next(port for port in iter(free_port, None) if port < 55_000)


@dataclass
class Seaweed(Daemon):
    folder: Path
    port: int = field(default_factory=_small_port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def suite(self, var: Path, prefix: str = "lake") -> Suite:
        """A suite whose lake is here."""
        return Suite(var=var, lake=f"s3://trade2026/{prefix}", lake_endpoint=self.endpoint, secrets=CREDENTIALS.parent)

    def start(self) -> Seaweed:
        if self.process is None:
            ports = {name: str(_small_port()) for name in ("master", "volume", "filer")}
            self.command = [
                os.environ.get("WEED_BIN", str(Path(sys.executable).parent / "weed")),
                "server",
                "-s3",
                f"-dir={self.folder}",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                *(f"-{name}.port={port}" for name, port in ports.items()),
                f"-s3.port={self.port}",
                f"-s3.config={CREDENTIALS}",
                "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                "-master.telemetry=false",
                "-master.volumeSizeLimitMB=64",
                "-master.volumePreallocate=false",
                "-volume.max=0",
                "-volume.preStopSeconds=1",
            ]
            self._master = f"127.0.0.1:{ports['master']}"
        self.run(self.command)
        wait_until(self.answers, "SeaweedFS to answer", timeout_s=60)
        wait_until(self._has_bucket, "the bucket", timeout_s=60)
        return self

    def answers(self) -> bool:
        """Whether S3 is served."""
        return is_served(f"{self.endpoint}/healthz")

    def _has_bucket(self) -> bool:
        told = self._shell("s3.bucket.list")
        return "trade2026" in told or "error" not in self._shell("s3.bucket.create -name trade2026")

    def _shell(self, words: str) -> str:
        shell = [self.command[0], "shell", f"-master={self._master}"]
        done = subprocess.run(shell, input=words.encode(), capture_output=True, timeout=30)
        return done.stdout.decode() + done.stderr.decode()
