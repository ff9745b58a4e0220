"""A real supervisord with a few small handlers, in a directory of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from feed_migration.deployment import Deployment, load_deployment
from feed_migration.fleet.supervisor import SupervisorFleet
from tests.support.conditions import eventually_sync

HANDLER = Path(__file__).with_name("small_handler.py")


@dataclass
class SupervisedFleet:
    """The deployment, its fleet and the supervisord that runs it."""

    deployment: Deployment
    fleet: SupervisorFleet
    supervisord: subprocess.Popen

    @property
    def home(self) -> Path:
        return self.deployment.home

    def pids(self) -> dict[str, int]:
        return {status.id: status.pid for status in self.fleet.instances()}

    def variants(self) -> dict[str, str]:
        return {status.id: status.variant for status in self.fleet.instances()}

    def break_in(self, name: str, variant: str | None) -> None:
        """From its next start on, `name` never becomes ready in `variant` (None: repaired)."""
        path = self.home / "fleet" / f"{name}.yaml"
        path.write_text(json.dumps({**json.loads(path.read_text()), "broken": variant}))

    def reset(self) -> None:
        """Back to the beginning: every instance on ccxt and whole, no epoch seen, no journal."""
        names = [instance.id for instance in self.deployment.instances]
        for name in names:
            self.break_in(name, None)
        for path in (self.deployment.fence_file, *self.home.glob("journal.*")):
            path.unlink(missing_ok=True)
        # a new journal is not the one that was anchored
        shutil.rmtree(self.home / "audit", ignore_errors=True)
        self.fleet.set_variant(names, "ccxt", epoch=0, max_unavailable=len(names))
        self.fleet.wait_ready(names, "ccxt", 20)

    def stop(self) -> None:
        """Stop supervisord and all below it."""
        self.supervisord.terminate()
        self.supervisord.wait(timeout=20)

    def start(self) -> None:
        """Start supervisord again."""
        self.supervisord = start_supervisord(self.home)
        names = [instance.id for instance in self.deployment.instances]
        self.fleet.wait_ready(names, None, 20)


@contextmanager
def supervised_fleet(
    size: int = 4, *, shadows: int = 1, max_unavailable: int = 2, ready_deadline_seconds: float = 15
) -> Iterator[SupervisedFleet]:
    """Yield a running fleet on ccxt, all ready; everything is stopped and deleted at the end."""
    # a unix socket's path must be short, so not pytest's tmp_path
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fleet-")))
        write_deployment(
            home,
            size,
            shadows,
            max_unavailable=max_unavailable,
            ready_deadline_seconds=ready_deadline_seconds,
        )
        deployment = load_deployment(home, {})
        fleet = SupervisorFleet(deployment)
        fleet.write_initial("ccxt")
        process = start_supervisord(home)
        running = SupervisedFleet(deployment, fleet, process)
        stack.callback(_end, running)
        eventually_sync((home / "supervisor.sock").exists)
        fleet.wait_ready([i.id for i in deployment.instances], "ccxt", 20)
        yield running


def write_deployment(home: Path, size: int, shadows: int, **fleet: object) -> None:
    """Write deployment.yaml and the handlers' configurations."""
    names = [f"feed-{i:02}" for i in range(size)] + [f"shadow-{i:02}" for i in range(shadows)]
    ports = free_ports(len(names))
    (home / "fleet").mkdir(parents=True)
    entries = []
    for name, port in zip(names, ports, strict=True):
        config = home / "fleet" / f"{name}.yaml"
        config.write_text(json.dumps({"instance_id": name, "port": port}))
        entries.append(
            {
                "id": name,
                "url": f"http://127.0.0.1:{port}",
                "config": f"fleet/{name}.yaml",
            }
        )
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "fleet": {"command": [sys.executable, "-S", str(HANDLER), "run"], **fleet},
        "instances": entries[:size],
        "shadow_instances": entries[size:],
        "airflow": {"url": "http://127.0.0.1:9"},
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))


def start_supervisord(home: Path) -> subprocess.Popen:
    """Start supervisord in the foreground of a process group of its own."""
    (home / "supervisord.conf").write_text(
        f"""
[supervisord]
nodaemon = true
logfile = {home}/supervisord.log
pidfile = {home}/supervisord.pid
[unix_http_server]
file = {home}/supervisor.sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = {home}/fleet.d/*.conf
"""
    )
    command = [Path(sys.executable).parent / "supervisord", "-c", home / "supervisord.conf"]
    with (home / "supervisord.out").open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)


def free_ports(count: int) -> list[int]:
    """Return ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


def _end(running: SupervisedFleet) -> None:
    process = running.supervisord
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
