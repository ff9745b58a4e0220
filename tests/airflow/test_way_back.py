"""The operators of the way back, one at a time, with each part they lean on broken in turn."""

import time
import traceback
from typing import Any

import pytest

from feed_migration.errors import FleetUnavailable, JournalUnavailable, NotReady, StaleEpoch
from feed_migration.guard.knowledge import Copy, KnowledgeFile, Known
from feed_migration.journal.spool import UNRESOLVED, Spool
from feed_migration.lease import PERSON_SECONDS
from feed_migration.phases import Status
from tests.airflow.broken_journal import locked, ruin
from tests.airflow.half_way import (
    STEP,
    context_of,
    fails_for_good,
    gate_of,
    hold,
    raising,
    reverting,
    taking_back,
)

BREACH = {
    "step": STEP,
    "run": "1",
    "decision": "Rollback",
    "at_seconds": 3.0,
    "reasons": [{"criterion": "errors", "text": "errors 5 > 0"}],
}


class Killed(BaseException):
    """The process ends here, as by SIGKILL: nothing catches it."""


@pytest.fixture
def context(migration_id: str) -> dict[str, Any]:
    """Of a task of a run whose gate has failed."""
    return context_of(migration_id, gate="failed")


def test_the_gate_itself_takes_the_fleet_back(stage, place, migration_id, context):
    """A breach after a hold must not lean on a rollback task that had ended before."""
    hold(stage, migration_id)
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    assert stage.natives == []
    state = stage.journal.state(migration_id)
    assert state.status == Status.ROLLED_BACK
    assert "errors 5 > 0" in state.reason


def test_the_reason_of_a_rollback_from_outside_stands(stage, place, migration_id, context):
    """The gate that is ended by it finishes the work, under the reason it was begun with."""
    body = {"reason": "asked for", "epoch": 2, "breach_at": 1.0, "instances": {}}
    stage.journal.append("rollback_started", migration_id=migration_id, actor="bob", body=body)
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    assert stage.natives == []
    assert stage.journal.state(migration_id).reason == "asked for"


def test_the_rollback_task_joins_what_the_gate_did(stage, place, migration_id, context):
    """The fleet is taken back once; the second time is a check."""
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    moves = list(stage.fleet.history)
    assert reverting(place).execute(context) == "revert"
    assert stage.fleet.history == moves
    assert stage.kinds(migration_id).count("rollback_started") == 1
    assert stage.kinds(migration_id).count("rollback_verified") == 1


def test_a_gate_killed_while_it_reverts_is_finished_by_the_rollback_task(
    stage, place, migration_id, context, monkeypatch
):
    """Whatever the gate left undone, the way back does."""
    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet, "set_variant", raising(Killed()))
        with pytest.raises(Killed):
            gate_of(place).resume(context, BREACH)
    assert stage.natives
    assert reverting(place).execute(context) == "revert"
    assert stage.natives == []
    assert stage.journal.state(migration_id).status == Status.ROLLED_BACK


def test_a_gate_that_cannot_revert_fails_and_leaves_it_to_the_rollback_task(
    stage, place, context, monkeypatch
):
    """A retry of the gate would only delay the task that tries harder."""
    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet, "set_variant", raising(FleetUnavailable("away")))
        with fails_for_good():
            gate_of(place).resume(context, BREACH)
    reverting(place).execute(context)
    assert stage.natives == []


def test_a_breach_acts_without_a_journal(stage, place, context):
    """The trigger's word is enough where the journal cannot be opened."""
    ruin(stage)
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    assert stage.natives == []


def test_a_rollback_of_a_newer_migration_is_not_this_run_s(stage, place, migration_id, context):
    """A late task of a run that is over leaves the fleet to the migration that has it now."""
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    plan = place.plan()
    newer = stage.journal.begin_migration(plan.name, plan.sha256, "bob", steps=plan.steps)
    epoch = stage.journal.state(newer).epoch
    stage.fleet.set_variant(stage.fleet.names, "native", epoch=max(epoch, stage.fleet.epoch()))
    assert reverting(place).execute(context) == "revert"
    assert stage.natives == stage.fleet.names
    assert stage.journal.active_migration() == newer


