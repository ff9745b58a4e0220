"""Clearing tasks by hand, in every state: no exposure without proof, and no hold is lost."""

import pytest

from feed_migration.phases import MigrationState, Status
from tests.airflow.conftest import Stage, run_state, steady
from tests.airflow.reruns import clear, newest_run, rerun
from tests.airflow.test_runs import bad_once_native

DAG_ID = "backpack_migration"


def newest(stage: Stage) -> MigrationState:
    journal = stage.journal
    return journal.state(journal.latest_migration() or "")


def again(stage: Stage, api, *task_ids: str, downstream: bool = False) -> str:
    """Clear tasks of the newest run, let it run, and return its state."""
    run_id = newest_run(DAG_ID)
    clear(api, DAG_ID, run_id, *task_ids, downstream=downstream)
    return rerun(stage.dag(DAG_ID), run_id)


@pytest.fixture
def held(stage: Stage) -> MigrationState:
    """Half of the fleet on native, and nobody knows whether that is well."""
    stage.prometheus.script = lambda query: [
        (labels, float("nan") if stage.natives else 0.0) for labels, _ in steady(query)
    ]
    assert stage.run(DAG_ID) == "failed"
    state = newest(stage)
    assert (state.status, state.held_step) == (Status.HELD, "cutover-50")
    return state


@pytest.fixture
def rolled_back(stage: Stage) -> MigrationState:
    """Taken back from half of the fleet; the feed is well by now."""
    stage.prometheus.script = bad_once_native(stage)
    assert stage.run(DAG_ID) == "failed"
    stage.prometheus.script = steady
    assert newest(stage).status == Status.ROLLED_BACK
    return newest(stage)


@pytest.fixture
def promoted(stage: Stage) -> MigrationState:
    """A migration that is over, and well."""
    assert stage.run(DAG_ID) == "success"
    return newest(stage)


@pytest.mark.parametrize("task", ["cutover_100.advance", "stabilisation.gate", "shadow.stop"])
def test_a_task_beside_the_held_gate_loses_no_hold(stage: Stage, held, api, task: str):
    """It is refused, or has nothing to do; the exposure stays, and so does the hold."""
    again(stage, api, task)
    assert stage.natives == ["feed-00", "feed-01"]
    assert (newest(stage).status, newest(stage).held_step) == (Status.HELD, "cutover-50")


@pytest.mark.parametrize("tasks", [(), ("cutover_50.gate",)])
def test_a_held_gate_that_still_knows_nothing_holds_again(stage: Stage, held, api, tasks):
    """Cleared with all that follows, or the whole run: no further share without a proof."""
    assert again(stage, api, *tasks, downstream=True) == "failed"
    assert stage.natives == ["feed-00", "feed-01"]
    assert newest(stage).status == Status.HELD
    assert newest(stage).migration_id == held.migration_id


@pytest.mark.parametrize("tasks", [(), ("cutover_50.gate",)])
def test_a_held_gate_that_is_cleared_goes_on_when_it_is_proven(stage: Stage, held, api, tasks):
    """The same migration ends promoted, its first half moved once."""
    stage.prometheus.script = steady
    assert again(stage, api, *tasks, downstream=True) == "success"
    assert newest(stage).status == Status.PROMOTED
    assert newest(stage).migration_id == held.migration_id
    shares = [len(ids) for variant, ids in stage.fleet.history if variant == "native"]
    assert shares == [2, 4]


def test_a_held_gate_that_is_cleared_alone_takes_the_fleet_back_itself(stage: Stage, held, api):
    """No teardown runs after it, so a breach must not wait for one."""
    stage.prometheus.script = bad_once_native(stage)
    again(stage, api, "cutover_50.gate")
    assert stage.natives == []
    assert newest(stage).status == Status.ROLLED_BACK


@pytest.mark.parametrize(
    ("task", "downstream"),
    [
        ("shadow.start", True),
        ("cutover_50.advance", True),
        ("cutover_50.gate", False),
        ("cutover_100.advance", False),
    ],
)
def test_no_task_of_a_migration_that_was_taken_back_exposes_anything(
    stage: Stage, rolled_back, api, task: str, downstream: bool
):
    """What is over does not begin again in its middle, however well the feed is by now."""
    moves = [entry for entry in stage.fleet.history if entry[0] == "native"]
    assert again(stage, api, task, downstream=downstream) == "failed"
    assert [entry for entry in stage.fleet.history if entry[0] == "native"] == moves
    assert stage.natives == []
    assert stage.fleet.shadow_pids == {}
    assert newest(stage).status == Status.ROLLED_BACK


def test_a_whole_run_that_was_taken_back_begins_a_new_migration(stage: Stage, rolled_back, api):
    """With every proof anew: the shares of the first one count for nothing."""
    assert again(stage, api) == "success"
    assert newest(stage).migration_id != rolled_back.migration_id
    kinds = stage.kinds(newest(stage).migration_id)
    assert kinds.count("verdict") == 4


@pytest.mark.parametrize("tasks", [(), ("shadow.start",), ("rollback.revert",)])
def test_nothing_that_is_cleared_moves_a_promoted_fleet(stage: Stage, promoted, api, tasks):
    """Not the whole run, which preflight refuses, and not its way back."""
    moves = list(stage.fleet.history)
    again(stage, api, *tasks, downstream=True)
    assert stage.fleet.history == moves
    assert stage.natives == stage.fleet.names
    assert newest(stage) == promoted


def test_an_exposed_fleet_that_fails_the_preflight_again_is_taken_back(stage: Stage, api):
    """Airflow clears `begin` with any task, and skips the way back where it fails."""
    assert run_state(stage.dag(DAG_ID), "(cutover_50.gate|rollback.*|verdict)") == "failed"
    assert stage.natives == ["feed-00", "feed-01"]
    (stage.home / "api_key.json").unlink()
    assert again(stage, api, "cutover_50.gate", downstream=True) == "failed"
    assert stage.natives == []
    assert newest(stage).status == Status.ROLLED_BACK
