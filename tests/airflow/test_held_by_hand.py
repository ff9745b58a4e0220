"""A gate held by a person, through Airflow: it ends as after its own hold, and goes on as well."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from feed_migration.cli import app as cli
from feed_migration.driving import gate_task_id
from feed_migration.holding import hold
from feed_migration.phases import Status
from tests.airflow.conftest import Stage, run_of, steady
from tests.airflow.reruns import clear, newest_run, rerun
from tests.support.conditions import eventually_sync

DAG_ID = "backpack_migration"


def held_at_half(stage: Stage):
    """A Prometheus at whose first answer for half of the fleet a person holds."""
    once = threading.Lock()

    def script(query):
        if len(stage.natives) == 2 and once.acquire(blocking=False):
            journal = stage.journal
            migration_id = journal.latest_migration() or ""
            hold(journal, migration_id, actor="bo", reason="odd", at_unix=0.0)
        return steady(query)

    return script


def test_a_gate_held_by_hand_keeps_the_exposure_until_it_is_cleared(stage: Stage, api):
    """One hold, under the person's name; the run fails, and the same migration ends promoted."""
    stage.prometheus.script = held_at_half(stage)
    assert stage.run(DAG_ID) == "failed"
    journal = stage.journal
    migration_id = journal.latest_migration() or ""
    state = journal.state(migration_id)
    assert (state.status, state.held_step) == (Status.HELD, "cutover-50")
    assert stage.natives == ["feed-00", "feed-01"]
    assert [event.actor for event in journal.events(migration_id, "held")] == ["bo"]

    stage.prometheus.script = steady
    run_id = newest_run(DAG_ID)
    clear(api, DAG_ID, run_id, "cutover_50.gate", downstream=True)
    assert rerun(stage.dag(DAG_ID), run_id) == "success"
    assert journal.state(migration_id).status is Status.PROMOTED


def test_a_run_that_waited_behind_the_held_one_does_not_end_the_hold(
    stage: Stage, airflow_database
):
    """Airflow queues it, and begins it when the held one has ended; nobody has asked for that."""
    asked_at = datetime.now(UTC)
    stage.prometheus.script = held_at_half(stage)
    assert stage.run(DAG_ID) == "failed"
    migration_id = stage.journal.latest_migration() or ""
    stage.prometheus.script = steady
    assert run_of(stage.dag(DAG_ID), asked_at=asked_at).state == "failed"
    state = stage.journal.state(migration_id)
    assert (state.status, state.held_step) == (Status.HELD, "cutover-50")
    assert stage.natives == ["feed-00", "feed-01"]
    notes = [event.body for event in stage.journal.events(migration_id, "audit_note")]
    (refused,) = [note for note in notes if note.get("note") == "refused"]
    assert "was asked for at" in refused["text"]

    # triggered anew, it is what a person wants now
    assert stage.run(DAG_ID) == "success"
    assert stage.journal.state(migration_id).status is Status.PROMOTED


@contextmanager
def listening(app) -> Iterator[str]:
    """Airflow's API on a port of its own, for clients that are no test's."""
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, lifespan="off", log_level="warning")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually_sync(lambda: server.started, 30.0)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_the_shell_resumes_what_it_held(stage: Stage, api, monkeypatch: pytest.MonkeyPatch):
    """Through Airflow's own REST API; the journal has both with who did them."""
    stage.prometheus.script = held_at_half(stage)
    assert stage.run(DAG_ID) == "failed"
    stage.prometheus.script = steady
    monkeypatch.setattr("getpass.getuser", lambda: "bo")
    passwords = Path(os.environ["AIRFLOW_HOME"]) / "simple_auth_manager_passwords.json.generated"
    with listening(api.app) as url:
        document = yaml.safe_load((stage.home / "deployment.yaml").read_text())
        document["airflow"] = {"url": url, "password_file": str(passwords)}
        (stage.home / "deployment.yaml").write_text(yaml.safe_dump(document))
        assert cli.run(["resume", "--reason", "it was the venue"]) == 0
    journal = stage.journal
    migration_id = journal.latest_migration() or ""
    notes = journal.events(migration_id, "audit_note")
    [resumed] = [note for note in notes if note.body.get("note") == "resumed"]
    assert (resumed.actor, resumed.body["reason"]) == ("cli:bo", "it was the venue")
    assert rerun(stage.dag(DAG_ID), newest_run(DAG_ID)) == "success"
    assert journal.state(migration_id).status is Status.PROMOTED


@pytest.mark.parametrize("dag_id", [DAG_ID, "backpack_cutover", "backpack_shadow"])
def test_the_task_that_is_cleared_is_the_gate_of_its_step(stage: Stage, dag_id: str):
    """In every DAG that has the step."""
    from feed_migration.orchestration.gate_operator import GateOperator

    tasks = stage.dag(dag_id).tasks
    gates = {task.step: task.task_id for task in tasks if isinstance(task, GateOperator)}
    assert gates
    assert {step: gate_task_id(step) for step in gates} == gates