def test_a_late_task_leaves_a_fleet_that_was_promoted_since(stage, place, migration_id, context):
    """The newer migration is over, and no longer active; its fleet is its all the same."""
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    newer = stage.journal.begin_migration("another", "0" * 64, "bob")
    stage.fleet.set_variant(stage.fleet.names, "native", epoch=stage.journal.state(newer).epoch)
    body = {"outcome": "promoted"}
    stage.journal.append("migration_finished", migration_id=newer, actor="bob", body=body)
    assert stage.journal.active_migration() is None
    with fails_for_good():
        gate_of(place).resume(context, BREACH)
    assert reverting(place).execute(context) == "revert"
    assert stage.natives == stage.fleet.names


@pytest.mark.parametrize("operator", [reverting, taking_back])
def test_a_mistake_in_the_plan_does_not_stop_a_rollback(
    stage, context, tmp_path, monkeypatch, operator
):
    """Which way is back does not depend on the plan."""
    from feed_migration.orchestration.place import current_place

    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    monkeypatch.setenv("BACKPACK_PLAN", str(broken))
    operator(current_place()).execute(context)
    assert stage.natives == []


def test_a_mistake_in_the_plan_leaves_the_rollback_tasks_in_their_dag(stage, tmp_path, monkeypatch):
    """A worker parses the file before a task: for the way back it must find one in it."""
    from feed_migration.orchestration.dag_factory import migration_dag

    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    monkeypatch.setenv("BACKPACK_PLAN", str(broken))
    # as the worker does it; Airflow's own context manager never takes it out again
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "m")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_TASK_ID", "rollback.revert")
    dag = migration_dag("m", "doc")
    assert {"begin", "rollback.revert", "rollback.document", "verdict"} == set(dag.task_ids)


@pytest.mark.parametrize("operator", [reverting, taking_back])
def test_a_ruined_journal_does_not_stop_a_rollback(stage, place, context, operator):
    """Bytes that are no database: the fleet goes back, the events go to the spool."""
    ruin(stage)
    operator(place).execute(context)
    assert stage.natives == []
    assert "rollback_verified" in (stage.home / "journal.spool.jsonl").read_text()


@pytest.mark.parametrize("operator", [reverting, taking_back])
def test_a_locked_journal_delays_a_rollback_by_seconds(stage, place, context, operator):
    """Another process that sits on the write lock costs a short wait, not its patience."""
    note = {"migration_id": "none", "actor": "ann", "body": {}}
    # what waits for the journal is absorbed when it is opened, which takes the lock
    Spool(stage.home / "journal.spool.jsonl").write("audit_note", at=0.0, **note)
    began = time.monotonic()
    with locked(stage):
        operator(place).execute(context)
    assert stage.natives == []
    assert time.monotonic() - began < 14.0


def test_a_good_run_waits_for_its_journal_before_it_gives_the_fleet_up(stage, place, migration_id):
    """No task failed, so there is nothing to hurry from; only the last try goes back."""
    ruin(stage)
    good = context_of(migration_id, gate="success")
    with pytest.raises(JournalUnavailable):
        reverting(place).execute(good)
    assert stage.natives
    good["ti"].try_number = 6
    reverting(place).execute(good)
    assert stage.natives == []


def test_a_way_back_that_was_skipped_before_is_no_failure(stage, place, migration_id):
    """Cleared alone after a good run, while the journal is away: nothing to hurry from."""
    ruin(stage)
    states = {"rollback.revert": "running", "rollback.document": "skipped"}
    with pytest.raises(JournalUnavailable):
        reverting(place).execute(context_of(migration_id, **states))
    with_a_step_skipped = context_of(migration_id, **{**states, "cutover_50.gate": "skipped"})
    assert reverting(place).execute(with_a_step_skipped) == "revert"


def test_a_phase_that_ends_well_leaves_a_lease_for_who_starts_the_next_one(
    stage, place, migration_id, context
):
    """Days may pass between two phases that are started one by one; nobody renews meanwhile."""
    who = {"migration_id": migration_id, "actor": "ann"}
    approval = {"step": STEP, "decision": "Promote", "reason": "t"}
    stage.journal.append("approval", body=approval, **who)
    stage.journal.append("step_promoted", body={"step": STEP}, **who)
    from airflow.sdk.exceptions import AirflowSkipException

    operator = reverting(place)
    operator.steps = ("shadow", STEP)

    with pytest.raises(AirflowSkipException, match="nothing to take back"):
        operator.execute(context)

    assert stage.natives
    lease = stage.journal.lease(migration_id)
    assert (lease.holder, lease.seconds) == ("end of m", PERSON_SECONDS)


