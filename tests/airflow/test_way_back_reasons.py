"""The reason and the actor that a way back has in the journal: what failed, or who said No."""

import pytest

from feed_migration.errors import FleetUnavailable
from tests.airflow.half_way import context_of, pass_half, raising, reverting


def test_a_rejection_is_the_reason_and_its_person_the_actor(stage, place, migration_id):
    """Of a step that never began; the one before it did promote, and nobody says otherwise."""
    pass_half(stage, migration_id)
    body = {"step": "cutover-100", "decision": "Reject", "reason": ""}
    stage.journal.append("approval", migration_id=migration_id, actor="bob", body=body)
    rejected = context_of(migration_id, **{"cutover_100.approval": "failed"})
    assert reverting(place).execute(rejected) == "revert"
    (event,) = stage.journal.events(migration_id, "rollback_started")
    assert event.actor == "bob"
    assert event.body["reason"] == "cutover-100 was not approved: rejected by bob"


def test_silence_is_the_reason_and_the_run_s_own_user_the_actor(stage, place, migration_id):
    """Nobody said No, so nobody is named for it."""
    pass_half(stage, migration_id)
    body = {"step": "cutover-100", "decision": "Unanswered", "reason": "no answer within 30 min"}
    stage.journal.append("approval", migration_id=migration_id, actor="nobody", body=body)
    reverting(place).execute(context_of(migration_id))
    (event,) = stage.journal.events(migration_id, "rollback_started")
    assert event.actor == "ann"
    assert event.body["reason"] == "cutover-100 was not approved: no answer within 30 min"


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        (
            {"cutover_100.advance": "failed", "cutover_100.gate": "upstream_failed"},
            "cutover-100 ended without its Promote, failed in Airflow: advance",
        ),
        ({}, "the DAG run ended before cutover-100 had its Promote"),
    ],
)
def test_the_reason_names_the_step_that_failed(stage, place, migration_id, tasks, reason):
    """Not the last one that began, which may well be promoted."""
    pass_half(stage, migration_id)
    reverting(place).execute(context_of(migration_id, **tasks))
    (event,) = stage.journal.events(migration_id, "rollback_started")
    assert event.body["reason"] == reason


def test_a_second_try_of_a_rejection_s_way_back_waits_for_nobody(
    stage, place, migration_id, monkeypatch
):
    """It goes on in the same name, so it takes itself for nobody else."""
    pass_half(stage, migration_id)
    body = {"step": "cutover-100", "decision": "Reject", "reason": ""}
    stage.journal.append("approval", migration_id=migration_id, actor="bob", body=body)
    with monkeypatch.context() as patch:
        patch.setattr(stage.fleet, "set_variant", raising(FleetUnavailable("away")))
        with pytest.raises(FleetUnavailable):
            reverting(place).execute(context_of(migration_id))
    assert reverting(place).execute(context_of(migration_id)) == "revert"
    acts = stage.journal.events(migration_id, "rollback_act")
    assert {act.actor for act in acts} == {"bob"}
    assert stage.natives == []
