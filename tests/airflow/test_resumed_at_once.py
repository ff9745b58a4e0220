"""A hold that is ended while its run's way back still runs: the exposure is the next attempt's."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.gates.record import GateStart, join_gate, recorded_verdict
from feed_migration.holding import hold
from feed_migration.journal.store import Journal
from feed_migration.orchestration.joining import Applicant, join_migration
from feed_migration.phases import MigrationState, Status
from tests.airflow.conftest import Stage, steady
from tests.airflow.half_way import context_of, fails_for_good, gate_of, reverting
from tests.airflow.reruns import clear, newest_run, rerun

DAG_ID = "backpack_migration"
GATE = "cutover_50.gate"
STEP = "cutover-50"
STEPS = ("dry_run", "shadow", STEP, "cutover-100", "stabilisation", "post_migration")


def newest(stage: Stage) -> MigrationState:
    journal = stage.journal
    return journal.state(journal.latest_migration() or "")


def silent_on_native(stage: Stage) -> Callable[[str], Any]:
    """A Prometheus that knows nothing of the native feed, so that its first gate holds."""
    return lambda query: [
        (labels, float("nan") if stage.natives else 0.0) for labels, _ in steady(query)
    ]


def joined(stage: Stage, dag_id: str, run_id: str, attempt: int) -> str:
    """Join the migration as `begin` does in an attempt at a DAG run; return its id."""
    from feed_migration.orchestration.place import current_place

    key = f"{dag_id}/{run_id}#{attempt}"
    who = Applicant(key=key, dag_id=dag_id, run_id=run_id, actor="ann", steps=STEPS)
    plan = current_place().plan()
    return join_migration(stage.journal, plan, who, run_state=lambda *_: "failed")


def gate_begun(stage: Stage, dag_id: str, run_id: str, attempt: int) -> GateStart:
    """Begin the run of the gate that an attempt at a DAG run watches."""
    key, migration_id = f"{dag_id}/{run_id}#{attempt}", stage.journal.latest_migration() or ""
    return join_gate(
        stage.journal, migration_id=migration_id, step=STEP, key=key, actor="ann", started_unix=0.0
    )


def test_a_held_gate_that_is_cleared_while_the_way_back_runs_stays_exposed(
    stage: Stage, api, monkeypatch: pytest.MonkeyPatch
):
    """The cleared run is at its gate again before the old way back has asked the journal."""
    from feed_migration.orchestration import runtime as runtimes

    real, asked = runtimes.journal_for_rollback, []

    def too_late(place: Any) -> Journal | None:
        asked.append(newest_run(DAG_ID))
        if len(asked) == 1:
            clear(api, DAG_ID, asked[0], GATE, downstream=True)
            joined(stage, DAG_ID, asked[0], 1)
            gate_begun(stage, DAG_ID, asked[0], 1)
            assert newest(stage).status is Status.RUNNING
        return real(place)

    monkeypatch.setattr(runtimes, "journal_for_rollback", too_late)
    stage.prometheus.script = silent_on_native(stage)
    stage.run(DAG_ID)
    assert asked
    assert stage.natives == stage.fleet.names[:2]
    assert "rollback_started" not in stage.kinds()


class WayBack:
    """The task `rollback.revert` of the first attempt at a run, asleep since before it judged."""

    def __init__(self, stage: Stage) -> None:
        self._run_id = newest_run(DAG_ID)
        self._migration_id = newest(stage).migration_id
        self._operator = stage.dag(DAG_ID).get_task("rollback.revert")
        self.ending: BaseException | str | None = None

    def wake(self) -> None:
        try:
            self.ending = self._operator.execute(self._context())
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            self.ending = error

    def _context(self) -> dict[str, Any]:
        return {
            "ti": SimpleNamespace(
                xcom_pull=lambda task_ids: self._migration_id, try_number=1, max_tries=20
            ),
            "dag_run": SimpleNamespace(
                dag_id=DAG_ID, run_id=self._run_id, clear_number=0, triggering_user_name="ann"
            ),
        }


def cleared(stage: Stage, api: Any) -> str:
    run_id = newest_run(DAG_ID)
    clear(api, DAG_ID, run_id, GATE, downstream=True)
    return rerun(stage.dag(DAG_ID), run_id)


def triggered(stage: Stage, api: Any) -> str:
    return stage.run(DAG_ID)


@pytest.mark.parametrize("resume", [cleared, triggered])
def test_a_way_back_that_slept_through_the_end_of_a_hold_takes_nothing_back(
    stage: Stage, api, resume: Callable[[Stage, Any], str]
):
    """It wakes up in the next attempt's open gate, of the same run or of another one."""
    stage.prometheus.script = silent_on_native(stage)
    assert stage.run(DAG_ID) == "failed"
    held, way_back = newest(stage), WayBack(stage)
    assert held.status is Status.HELD

    def waking(query: str) -> Any:
        # the preflight asks as well, while the hold still stands
        if way_back.ending is None and newest(stage).status is Status.RUNNING:
            way_back.wake()
        return steady(query)

    stage.prometheus.script = waking
    assert resume(stage, api) == "success"
    assert "held, the exposure stays as it is" in str(way_back.ending)
    assert "rollback_started" not in stage.kinds()
    assert newest(stage).status is Status.PROMOTED
    assert newest(stage).migration_id == held.migration_id


