"""A `KubernetesFleet` on the stand-in cluster, with the StatefulSets of deploy/kubernetes."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from feed_migration.deployment import Deployment, load_deployment
from feed_migration.fleet.kubernetes import KubernetesFleet
from tests.support.kubernetes_cluster import TURN_SECONDS, Cluster
from tests.support.kubernetes_server import TOKEN, RunningServer

MANIFESTS = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
NAME = "backpack-feed"


@dataclass
class ClusterFleet:
    """The deployment, its driver, and the cluster that it drives."""

    deployment: Deployment
    fleet: KubernetesFleet
    cluster: Cluster
    server: RunningServer

    @property
    def ids(self) -> list[str]:
        """Every instance in the order of the ramp."""
        return [status.id for status in self.fleet.instances()]

    def another(self) -> KubernetesFleet:
        """The driver of another process."""
        cluster = self.cluster
        return KubernetesFleet(self.deployment, sleep=cluster.sleep, monotonic=cluster.monotonic)

    def native(self) -> set[str]:
        return {name for name, variant in self.cluster.variants().items() if variant == "native"}

    def settle(self) -> None:
        """Let the controller finish what it can: until nothing changed for a while."""
        before = None
        while before != (before := (self.cluster.uids(), self.cluster.versions())):
            self.cluster.pass_time(3)

    @contextmanager
    def clock(self, speed: float = 10.0) -> Iterator[None]:
        """Let time pass by itself, for drivers in other processes."""
        ended = threading.Event()

        def run() -> None:
            while not ended.is_set():
                self.cluster.pass_time(TURN_SECONDS)
                time.sleep(TURN_SECONDS / speed)

        thread = threading.Thread(target=run, name="cluster-clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@contextmanager
def cluster_fleet(
    home: Path, size: int = 4, shadows: int = 1, cluster: Cluster | None = None, **fleet: Any
) -> Iterator[ClusterFleet]:
    """Yield a running fleet on ccxt, all ready."""
    cluster = cluster or Cluster()
    cluster.create(stateful_set("statefulset.yaml", size))
    cluster.create(stateful_set("statefulset-shadow.yaml", 0))
    server = RunningServer(cluster)
    try:
        write_deployment(home, server.url, size, shadows, **fleet)
        deployment = load_deployment(home, {})
        driver = KubernetesFleet(deployment, sleep=cluster.sleep, monotonic=cluster.monotonic)
        cluster.pass_time(3)
        yield ClusterFleet(deployment, driver, cluster, server)
    finally:
        server.stop()


def stateful_set(file: str, replicas: int) -> dict[str, Any]:
    """The manifest that is shipped, with another number of pods."""
    document = yaml.safe_load((MANIFESTS / file).read_text())
    document["spec"]["replicas"] = replicas
    return document


def write_deployment(home: Path, url: str, size: int, shadows: int, **fleet: Any) -> None:
    """Write deployment.yaml and the kubeconfig it names."""
    (home / "kubeconfig").write_text(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": TOKEN}}],
            }
        )
    )
    shadow_name = f"{NAME}-shadow"
    kubernetes = {"kubeconfig": "kubeconfig", "request_seconds": 5, "patience_seconds": 5}
    document = {
        "prometheus_url": "http://127.0.0.1:9",
        "fleet": {"kind": "kubernetes", "kubernetes": kubernetes, **fleet},
        "instances": [_instance(url, f"{NAME}-{i}") for i in range(size)],
        "shadow_instances": [_instance(url, f"{shadow_name}-{i}") for i in range(shadows)],
    }
    (home / "deployment.yaml").write_text(yaml.safe_dump(document))


def _instance(url: str, name: str) -> dict[str, str]:
    return {"id": name, "url": f"{url}/pods/{name}"}
