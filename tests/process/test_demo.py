"""The whole embedded stack, as a newcomer runs it: one migration promoted, one taken back."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.support.conditions import eventually_sync
from tools.demo.layout import Layout, free_port_base, ports_in_use

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO_PLAN = REPOSITORY / "plans" / "demo.yaml"
DEADLINE_SECONDS = 420

pytestmark = [
    pytest.mark.process,
    pytest.mark.alone,
    pytest.mark.timeout(DEADLINE_SECONDS + 60),
]


@dataclass
class Demo:
    """One demo under way in a state directory of its own."""

    home: Path
    layout: Layout
    process: subprocess.Popen[str]

    def log(self):
        return (self.home.parent / "demo.log").read_text()

    def finish(self):
        """Wait for its end; a demo that hangs is interrupted, so that nothing is left behind."""
        try:
            return self.process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)
            raise

    def report(self):
        return json.loads((self.home / "report.json").read_text())

    def processes(self):
        """Every process that was started for this state directory."""
        return [process for process in psutil.process_iter() if self._belongs(process)]

    def _belongs(self, process):
        try:
            return process.environ().get("BACKPACK_HOME") == str(self.home)
        except (psutil.Error, OSError):
            return False

    def kill(self, *words):
        """Kill -9 the first process whose command line has all `words`, once there is one."""

        def victim():
            return next(
                (
                    process
                    for process in self.processes()
                    if all(word in " ".join(process.cmdline()) for word in words)
                ),
                None,
            )

        eventually_sync(victim, 60).kill()


@pytest.fixture
def short_plan(tmp_path):
    """The demo's own criteria in shorter gates, and half of the fleet at once."""
    plan = yaml.safe_load(DEMO_PLAN.read_text())
    phases = plan["phases"]
    phases["cutover"]["steps"] = phases["cutover"]["steps"][1:]
    gates = [phases["shadow"]["gate"], phases["stabilisation"]["gate"]]
    for gate in [*gates, *(step["gate"] for step in phases["cutover"]["steps"])]:
        gate["min_duration"] = "10s"
    path = tmp_path / "short.yaml"
    path.write_text(yaml.safe_dump(plan, sort_keys=False))
    return path


@pytest.fixture
def start_demo(tmp_path, short_plan):
    """Start demos on free ports; end one that its test left running."""
    demos = []

    def start(*arguments):
        home = tmp_path / "var"
        base = free_port_base()
        with (tmp_path / "demo.log").open("w") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tools.demo",
                    "--plan",
                    short_plan,
                    "--fleet-size",
                    "4",
                    "--port-base",
                    str(base),
                    *arguments,
                ],
                cwd=REPOSITORY,
                env={**os.environ, "BACKPACK_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        demo = Demo(home, Layout(home, port_base=base, fleet_size=4), process)
        demos.append(demo)
        return demo

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGINT)
            demo.process.wait(60)


def left_behind(demo):
    return [p.cmdline() for p in demo.processes()], ports_in_use(demo.layout)


def test_migration_ends_promoted_though_parts_are_killed(start_demo):
    """Scheduler, triggerer and a FeedHandler die by kill -9; every instance still ends on native."""
    demo = start_demo()
    eventually_sync(lambda: "step shadow" in demo.log(), 180, demo.log)
    demo.kill("airflow", "triggerer")
    demo.kill("airflow", "scheduler")
    eventually_sync(lambda: "step cutover-50" in demo.log(), 240, demo.log)
    demo.kill("backpack-feed", "feed-03.yaml")
    assert demo.finish() == 0, demo.log()
    report = demo.report()
    assert report["outcome"] == "promoted"
    assert report["instances"] == {"native": 4}
    assert report["dag_run_state"] == "success"
    assert report["audit_ok"] is True
    assert report["trades_published"] > 100
    assert (report["trades_missing"], report["trades_duplicated"]) == (0, 0)
    assert left_behind(demo) == ([], {})


def test_fault_in_cutover_is_taken_back(start_demo):
    """A venue that starves native clients makes the migration take itself back and say so."""
    demo = start_demo("--fault", "schema_drift")
    assert demo.finish() == 0, demo.log()
    report = demo.report()
    assert report["outcome"] == "rolled_back"
    assert report["instances"] == {"ccxt": 4}
    assert report["dag_run_state"] == "failed"
    assert report["breach_to_rollback_s"] > 0
    assert (report["trades_missing"], report["trades_duplicated"]) == (0, 0)
    incident = (demo.home / "docs" / "migrations" / "backpack_ccxt.md").read_text()
    assert "dropped_messages" in incident
    assert left_behind(demo) == ([], {})


def test_interrupted_demo_leaves_nothing_running(start_demo):
    """Ctrl-C while the fleet starts ends every process and frees every port."""
    demo = start_demo()
    eventually_sync(lambda: ports_in_use(demo.layout).keys() >= {"feed-00"}, 90, demo.log)
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 130
    assert left_behind(demo) == ([], {})
