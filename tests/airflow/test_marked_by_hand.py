"""A task marked success by hand advances nothing, wherever it stands in the chain."""

import pytest

from feed_migration.journal.store import Journal
from feed_migration.phases import MigrationState, Status
from tests.airflow.conftest import Stage, run_state
from tests.airflow.reruns import newest_run

DAG_ID = "backpack_migration"


def newest(stage: Stage) -> MigrationState:
    journal = stage.journal
    return journal.state(journal.latest_migration() or "")


def refused(journal: Journal) -> list[tuple[str, str]]:
    """Error and task of each refusal, in order; a teardown's is left out."""
    notes = [event.body for event in journal.events(kind="audit_note")]
    return [
        (note["error"], note["task_id"])
        for note in notes
        if note.get("note") == "refused" and note["task_id"] != "verdict"
    ]


@pytest.mark.parametrize(
    ("marked", "refusal", "shares"),
    [
        ("dry_run.tests", ("GateNotPassed", "shadow.start"), []),
        ("shadow.start", ("GateNotPassed", "shadow.gate"), []),
        ("shadow.gate", ("GateNotPassed", "shadow.stop"), []),
        ("shadow.(gate|stop)", ("GateNotPassed", "cutover_50.advance"), []),
        ("cutover_50.advance", ("GateNotPassed", "cutover_50.gate"), []),
        ("cutover_50.gate", ("GateNotPassed", "cutover_100.advance"), [2]),
        ("cutover_50.*", ("GateNotPassed", "cutover_100.advance"), []),
        ("cutover_100.advance", ("GateNotPassed", "cutover_100.gate"), [2]),
        ("stabilisation.gate", ("GateNotPassed", "post_migration.report"), [2, 4]),
    ],
)
def test_what_follows_a_marked_task_refuses_and_the_fleet_goes_back(
    stage: Stage, marked: str, refusal: tuple[str, str], shares: list[int]
):
    """No share is reached that has no proof; the journal tells who was refused, and why."""
    assert run_state(stage.dag(DAG_ID), marked) == "failed"
    moved = [len(ids) for variant, ids in stage.fleet.history if variant == "native"]
    assert moved == shares
    assert stage.natives == []
    assert stage.fleet.shadow_pids == {}
    assert newest(stage).status == Status.ROLLED_BACK
    assert refused(stage.journal) == [refusal]
    (note,) = [e for e in stage.journal.events() if e.body.get("task_id") == refusal[1]]
    assert note.actor == "dag_test"
    assert (note.body["dag_id"], note.body["run_id"]) == (DAG_ID, newest_run(DAG_ID))
    assert note.body["text"]
    assert stage.journal.verify().ok


def test_shadows_that_nobody_stopped_are_stopped_by_the_next_step(stage: Stage):
    """`stop` is a convenience: the cutover looks for itself."""
    assert run_state(stage.dag(DAG_ID), "shadow.stop") == "success"
    assert stage.fleet.shadow_pids == {}
    assert refused(stage.journal) == []


def test_a_report_that_nobody_wrote_leaves_the_run_red(stage: Stage):
    """The fleet is proven and stays; the migration is not finished, and the verdict says so."""
    assert run_state(stage.dag(DAG_ID), "post_migration.report") == "failed"
    assert stage.natives == stage.fleet.names
    state = newest(stage)
    assert state.status == Status.RUNNING
    (note,) = [e.body for e in stage.journal.events() if e.body.get("task_id") == "verdict"]
    assert "not promoted: post_migration" in note["text"]


def test_a_begin_that_never_ran_lets_nothing_run(stage: Stage):
    """Every task refuses, and the rollback leaves another's migration where it is."""
    assert stage.run("backpack_dry_run") == "success"
    other = newest(stage)
    moves = list(stage.fleet.history)
    assert run_state(stage.dag(DAG_ID), "begin") == "failed"
    assert stage.fleet.history == moves
    assert newest(stage) == other
    tasks = {task for _, task in refused(stage.journal)}
    assert {"dry_run.tests", "rollback.revert", "rollback.document"} <= tasks


def test_a_way_back_that_never_ran_is_said_by_the_verdict(stage: Stage):
    """The run is red, names the instances, and the journal still holds the deployment."""
    assert run_state(stage.dag(DAG_ID), "(cutover_100.gate|rollback.*)") == "failed"
    assert stage.natives == stage.fleet.names
    state = newest(stage)
    assert state.status == Status.RUNNING
    assert set(state.exposed) == set(stage.fleet.names)
    (note,) = [e.body for e in stage.journal.events() if e.body.get("task_id") == "verdict"]
    assert "still on native: feed-00, feed-01, feed-02, feed-03" in note["text"]
    assert stage.run("backpack_rollback", reason="a test", confirm=True) == "success"
    assert stage.natives == []


def test_a_verdict_marked_success_changes_a_colour_and_nothing_else(stage: Stage):
    """A task's green is Airflow's; the journal says that the migration was taken back."""
    run_state(stage.dag(DAG_ID), "(cutover_50.gate|cutover_100.*|.*gate|.*report|verdict)")
    assert newest(stage).status == Status.ROLLED_BACK
    assert stage.natives == []
