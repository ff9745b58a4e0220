"""A whole migration as acts, each a call that is made again when its process dies."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from feed_migration import cutover
from feed_migration import take_back as way_back
from feed_migration.deployment import load_deployment
from feed_migration.errors import MigrationNotRunning
from feed_migration.events import EventKind
from feed_migration.fleet.base import Fleet
from feed_migration.gates.record import join_gate, record_verdict
from feed_migration.gates.run import GateRun
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.model import Answer, Plan, Step
from feed_migration.phases import MigrationState, Status
from feed_migration.report.pages import document_incident
from tests.support.gate_traces import Recording
from tests.support.migration_plans import GATE
from tests.support.migration_plans import PLAN as SMALL

ACTOR = "chaos"
# comes when the first of them has been silent for nearly as long as it is waited for
ANOTHER = "another"
RUN_KEY = "r1"
START = 1_000_000.0
WATCHED = replace(GATE, min_duration_seconds=3.0)
PLAN: Plan = replace(
    SMALL,
    steps=tuple(step if step.gate is None else replace(step, gate=WATCHED) for step in SMALL.steps),
)
_LABELS = (("instance_id", "feed-00"),)


class Scene:
    """What a process of the migration opens: the journal, the fleet and the spool of `home`."""

    def __init__(self, home: Path, fleet: Fleet) -> None:
        self.home, self.fleet = home, fleet
        self.journal = Journal(home / "journal.db", home=home)
        self.spool = Spool(home / "journal.spool.jsonl")

    @property
    def migration_id(self) -> str:
        """The newest migration, as a task learns it from the one before it."""
        return self.journal.latest_migration() or "none"

    @property
    def state(self) -> MigrationState:
        """Where it is."""
        return self.journal.state(self.migration_id)


@dataclass(frozen=True)
class Act:
    """One call of the script; `forward` acts can be taken back, `moves` ones change the fleet."""

    name: str
    do: Callable[[Scene], Any]
    forward: bool = True
    moves: bool = False


def forward_acts() -> Iterator[Act]:
    """Begin, every step with its approval, gate and promotion, finish."""
    yield Act("begin", _begin)
    for step in PLAN.steps:
        if step.approval:
            yield Act(f"{step.name} approval", lambda scene, step=step: _approve(scene, step))
        yield Act(
            f"{step.name} advance", lambda scene, step=step: _advance(scene, step), moves=True
        )
        if step.gate is not None:
            yield Act(f"{step.name} gate", lambda scene, step=step: watch_gate(scene, step, 0.5))
        yield Act(f"{step.name} promote", lambda scene, step=step: _promote(scene, step))
    yield Act("finish", _finish)


def take_back(name: str, actor: str = ACTOR) -> Act:
    """A rollback as Airflow and the guard make it: revert, verify, document, close the books."""
    return Act(name, lambda scene: roll_back(scene, actor), forward=False)


def roll_back(scene: Scene, actor: str = ACTOR) -> None:
    """Take the migration back."""
    fleet, journal, spool, who = scene.fleet, scene.journal, scene.spool, scene.migration_id
    later = way_back.JOIN_SECONDS - 0.3 if actor == ANOTHER else 0.0
    taken = way_back.take_back(
        fleet, journal, who, actor, "chaos", spool=spool, clock=lambda: time.time() + later
    )
    assert taken is not None
    deployment = load_deployment(scene.home, {})
    document_incident(deployment, journal, who, actor, result=taken.result, proof=taken.proof)
    if not journal.events(who, EventKind.MIGRATION_FINISHED):
        _write(scene, EventKind.MIGRATION_FINISHED, {"outcome": str(Status.ROLLED_BACK)})


def watch_gate(scene: Scene, step: Step, value: float) -> None:
    """Join the attempt's run of the gate, ask until it says something, write that down."""
    assert step.gate is not None
    start = join_gate(
        scene.journal,
        migration_id=scene.migration_id,
        step=step.name,
        key="attempt-1",
        actor=ACTOR,
        started_unix=START,
    )
    run = GateRun(
        gate=step.gate,
        step_name=step.name,
        migration_id=scene.migration_id,
        started_unix=start.started_unix,
        fleet_size=1,
        source=Recording(
            [{"stale": Answer(series=((_LABELS, value),))}],
            interval_seconds=step.gate.interval_seconds,
        ),
        journal=scene.journal,
        run=start.run,
    )
    verdict = run.tick(START)
    while not verdict.final:
        verdict = run.tick(run.next_due_unix())
    record_verdict(scene.journal, start, verdict)


def refused(scene: Scene, act: Act) -> bool:
    """Whether a forward act finds that its migration does not run any more."""
    try:
        act.do(scene)
    except MigrationNotRunning:
        return True
    return False


def _begin(scene: Scene) -> None:
    scene.journal.begin_migration(PLAN.name, PLAN.sha256, ACTOR, steps=PLAN.steps, run_key=RUN_KEY)


def _approve(scene: Scene, step: Step) -> None:
    if step.name not in scene.state.approved:
        _write(scene, EventKind.APPROVAL, {"step": step.name, "decision": "Approve"})


def _advance(scene: Scene, step: Step) -> None:
    state = scene.state
    cutover.require_open(step, PLAN, state)
    if state.step != step.name:
        _write(scene, EventKind.STEP_STARTED, {"step": step.name, "run": "1"})
    cutover.advance(step, PLAN, scene.fleet, scene.journal, scene.migration_id, ACTOR)


def _promote(scene: Scene, step: Step) -> None:
    cutover.promote(step, PLAN, scene.journal, scene.migration_id, ACTOR)


def _finish(scene: Scene) -> None:
    if scene.state.status is Status.RUNNING:
        _write(scene, EventKind.MIGRATION_FINISHED, {"outcome": str(Status.PROMOTED)})


def _write(scene: Scene, kind: EventKind, body: dict[str, Any]) -> None:
    scene.journal.append(kind, migration_id=scene.migration_id, actor=ACTOR, body=body)