@pytest.mark.parametrize(
    "error", [NotReady(("feed-00",), {}, 5.0), StaleEpoch(presented=1, current=2)]
)
def test_a_rollback_that_is_not_through_is_tried_again(stage, place, context, monkeypatch, error):
    """An instance that is slow, or a newer actor, is no reason to give the way back up."""
    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet, "wait_ready", raising(error))
        for operator in (reverting, taking_back):
            with pytest.raises(type(error)):
                operator(place).execute(context)
    assert reverting(place).execute(context) == "revert"
    assert stage.journal.active_migration() is None


@pytest.mark.parametrize("known", ["mig-0008", None])
def test_without_a_journal_the_guard_s_copy_says_which_migration_is_taken_back(
    stage, place, context, known
):
    """Its events wait in the spool under that name; without a copy the journal looks by time."""
    if known:
        copy = Copy(known=Known(migration_id=known, status=Status.RUNNING), read_at=1.0)
        KnowledgeFile(stage.home / "guard" / "known.json").save(copy)
    ruin(stage)
    assert taking_back(place).execute(context) == (known or UNRESOLVED)
    assert stage.natives == []


def test_a_hold_fails_the_rollback_tasks_so_that_a_clear_of_the_failed_ones_takes_them(
    stage, place, migration_id, context
):
    """Green ones would be left out of the clear, and with them the next way back."""
    from feed_migration.orchestration.rollback_operators import DocumentOperator

    hold(stage, migration_id)
    with fails_for_good():
        reverting(place).execute(context)
    with fails_for_good():
        DocumentOperator(task_id="document", place=place).execute(context)
    assert stage.natives == stage.fleet.names[:2]


def test_a_refusal_is_said_once_in_the_task_s_log(stage, place, migration_id, context):
    """Airflow logs an error and all that it was raised from."""
    from feed_migration.orchestration.act_operators import AdvanceOperator

    hold(stage, migration_id)
    with fails_for_good() as refusal:
        AdvanceOperator(task_id="a", place=place, step="cutover-100").execute(context)
    said = "".join(traceback.format_exception(refusal.value))
    assert said.count(str(refusal.value)) == 1


def test_a_refused_step_leaves_a_held_migration_held(stage, place, migration_id, context):
    """Work that may not begin writes only that it was refused, whichever task asks for it."""
    from feed_migration.orchestration.act_operators import AdvanceOperator, ReportOperator

    hold(stage, migration_id)
    before = stage.journal.events()
    for operator in (
        AdvanceOperator(task_id="a", place=place, step="cutover-100"),
        gate_of(place, "cutover-100"),
        ReportOperator(task_id="r", place=place, step="post_migration"),
    ):
        with fails_for_good():
            operator.execute(context)
    assert stage.journal.state(migration_id).status == Status.HELD
    after = stage.journal.events()
    assert after[: len(before)] == before
    refused = {(event.body["error"], event.body["step"]) for event in after[len(before) :]}
    assert refused == {("MigrationNotRunning", step) for step in ("cutover-100", "post_migration")}


def test_a_fleet_that_is_not_native_is_not_closed_as_promoted(stage, place, migration_id, context):
    """The last word of a migration is checked against the fleet, not only against the journal."""
    from feed_migration.orchestration.act_operators import ReportOperator

    who = {"migration_id": migration_id, "actor": "ann"}
    for step in (STEP, "cutover-100", "stabilisation"):
        body = {"step": step, "decision": "Promote", "reason": "by hand"}
        stage.journal.append("approval", body=body, **who)
        stage.journal.append("step_promoted", body={"step": step}, **who)
    with fails_for_good() as refusal:
        ReportOperator(task_id="r", place=place, step="post_migration").execute(context)
    assert "feed-03" in str(refusal.value)
    assert stage.journal.state(migration_id).status == Status.RUNNING
