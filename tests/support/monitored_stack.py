"""The demo's stack without Airflow, and a migration that it is taken half-way by hand.

Sandbox, Prometheus with the demo's configuration, guard, two FeedHandlers and a shadow run under the
demo's supervisord. The shadow has compared, half the fleet is native, and the guard asks the open gate.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from feed_migration import cutover
from feed_migration.deployment import load_deployment
from feed_migration.gates.record import first_tick_unix, join_gate
from feed_migration.journal.store import Journal
from feed_migration.model import Plan
from feed_migration.plan.reader import load_plan
from tests.support.conditions import eventually_sync
from tests.support.migration_plans import approve, gate
from tools.demo import stack as demo
from tools.demo.layout import REPOSITORY, Layout, free_port_base
from tools.demo.stack import Stack

STEP = "cutover-50"
READY_SECONDS = 60.0


@dataclass
class Monitored:
    """The stack, the migration in its journal, and its Prometheus.

    `shadow_text` is what the shadow exported before the cutover stopped it.
    """

    layout: Layout
    stack: Stack
    plan: Plan
    journal: Journal
    migration_id: str = ""
    began_unix: float = 0.0
    shadow_text: str = ""

    def ask(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer of Prometheus's API."""
        url = f"{self.layout.prometheus_url}/api/v1/{path}"
        answer = requests.get(url, params=parameters, timeout=10)
        body = answer.json()
        assert body["status"] == "success", (parameters, body)
        return body["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """Series of an instant query."""
        return list(self.ask("query", query=text)["result"])

    def text(self, port: int) -> str:
        """What a process says on /metrics."""
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


@contextmanager
def monitored_stack(home: Path) -> Iterator[Monitored]:
    """Yield it with every part under way; nothing is left behind."""
    layout = Layout(home, port_base=free_port_base(), fleet_size=2, shadow_size=1)
    demo.empty_home(layout)
    plan_path = _plan(home)
    plan = load_plan(plan_path)
    prometheus = shutil.which("prometheus")
    assert prometheus, "Prometheus is missing: run tools/setup.sh"
    demo._write_static_files(layout, plan_path, prometheus)
    stack = Stack(layout, plan_path, demo._start_supervisord(layout))
    try:
        eventually_sync(lambda: _answers(stack), READY_SECONDS, lambda: _logs(home))
        demo._write_feed_configs(stack)
        stack.fleet.write_initial("ccxt")
        demo._add_fleet(stack)
        journal = Journal(load_deployment(home).journal_url, home=home)
        found = Monitored(layout, stack, plan, journal)
        _take_half_way(found)
        yield found
    finally:
        _end(stack.supervisord)


def _take_half_way(found: Monitored) -> None:
    """Up to the gate of the cutover's step of 50 %."""
    stack, journal = found.stack, found.journal
    eventually_sync(lambda: all(one.ready for one in stack.fleet.instances()), READY_SECONDS)
    plan = found.plan
    found.migration_id = journal.begin_migration(plan.name, plan.sha256, "ana", steps=plan.steps)
    found.began_unix = journal.state(found.migration_id).started_at or 0.0
    for step in plan.steps:
        if step.approval:
            approve(journal, found.migration_id, step.name)
        cutover.advance(step, plan, stack.fleet, journal, found.migration_id, "ana")
        if step.name == STEP:
            break
        if step.phase == "shadow":
            _let_shadow_compare(found)
        if step.gate is not None:
            gate(journal, found.migration_id, step.name)
        cutover.promote(step, plan, journal, found.migration_id, "ana")
    judged = plan.step(STEP).gate
    assert judged
    join_gate(
        journal,
        migration_id=found.migration_id,
        step=STEP,
        key="run#0",
        actor="ana",
        started_unix=first_tick_unix(judged, time.time()),
    )


def _let_shadow_compare(found: Monitored) -> None:
    compared = "min by (kind) (increase(backpack_feed_parity_compared_total[1m])) > 0"
    samples = "backpack_feed_parity_lead_seconds == backpack_feed_parity_lead_seconds"
    eventually_sync(lambda: len(found.query(compared)) == 2, READY_SECONDS)
    eventually_sync(lambda: found.query(samples), READY_SECONDS)
    (port,) = found.layout.shadow_instances.values()
    found.shadow_text = found.text(port)


def _plan(home: Path) -> Path:
    """The demo's plan with a step of 50 % first, and a person asked before the last.

    Nothing is hard: on a busy machine a feed may really be late, and the guard would take it back.
    """
    document = yaml.safe_load((REPOSITORY / "plans" / "demo.yaml").read_text())
    _, half, whole = document["phases"]["cutover"]["steps"]
    document["phases"]["cutover"]["steps"] = [half, whole | {"approval": True}]
    document["defaults"] |= {"max_duration": "30m", "blind_limit": "10m"}
    for criterion in document["criteria"]:
        criterion["severity"] = "soft"
        criterion.pop("consecutive_failure_limit", None)
    for step in document["phases"]["cutover"]["steps"]:
        step["gate"] |= {"max_duration": "30m", "min_duration": "20m"}
    path = home / "plan.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _answers(stack: Stack) -> bool:
    with suppress(requests.RequestException, OSError):
        ready = requests.get(f"{stack.layout.prometheus_url}/-/ready", timeout=1).ok
        return ready and stack.venue("GET", "/api/v1/ping").text == "pong"
    return False


def _logs(home: Path) -> str:
    return "\n".join(path.read_text()[-500:] for path in (home / "logs").glob("*"))


def _end(supervisord: subprocess.Popen[bytes]) -> None:
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(supervisord.pid).children(recursive=True)
    supervisord.send_signal(signal.SIGTERM)
    # all at once: on its own it would end them one after the other
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    try:
        supervisord.wait(20)
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
