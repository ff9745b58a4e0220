"""kill -9 at every tick: a gate over the real journal, killed and resumed, ends as if it never was.

Each tick is judged by a process of its own that is killed with SIGKILL, at some moment of its work
and at the latest when it is done. A wall clock that nobody waits for is the argument of `tick`.
"""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from feed_migration.gates.run import GateRun, MeasurementLog, Source
from feed_migration.journal.store import Journal
from feed_migration.model import Decision, FailureWindow, Severity, Verdict
from tests.support.gate_traces import KINDS, Recording, criterion, gate

MIGRATION, STEP = "mig", "cutover-10"
START = 1_000_000.0
TICKS = 40
AFTER = START + TICKS * 15.0
# the longest that a tick is let live, in seconds: some die at work, most when done
LIFE_SECONDS = 0.05
# so many random traces have every verdict among them
MANY_TRACES = 20


def restarts(traces: int, seed: int) -> dict[str, Any]:
    """So many random traces, each judged uninterrupted, killed at every tick, and dead throughout.

    The last judge of each comes after `max_duration` and has all that is left to catch up with.
    """
    chance = random.Random(seed)
    done, differ, decisions = Counter[str](), [], dict.fromkeys(Decision, 0)
    for number in range(traces):
        recording = _trace(chance)
        with tempfile.TemporaryDirectory() as directory:
            plain = _uninterrupted(recording, Path(directory))
            killed = _killed(recording, Path(directory), chance, done)
            dead = to_the_end(run_of(recording, Journal(Path(directory) / "dead.db")), AFTER)
        decisions[plain.decision] += 1
        if killed.to_json() != plain.to_json():
            differ.append({"trace": number, "plain": plain.to_json(), "killed": killed.to_json()})
        if dead.to_json() != plain.to_json():
            differ.append({"trace": number, "plain": plain.to_json(), "dead": dead.to_json()})
    return {
        "kill_traces": traces,
        "kills": done["kills"],
        "died_alone": done["died_alone"],
        "measured_by_killed": done["measured"],
        "kill_other_verdicts": len(differ),
        "differ": differ[:5],
        "decisions": {decision.value: count for decision, count in decisions.items()},
        "seed": seed,
    }


def complaints(found: Mapping[str, Any]) -> list[str]:
    """Why the promise is broken, or was not put to the proof.

    A judge that never comes to a verdict would be deaf to kills, and so would one that has nothing
    to lose: of many traces some promote and some go back, and the killed have measured.
    """
    wrong = []
    if found["kill_other_verdicts"]:
        wrong.append(f"kills changed {found['kill_other_verdicts']} verdicts")
    if not found["kills"]:
        wrong.append("no judge was killed")
    if found["died_alone"]:
        wrong.append(f"{found['died_alone']} judges died before they were killed")
    if not found["measured_by_killed"]:
        wrong.append("no judge that was killed had measured anything")
    decisions = found["decisions"]
    both = [Decision.PROMOTE, Decision.ROLLBACK] * (found["kill_traces"] >= MANY_TRACES)
    return wrong + [
        f"of {found['kill_traces']} traces none ended with {one.value}"
        for one in both
        if not decisions[one.value]
    ]


def _trace(chance: random.Random) -> Recording:
    weights = {"good": 24, "bad": 3}
    kinds = [*KINDS, "bad?"]
    return trace_of(chance.choices(kinds, [weights.get(kind, 2) for kind in kinds], k=TICKS))


def trace_of(kinds: Sequence[str]) -> Recording:
    """Ticks of these kinds; `bad?` is a Failure that its second sample refutes."""
    answers, confirms = [], {}
    # after the trace Prometheus answers: a judge that comes late can still ask for the past
    for index, kind in enumerate([*kinds, "good"]):
        answers.append({"stale": KINDS[kind.removesuffix("?")]})
        second = KINDS["good"] if kind.endswith("?") else answers[-1]["stale"]
        confirms["stale", index * 15.0 + 5] = second
    return Recording(answers, confirms=confirms)


def run_of(source: Source, journal: MeasurementLog) -> GateRun:
    """The gate that every trace is judged by."""
    one = criterion(
        severity=Severity.SOFT,
        consecutive_failure_limit=2,
        failure_limit=5,
        failure_window=FailureWindow(limit=3, window_seconds=120.0),
    )
    watched = gate(one, min_duration_seconds=300.0, max_duration_seconds=585.0, min_coverage=0.7)
    return GateRun(
        gate=watched,
        step_name=STEP,
        migration_id=MIGRATION,
        started_unix=START,
        fleet_size=1,
        source=source,
        journal=journal,
    )


def _uninterrupted(recording: Recording, directory: Path) -> Verdict:
    return to_the_end(run_of(recording, Journal(directory / "plain.db")), START)


def to_the_end(run: GateRun, now_unix: float) -> Verdict:
    """Look whenever something is due, from `now_unix` on; the final verdict."""
    verdict = run.tick(now_unix)
    while not verdict.final:
        verdict = run.tick(run.next_due_unix())
    return verdict


def _killed(
    recording: Recording, directory: Path, chance: random.Random, done: Counter[str]
) -> Verdict:
    """Kill a judge at every tick and every second sample; the verdict of one that lives on."""
    path = directory / "killed.db"
    Journal(path)
    for half in range(2 * TICKS + 2):
        # 5 s after a tick its second sample is due; the child asks what is due by then
        now = START + (half // 2) * 15.0 + (half % 2) * 5.0
        child = os.fork()
        if child == 0:
            _judge_until_killed(recording, path, now)
        time.sleep(chance.random() * LIFE_SECONDS)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        done["kills" if os.WIFSIGNALED(status) else "died_alone"] += 1
    done["measured"] += len(Journal(path).measurements(MIGRATION, STEP))
    return to_the_end(run_of(recording, Journal(path)), AFTER)


def _judge_until_killed(recording: Recording, path: Path, now: float) -> None:
    try:
        run_of(recording, Journal(path)).tick(now)
        signal.pause()
    finally:
        os._exit(1)
