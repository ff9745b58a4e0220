"""A gate held by a person, through Airflow: it ends as after its own hold, and goes on as well."""

import threading

from feed_migration.holding import hold
from feed_migration.phases import Status
from tests.airflow.conftest import Stage, steady
from tests.airflow.reruns import clear, newest_run, rerun

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
