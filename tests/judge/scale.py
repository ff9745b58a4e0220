"""A gate over a thousand instances of a hundred symbols each, against a real Prometheus."""

import os
import resource
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from feed_migration.gates.run import GateRun
from feed_migration.model import Decision, Gate
from feed_migration.plan.reader import load_plan
from feed_migration.prometheus.client import PrometheusSource
from tests.support.gate_traces import MemoryLog
from tests.support.prometheus_server import PrometheusServer, free_port
from tests.support.recorded_series import RecordedFleet, write_blocks

PLAN = Path(__file__).parents[2] / "plans" / "production.yaml"
SYMBOLS, TICKS = 100, 20
GOAL_SECONDS = 1.0
STEP = "cutover-100"
# the ticks, and the better part of a one-minute window before them
RECORDED_SECONDS, SCRAPE_SECONDS = 160.0, 20.0


def scale(instances: int) -> dict[str, Any]:
    """Seconds that a tick of production's cutover gate takes, and what it decided."""
    last = float(int(time.time()) - 7200)
    fleet = RecordedFleet(
        last - RECORDED_SECONDS,
        last,
        instances=instances,
        symbols=SYMBOLS,
        step_seconds=SCRAPE_SECONDS,
        ccxt_instances=0,
        shadows=0,
        without=frozenset({"trades_total"}),
    )
    gate = load_plan(PLAN).step(STEP).gate
    assert gate
    with tempfile.TemporaryDirectory() as directory:
        write_blocks(fleet, Path(directory))
        server = PrometheusServer(Path(directory), free_port())
        server.start()
        try:
            return _ticks(server, gate, instances, last)
        finally:
            server.kill()


def complaints(found: Mapping[str, Any]) -> list[str]:
    """Why the goal is missed, or was not measured: a blind gate is quick."""
    wrong = []
    if found["tick_p99_seconds"] >= GOAL_SECONDS:
        wrong.append(f"a tick takes {found['tick_p99_seconds']} s")
    if found["verdict"] != Decision.PROMOTE.value:
        wrong.append(f"the gate over a healthy fleet says {found['verdict']}")
    return wrong


def _ticks(server: PrometheusServer, gate: Gate, instances: int, last: float) -> dict[str, Any]:
    delay, interval = gate.evaluation_delay_seconds, gate.interval_seconds
    started = last - TICKS * interval + delay
    run = GateRun(
        gate=replace(gate, min_duration_seconds=TICKS * interval),
        step_name=STEP,
        migration_id="mig",
        started_unix=started,
        fleet_size=instances,
        source=PrometheusSource(server.url, 30.0),
        journal=MemoryLog(),
    )
    took, decision, used = [], Decision.RUNNING, _cpu_seconds(server)
    for tick in range(TICKS + 1):
        began = time.perf_counter()
        decision = run.tick(started + tick * interval).decision
        took.append(time.perf_counter() - began)
    per_tick = (_cpu_seconds(server) - used) / len(took)
    ordered = sorted(took[1:])
    return {
        "instances": instances,
        "symbols": SYMBOLS,
        "criteria": len(gate.criteria),
        "ticks": len(ordered),
        "first_tick_seconds": round(took[0], 3),
        "tick_p50_seconds": round(statistics.median(ordered), 3),
        "tick_p99_seconds": round(ordered[int(len(ordered) * 0.99)], 3),
        "tick_cpu_seconds": round(per_tick, 3),
        "load_average": round(os.getloadavg()[0], 1),
        "verdict": decision.value,
        "judge_peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _cpu_seconds(server: PrometheusServer) -> float:
    """What the judge and Prometheus have used together: wall time less the rest of the machine."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    other = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + other
