"""deployment.yaml comes to name another fleet while Airflow drives: nothing goes forward on it."""

from copy import copy
from pathlib import Path

import pytest
import yaml

from feed_migration.deployment import Deployment
from feed_migration.errors import FleetChanged, FleetUnavailable
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.runtime import (
    close_promoted,
    open_runtime,
    require_same_fleet,
    revert,
)
from feed_migration.phases import MigrationState, Status
from tests.airflow.conftest import Stage, steady
from tests.airflow.half_way import STEP, context_of, fails_for_good, gate_of, raising
from tests.airflow.reruns import clear, newest_run, rerun
from tests.airflow.scripted import ScriptedFleet

DAG_ID = "backpack_migration"


def newest(stage: Stage) -> MigrationState:
    journal = stage.journal
    return journal.state(journal.latest_migration() or "")


def rename(home: Path, old: str, new: str) -> None:
    path = home / "deployment.yaml"
    document = yaml.safe_load(path.read_text())
    for entry in document["instances"]:
        entry["id"] = new if entry["id"] == old else entry["id"]
    path.write_text(yaml.safe_dump(document))


def drop(home: Path, name: str) -> None:
    path = home / "deployment.yaml"
    document = yaml.safe_load(path.read_text())
    document["instances"] = [entry for entry in document["instances"] if entry["id"] != name]
    path.write_text(yaml.safe_dump(document))


def refusals(stage: Stage) -> list[str]:
    notes = stage.journal.events(kind="audit_note")
    return [note.body["text"] for note in notes if note.body.get("error") == "FleetChanged"]


@pytest.fixture
def half(stage: Stage) -> MigrationState:
    """Half of the fleet on native, held."""
    stage.prometheus.script = lambda query: [
        (labels, float("nan") if stage.natives else 0.0) for labels, _ in steady(query)
    ]
    assert stage.run(DAG_ID) == "failed"
    assert newest(stage).status == Status.HELD
    stage.prometheus.script = steady
    return newest(stage)


def test_a_hold_does_not_go_on_over_another_fleet_until_the_file_is_restored(
    stage: Stage, half, api
):
    """Refused in the audit log with the remedy; the exposure stays, and then goes on."""
    rename(stage.home, "feed-00", "feed-a0")
    run_id = newest_run(DAG_ID)
    clear(api, DAG_ID, run_id, "cutover_50.gate", downstream=True)
    assert rerun(stage.dag(DAG_ID), run_id) == "failed"
    assert (newest(stage).status, newest(stage).exposed) == (Status.HELD, half.exposed)
    assert any(
        "feed-00 missing, feed-a0 new: restore deployment.yaml" in t for t in refusals(stage)
    )

    rename(stage.home, "feed-a0", "feed-00")
    clear(api, DAG_ID, run_id, "cutover_50.gate", downstream=True)
    assert rerun(stage.dag(DAG_ID), run_id) == "success"
    assert newest(stage).status == Status.PROMOTED


def test_a_promote_over_another_fleet_is_a_hold(stage: Stage):
    """Nothing is bad, and nothing may go on: a person restores the file, or takes it back."""
    edited: list[None] = []

    def edit_once_native(query: str):
        if stage.natives and not edited:
            edited.append(rename(stage.home, "feed-00", "feed-a0"))
        return steady(query)

    stage.prometheus.script = edit_once_native
    assert stage.run(DAG_ID) == "failed"
    state = newest(stage)
    assert (state.status, state.held_step) == (Status.HELD, STEP)
    assert STEP not in state.promoted
    assert list(state.exposed) == stage.natives == ["feed-00", "feed-01"]
    assert len(refusals(stage)) == 1
    assert "feed-00 missing, feed-a0 new" in state.reason


def test_a_held_gate_does_not_begin_anew_over_another_fleet(
    stage: Stage, place: Place, half: MigrationState
):
    """As under an edited plan; the hold stands."""
    rename(stage.home, "feed-00", "feed-a0")
    drop(stage.home, "feed-03")
    runtime = open_runtime(place)
    assert runtime.expected_instances(runtime.step("cutover-100"), half.migration_id) == 4
    with fails_for_good() as refused:
        gate_of(place).execute(context_of(half.migration_id))
    assert "restore deployment.yaml" in str(refused.value)
    assert newest(stage).status is Status.HELD


def test_the_end_is_not_reported_over_another_fleet(
    stage: Stage, place: Place, monkeypatch: pytest.MonkeyPatch
):
    """An instance that the file has lost would be reported on native unseen."""
    cut = raising(OSError("no room for the report"))
    monkeypatch.setattr("feed_migration.orchestration.closing.close_promoted", cut)
    assert stage.run(DAG_ID) == "failed"
    monkeypatch.undo()
    state = newest(stage)
    assert state.status is Status.RUNNING
    rename(stage.home, "feed-00", "feed-a0")
    with pytest.raises(FleetChanged, match="feed-00 missing, feed-a0 new"):
        close_promoted(open_runtime(place), state.migration_id, "ann")
    assert newest(stage).status is Status.RUNNING


def test_a_fleet_that_does_not_answer_has_not_changed(
    stage: Stage, place: Place, half: MigrationState, monkeypatch: pytest.MonkeyPatch
):
    """Only the file counts: a supervisor that is away is waited for, and nothing is refused."""
    away = raising(FleetUnavailable("supervisord does not answer", "start it"))
    monkeypatch.setattr(ScriptedFleet, "instances", away)
    require_same_fleet(open_runtime(place), half)
    assert refusals(stage) == []


def test_the_way_back_of_airflow_is_that_of_the_beginning(
    stage: Stage, place: Place, half: MigrationState, monkeypatch: pytest.MonkeyPatch
):
    """The exposed instance runs on under its old name, which the file does not have any more."""

    def opened(deployment: Deployment) -> ScriptedFleet:
        fleet = copy(stage.fleet)
        fleet.names = [one.id for one in deployment.instances]
        return fleet

    monkeypatch.setattr("feed_migration.orchestration.runtime.open_fleet", opened)
    rename(stage.home, "feed-00", "feed-a0")
    revert(place, stage.journal, half.migration_id, "ann", "the file was edited")
    assert stage.natives == []
    assert (newest(stage).status, newest(stage).exposed) == (Status.ROLLED_BACK, ())
