"""Who marks a task success or clears it, through Airflow's own API, is in the journal by name."""

from types import SimpleNamespace

import pytest

from feed_migration.orchestration import listener
from tests.airflow.conftest import Stage

DAG_ID = "backpack_dry_run"


@pytest.fixture
def run(stage: Stage):
    """A finished run of a DAG of ours; yields its id."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    assert stage.run(DAG_ID) == "success"
    with create_session() as session:
        newest = select(DagRun.run_id).where(DagRun.dag_id == DAG_ID).order_by(DagRun.id.desc())
        return session.scalars(newest).first()


def acts(stage: Stage):
    notes = stage.journal.events(kind="audit_note")
    return [
        (note.actor, note.body["act"], note.body["task_id"], note.body["details"])
        for note in notes
        if note.body.get("note") == "human_act"
    ]


def mark(api, run, state):
    path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run}/taskInstances/verdict"
    reply = api.patch(path, json={"new_state": state})
    assert reply.status_code == 200, reply.text


def test_a_task_marked_by_hand_is_noted_under_the_users_name(stage, run, api):
    """The hook has no user; Airflow's audit log, of the same request, has. Each act once."""
    mark(api, run, "failed")
    mark(api, run, "success")
    assert [
        (user, act, task, details["new_state"]) for user, act, task, details in acts(stage)
    ] == [
        ("ann", "patch_task_instance", "verdict", "failed"),
        ("ann", "patch_task_instance", "verdict", "success"),
    ]
    journal = stage.journal
    noted = journal.events(journal.latest_migration(), "audit_note")
    assert [event.actor for event in noted[-2:]] == ["ann", "ann"]
    assert {1, noted[-1].seq} <= {head.seq for head in journal.heads()}
    assert journal.verify().ok


def test_tasks_cleared_by_hand_are_noted_when_the_run_begins_again(stage, run, api):
    """No hook tells of a clear; the run that it sets off does."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from sqlalchemy import select

    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["verdict"], "only_failed": False}
    reply = api.post(f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=body)
    assert reply.status_code == 200, reply.text
    assert acts(stage) == []
    for _ in range(2):
        with create_session() as session:
            dag_run = session.scalars(select(DagRun).where(DagRun.run_id == run)).one()
            dag_run.state = DagRunState.RUNNING
            dag_run.notify_dagrun_state_changed(msg="started")
    ((user, act, _, details),) = acts(stage)
    assert (user, act, details["task_ids"]) == ("ann", "post_clear_task_instances", ["verdict"])


def test_a_journal_that_does_not_answer_never_stops_airflow(stage, run, api):
    """The mark is set; the note is made up for at the next occasion."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(stage.home / "journal.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        mark(api, run, "failed")
        holder.execute("ROLLBACK")
    assert acts(stage) == []
    mark(api, run, "success")
    assert [details["new_state"] for *_, details in acts(stage)] == ["failed", "success"]


def test_a_worker_is_left_alone(stage):
    """There, task instances are no rows, and nobody acts by hand."""
    listener.on_task_instance_success(None, SimpleNamespace(dag_id=DAG_ID, run_id="r"))
    assert stage.kinds() == []
