"""The DAG files: they import cleanly, quickly, and have the shape that makes rollback certain."""

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.airflow.conftest import REPOSITORY, Stage

PARSE_LIMIT_SECONDS = 2.0
DAG_IDS = {
    "backpack_migration",
    "backpack_dry_run",
    "backpack_shadow",
    "backpack_cutover",
    "backpack_stabilisation",
    "backpack_rollback",
    "backpack_post_migration",
}
WITH_WAY_BACK = sorted(DAG_IDS - {"backpack_rollback"})


@pytest.fixture
def bag(stage: Stage):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(REPOSITORY / "dags")


def test_the_seven_dags_import_without_an_error(bag):
    """Every DAG file is valid, and there are exactly the DAGs that operators know by name."""
    assert bag.import_errors == {}
    assert set(bag.dags) == DAG_IDS


def test_each_dag_file_parses_within_two_seconds(bag):
    """A task parses its DAG file before it runs, so a slow file slows every task."""
    durations = {stat.file: stat.duration.total_seconds() for stat in bag.dagbag_stats}
    assert {file: took for file, took in durations.items() if took >= PARSE_LIMIT_SECONDS} == {}


def test_parsing_touches_no_state(bag, stage: Stage):
    """Only data is read at parse time: no journal is made and nobody is asked."""
    assert not (stage.home / "journal.db").exists()
    assert stage.prometheus.queries == []


def test_plugins_load_without_an_error():
    """The scanner sees one file per package and leaves the standard library alone."""
    from airflow import plugins_manager

    plugins, errors = plugins_manager._get_plugins()
    assert errors == {}
    assert "feed_migration" in {plugin.name for plugin in plugins}
    stdlib = Path(sysconfig.get_path("stdlib"))
    assert stdlib in Path(sys.modules["types"].__file__).parents


def test_runs_are_on_demand_and_one_at_a_time(bag):
    """No DAG starts by itself, twice at once, or with a timeout that would skip the rollback."""
    for dag in bag.dags.values():
        assert dag.schedule is None
        assert dag.max_active_runs == 1
        assert dag.dagrun_timeout is None
        assert dag.is_paused_upon_creation is False
        assert dag.doc_md


def test_nothing_but_the_gate_itself_limits_how_long_it_takes(bag):
    """Airflow would end a task with an `execution_timeout` whatever its gate may still say."""
    tasks = [task for dag in bag.dags.values() for task in dag.tasks]
    gates = [task for task in tasks if task.task_id.endswith(".gate")]
    assert gates
    assert {task.execution_timeout for task in gates} == {None}


@pytest.mark.parametrize("dag_id", WITH_WAY_BACK)
def test_the_way_back_is_teardown_of_begin(bag, dag_id):
    """Teardowns run whatever failed, and only `verdict` decides the colour of the run."""
    dag = bag.dags[dag_id]
    teardowns = {task.task_id: task for task in dag.tasks if task.is_teardown}
    assert {"rollback.revert", "rollback.document", "verdict"} == set(teardowns)
    assert [task.task_id for task in dag.tasks if task.is_setup] == ["begin"]
    failing = [name for name, task in teardowns.items() if task.on_failure_fail_dagrun]
    assert failing == ["verdict"]
    # an instance may be slow: minutes, not seconds, of trying
    assert teardowns["rollback.revert"].retries >= 20


@pytest.mark.parametrize("dag_id", ["backpack_migration", "backpack_post_migration"])
def test_the_page_of_a_dag_says_from_when_on_only_the_rollback_takes_back(bag, dag_id):
    """A run that is marked failed after its last gate leaves the fleet where it is."""
    text = " ".join(bag.dags[dag_id].doc_md.split())
    said, does, _ = text.partition("*Mark the run failed*")[2].partition(
        "`backpack_rollback` does."
    )
    assert "not" in said
    assert "gate has promoted" in said
    assert does


@pytest.mark.parametrize("dag_id", WITH_WAY_BACK)
def test_the_rollback_waits_for_every_task_before_it(bag, dag_id):
    """The way back must not overtake a task that still moves the fleet forward."""
    dag = bag.dags[dag_id]
    revert = dag.get_task("rollback.revert")
    before = {task.task_id for task in revert.get_flat_relatives(upstream=True)}
    forward = {task.task_id for task in dag.tasks if not task.is_teardown}
    assert forward == before


def test_the_whole_migration_has_every_step_of_the_plan(bag):
    """Steps become task groups of the same name, gates become deferrable tasks in them."""
    ids = set(bag.dags["backpack_migration"].task_ids)
    assert {"shadow.gate", "cutover_50.gate", "cutover_100.gate", "stabilisation.gate"} <= ids
    assert {"dry_run.tests", "dry_run.auth_check", "shadow.start", "shadow.stop"} <= ids
    assert {"cutover_50.advance", "cutover_100.advance", "post_migration.report"} <= ids


def test_a_plan_with_a_mistake_is_an_import_error_with_its_line(stage, tmp_path, monkeypatch):
    """An operator sees in the UI which line of the plan to correct."""
    from airflow.dag_processing.dagbag import DagBag

    plan = tmp_path / "broken.yaml"
    text = Path(__file__).with_name("plan.yaml").read_text()
    plan.write_text(text.replace("interval:", "intervall:", 1))
    line = 1 + plan.read_text().splitlines().index(
        next(row for row in plan.read_text().splitlines() if "intervall:" in row)
    )
    monkeypatch.setenv("BACKPACK_PLAN", str(plan))
    bag = DagBag(REPOSITORY / "dags" / "backpack_shadow.py")
    (error,) = bag.import_errors.values()
    assert f"{plan}:{line}" in error
    assert "intervall" in error