@dataclass
class Scene:
    """A migration whose first half of the fleet is on native, its gate under way in one attempt."""

    stage: Stage
    place: Any
    migration_id: str
    first: GateStart

    def hold(self) -> None:
        hold(self.stage.journal, self.migration_id, actor="bo", reason="odd", at_unix=0.0)

    def next_attempt(self) -> GateStart:
        """Another attempt at the run joins, and its gate begins."""
        joined(self.stage, "m", "1", 1)
        return gate_begun(self.stage, "m", "1", 1)

    def context(self, attempt: int = 0) -> dict[str, Any]:
        context = context_of(self.migration_id, gate="failed")
        context["dag_run"].clear_number = attempt
        return context

    @property
    def state(self) -> MigrationState:
        return self.stage.journal.state(self.migration_id)


@pytest.fixture
def scene(stage: Stage) -> Scene:
    from feed_migration.orchestration.place import current_place

    migration_id, journal = joined(stage, "m", "1", 0), stage.journal
    who = {"migration_id": migration_id, "actor": "ann"}
    for step in ("dry_run", "shadow"):
        journal.append("approval", body={"step": step, "decision": "Promote", "reason": "t"}, **who)
        journal.append("step_promoted", body={"step": step}, **who)
    names, epoch = stage.fleet.names[:2], journal.state(migration_id).epoch
    act = {"act": "set_variant", "variant": "native", "step": STEP, "epoch": epoch}
    for kind in ("act_intended", "act_confirmed"):
        journal.append(kind, body={**act, "instances": names}, **who)
    stage.fleet.set_variant(names, "native", epoch=epoch)
    first = gate_begun(stage, "m", "1", 0)
    return Scene(stage=stage, place=current_place(), migration_id=migration_id, first=first)


def test_an_attempt_that_failed_goes_back_although_the_next_one_is_at_it(scene: Scene):
    """Nobody held: a gate that was marked failed, say, is cleared too late to keep the exposure."""
    scene.next_attempt()
    assert reverting(scene.place).execute(scene.context()) == "revert"
    assert scene.stage.natives == []


def test_the_next_attempt_s_own_way_back_does_not_lean_on_the_hold(scene: Scene):
    """Its gate ended without a verdict, and that takes the fleet back."""
    scene.hold()
    scene.next_attempt()
    assert reverting(scene.place).execute(scene.context(1)) == "revert"
    assert scene.stage.natives == []
    assert scene.state.status is Status.ROLLED_BACK


def test_a_rollback_of_the_next_attempt_is_helped_on(scene: Scene):
    """What is taken back is everybody's, whoever had held before."""
    scene.hold()
    scene.next_attempt()
    body = {"reason": "errors", "epoch": 2, "breach_at": 1.0, "instances": {}}
    who = {"migration_id": scene.migration_id, "actor": "ann"}
    scene.stage.journal.append("rollback_started", body=body, **who)
    assert reverting(scene.place).execute(scene.context()) == "revert"
    assert scene.stage.natives == []


def test_a_journal_that_does_not_say_who_drives_takes_the_fleet_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
):
    """In doubt it goes back: what is known is an open gate, and that this task is due."""
    scene.hold()
    scene.next_attempt()
    real = Journal.events

    def without_notes(journal: Journal, migration_id: Any = None, kind: Any = None, **more: Any):
        if kind == "audit_note":
            raise JournalUnavailable("away", "wait")
        return real(journal, migration_id, kind, **more)

    monkeypatch.setattr(Journal, "events", without_notes)
    assert reverting(scene.place).execute(scene.context()) == "revert"
    assert scene.stage.natives == []


def test_the_last_tasks_of_a_held_attempt_say_that_it_was_held(scene: Scene):
    """And not that the exposure is forgotten: the next attempt watches it."""
    from feed_migration.orchestration.rollback_operators import DocumentOperator, VerdictOperator

    scene.hold()
    scene.next_attempt()
    before = scene.stage.journal.events()
    for operator in (
        DocumentOperator(task_id="document", place=scene.place),
        VerdictOperator(task_id="verdict", place=scene.place, steps=STEPS),
    ):
        with fails_for_good() as failure:
            operator.execute(scene.context())
        assert "held by bo: odd" in str(failure.value)
    assert scene.stage.journal.events() == before


def test_a_gate_that_slept_through_the_end_of_its_hold_holds_nothing(scene: Scene):
    """Its verdict is of the run before; the one that is open has none."""
    scene.hold()
    verdict = recorded_verdict(scene.stage.journal, scene.first)
    second = scene.next_attempt()
    with fails_for_good():
        gate_of(scene.place).resume(scene.context(), verdict)
    assert (scene.state.status, recorded_verdict(scene.stage.journal, second)) == (
        Status.RUNNING,
        None,
    )
