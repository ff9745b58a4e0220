"""A cluster whose pods are real processes with a handler's endpoints, and that runs in real time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import requests

from feed_migration.fleet.kubernetes import KubernetesFleet
from tests.support.kubernetes_cluster import FLAG, Cluster, Document, flag_of
from tests.support.kubernetes_fleet import ClusterFleet, cluster_fleet
from tests.support.supervised_fleet import HANDLER, free_ports


class ProcessCluster(Cluster):
    """A pod is a process; its kubelet restarts one that dies and ends one that is deleted."""

    def __init__(self, home: Path, size: int) -> None:
        super().__init__()
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = dict(
            zip([f"backpack-feed-{i}" for i in range(size)], free_ports(size), strict=True)
        )
        self.overlaps: list[str] = []

    def sleep(self, seconds: float) -> None:
        """Time passes by the clock of `running`."""
        time.sleep(seconds)

    def monotonic(self) -> float:
        return time.monotonic()

    def stop(self) -> None:
        """End every process."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _make(self, document: Document, ordinal: int) -> None:
        super()._make(document, ordinal)
        self._start(f"{document['metadata']['name']}-{ordinal}")

    def _end(self, name: str) -> None:
        super()._end(name)
        self.processes[name].send_signal(signal.SIGTERM)

    def _kubelet(self) -> None:
        for name, pod in list(self.pods.items()):
            dead = self.processes[name].poll() is not None
            if "ends" in pod and dead:
                del self.pods[name]
            elif dead:
                self._start(name)
            elif "ends" not in pod:
                self._probe(pod)

    def _serves(self, pod: Document) -> bool:
        url = f"http://127.0.0.1:{self.ports[pod['metadata']['name']]}/snapshot"
        try:
            return bool(requests.get(url, timeout=0.5).json()["ready"])
        except requests.RequestException:
            return False

    def _start(self, name: str) -> None:
        before = self.processes.get(name)
        if before is not None and before.poll() is None:
            self.overlaps.append(name)
        config = self.home / f"{name}.json"
        broken = self.never_ready.get(name)
        config.write_text(
            json.dumps({"instance_id": name, "port": self.ports[name], "broken": broken})
        )
        flag = "true" if flag_of(self.pods[name]) == "native" else "false"
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-S", HANDLER, "run", "--config", config],
            env={**os.environ, FLAG: flag},
            stdout=subprocess.DEVNULL,
        )


@contextmanager
def process_fleet(home: Path, size: int) -> Iterator[tuple[ClusterFleet, ProcessCluster]]:
    """Yield a running fleet of processes on ccxt, all ready."""
    cluster = ProcessCluster(home, size)
    try:
        with cluster_fleet(home, size, 0, cluster=cluster) as made:
            instances = tuple(
                replace(instance, url=f"http://127.0.0.1:{cluster.ports[instance.id]}")
                for instance in made.deployment.instances
            )
            deployment = replace(made.deployment, instances=instances)
            running = replace(made, deployment=deployment, fleet=KubernetesFleet(deployment))
            with running.clock(speed=1):
                running.fleet.wait_ready(running.ids, "ccxt", 20)
                yield running, cluster
    finally:
        cluster.stop()
