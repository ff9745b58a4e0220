"""The embedded deployment with a fleet of four, and a proxy before its Prometheus."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from feed_migration.airflow_api import AirflowApi
from feed_migration.deployment import load_deployment
from feed_migration.errors import AirflowUnavailable, MigrationError
from feed_migration.journal.store import Journal
from tests.chaos.nemesis.plan import FLEET, plan_text
from tests.chaos.nemesis.proxy import PrometheusProxy
from tests.support.conditions import eventually_sync
from tools.demo.layout import Layout, free_port_base
from tools.demo.stack import Stack, running_stack

ALIVE = ("queued", "running")
CALM_SECONDS = 180.0


@dataclass(frozen=True)
class ProxiedLayout(Layout):
    """The demo's layout with a proxy where the deployment looks for Prometheus."""

    @property
    def prometheus_url(self) -> str:
        """Base URL of the proxy."""
        return f"http://127.0.0.1:{self.port_base + 4}"


class Stage:
    """What a trial does to the deployment, and what it looks at."""

    def __init__(self, stack: Stack, proxy: PrometheusProxy) -> None:
        self.stack, self.proxy = stack, proxy
        self.home = stack.layout.home
        self.deployment = load_deployment(self.home, {})
        self.journal = Journal(self.deployment.journal_url)
        self._api = AirflowApi(self.deployment.airflow)
        self._airflow_url = self.deployment.airflow.url

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str | None:
        """Start a run; None while Airflow does not answer."""
        with suppress(AirflowUnavailable):
            return self._api.trigger(dag_id, conf)
        return None

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Of a DAG run, "" while Airflow does not answer."""
        with suppress(AirflowUnavailable):
            return self._api.run_state(dag_id, run_id)
        return ""

    def tasks(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Task id → state of a DAG run; empty while Airflow does not answer."""
        with suppress(AirflowUnavailable):
            path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100"
            found = self._api._request("GET", path)["task_instances"]
            return {task["task_id"]: task["state"] or "" for task in found}
        return {}

    def mark_task(self, dag_id: str, run_id: str, task_id: str) -> bool:
        """Mark a task success by hand; whether Airflow took it."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        try:
            self._api._request("PATCH", path, {"new_state": "success"})
        except MigrationError:
            return False
        return True

    def fail_living_runs(self) -> list[str]:
        """Mark every DAG run failed that is not over; returns those."""
        path = "/api/v2/dags/~/dagRuns?limit=100&" + "&".join(f"state={s}" for s in ALIVE)
        runs = self._api._request("GET", path)["dag_runs"]
        for run in runs:
            path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}"
            self._api._request("PATCH", path, {"state": "failed"})
        return [run["dag_run_id"] for run in runs]

    def processes(self, program: str) -> list[psutil.Process]:
        """The process of a supervised program, and all below it; empty while there is none."""
        infos: Any = self.stack.rpc._call("getAllProcessInfo")
        pid = next((info["pid"] for info in infos if info["name"] == program), 0)
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(pid) if pid else None
            return [top, *top.children(recursive=True)] if top else []
        return []

    def variants(self) -> dict[str, str]:
        """What every instance says of itself now; `unready` stands for one that is not ready."""
        found = self.stack.fleet.instances()
        return {i.id: str(i.variant) if i.ready else "unready" for i in found}

    def roll_back(self) -> None:
        """Take the fleet back as an operator at a shell does."""
        command = [self.stack.layout.venv_bin / "backpack-migrate", "rollback"]
        where = {"BACKPACK_HOME": str(self.home), "PATH": "/usr/bin:/bin"}
        ended = subprocess.run(
            [*command, "--reason", "the trial is over"],
            # the code that is under test, as everybody else here runs
            env={**where, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            check=False,
            capture_output=True,
            text=True,
            timeout=CALM_SECONDS,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def calm(self) -> None:
        """Wait for Airflow, end what runs, take the fleet back, and wait until all is as new."""
        eventually_sync(self._venue_is_whole, CALM_SECONDS, lambda: "the venue is away")
        eventually_sync(self._airflow_is_healthy, CALM_SECONDS, lambda: "Airflow is not healthy")
        eventually_sync(lambda: not self._end_runs(), CALM_SECONDS, lambda: "DAG runs go on")
        if self.journal.active_migration() or "native" in self.variants().values():
            self.roll_back()
        eventually_sync(self._is_quiet, CALM_SECONDS, self.variants)
        self.proxy.forget()

    def _venue_is_whole(self) -> bool:
        with suppress(requests.RequestException):
            self.stack.venue("DELETE", "/sandbox/faults")
            self.stack.venue("POST", "/sandbox/market/resume")
            return True
        return False

    def _end_runs(self) -> list[str]:
        with suppress(AirflowUnavailable):
            return self.fail_living_runs()
        return ["unknown"]

    def _airflow_is_healthy(self) -> bool:
        with suppress(requests.RequestException, ValueError):
            url = f"{self._airflow_url}/api/v2/monitor/health"
            health = requests.get(url, timeout=5).json()
            names = ("metadatabase", "scheduler", "triggerer", "dag_processor")
            return all((health.get(name) or {}).get("status") == "healthy" for name in names)
        return False

    def _is_quiet(self) -> bool:
        query = 'count(last_over_time(backpack_feed_healthy{variant="native"}[20s]))'
        with suppress(requests.RequestException, ValueError, KeyError):
            url = f"{self.deployment.prometheus_url}/api/v1/query"
            answer = requests.get(url, params={"query": query}, timeout=5).json()
            guard = requests.get(f"{self.deployment.guard_url}/healthz", timeout=5)
            native = answer["data"]["result"]
            return not native and guard.ok and set(self.variants().values()) == {"ccxt"}
        return False


@contextmanager
def staged(say: Callable[[object], None]) -> Iterator[Stage]:
    """Yield a running deployment; all of it ends with the block."""
    # a unix socket's path must be short
    with tempfile.TemporaryDirectory(prefix="nemesis-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        plan = home / "plan.yaml"
        plan.write_text(plan_text())
        layout = ProxiedLayout(home / "v", free_port_base(40), fleet_size=FLEET, shadow_size=1)
        real = f"http://127.0.0.1:{layout.prometheus_port}"
        proxy = PrometheusProxy(layout.port_base + 4, real)
        began = time.monotonic()
        with proxy.serving(), running_stack(layout, plan, lambda _: None) as stack:
            say(f"a fleet of {FLEET} with Airflow is up after {time.monotonic() - began:.0f} s")
            yield Stage(stack, proxy)
