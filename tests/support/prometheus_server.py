"""A real Prometheus on a free port, and a target that it scrapes."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import yaml
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from tests.support.conditions import eventually_sync

BINARY = shutil.which("prometheus")
SCRAPE_SECONDS = 0.5


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PrometheusServer:
    """One Prometheus process over a directory that outlives its kills.

    `more` is laid over its configuration, `flags` are of its command line.
    """

    def __init__(
        self,
        directory: Path,
        target_port: int,
        more: Mapping[str, object] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._directory = directory
        self._flags = flags
        self._process: subprocess.Popen[bytes] | None = None
        interval = f"{int(SCRAPE_SECONDS * 1000)}ms"
        targets = [{"targets": [f"127.0.0.1:{target_port}"]}]
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [{"job_name": "feed", "static_configs": targets}],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump({**config, **(more or {})}))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert BINARY, "Prometheus is missing: run tools/setup.sh"
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    BINARY,
                    f"--config.file={self._directory / 'prometheus.yml'}",
                    f"--storage.tsdb.path={self._directory / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    *self._flags,
                ],
                stdout=log,
                stderr=log,
            )
        eventually_sync(self._ready, 30)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process
        return self._process.pid

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self._process
        self._process.send_signal(signal_number)

    @property
    def stopped(self) -> bool:
        """Whether every thread of it stands still: SIGSTOP takes a moment to reach them all."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        return all("T (stopped)" in (task / "status").read_text() for task in tasks)

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, text: str) -> list[dict[str, object]]:
        """The result of an instant query, for waiting on."""
        reply = requests.get(f"{self.url}/api/v1/query", params={"query": text}, timeout=30)
        return list(reply.json()["data"]["result"])

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/-/ready", timeout=1).ok
        except requests.RequestException:
            return False


class Target:
    """A process's metrics, as far as gates read them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["instance_id", "variant", "symbol"]
        self.age = Gauge(
            "backpack_feed_symbol_snapshot_age_seconds", "age", labels, registry=self.registry
        )
        self.last_message = Gauge(
            "backpack_feed_last_message_timestamp_seconds", "unix", labels, registry=self.registry
        )


@contextmanager
def scraped(directory: Path) -> Iterator[tuple[PrometheusServer, Target]]:
    """A running Prometheus and the target it scrapes."""
    target = Target()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=target.registry)
    prometheus = PrometheusServer(directory, server.server_port)
    try:
        prometheus.start()
        yield prometheus, target
    finally:
        prometheus.kill()
        server.shutdown()
        thread.join()
        server.server_close()
