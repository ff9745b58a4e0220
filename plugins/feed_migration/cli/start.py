"""`backpack-migrate start`: a run of the whole migration, where one can begin."""

from feed_migration.airflow_api import AirflowApi
from feed_migration.cli.asked_start import START
from feed_migration.cli.parts import AsJson, deployment_here, open_journal, say
from feed_migration.cli.shell import WATCH, Reason, note_at_shell
from feed_migration.dag_run import MIGRATION_DAG
from feed_migration.deployment import Deployment
from feed_migration.errors import EnvironmentUnavailable, MigrationActive, PreflightFailed
from feed_migration.fleet.choice import open_fleet
from feed_migration.fleet.fresh import on_another_feed
from feed_migration.fleet.shadows import shadows_already
from feed_migration.journal.store import Journal


def start(reason: Reason = "", *, as_json: AsJson = False) -> None:
    """Start a whole migration: a run of the DAG backpack_migration."""
    deployment = deployment_here()
    _require_fresh(deployment)
    with AirflowApi(deployment.airflow) as airflow:
        _require_no_other_run(airflow)
        run_id = airflow.trigger(MIGRATION_DAG, {"reason": reason} if reason else {})
    facts = {"command": START, "dag_id": MIGRATION_DAG, "run_id": run_id, "reason": reason}
    note_at_shell(deployment, facts, as_json=as_json)
    say(
        {"dag_id": MIGRATION_DAG, "run_id": run_id, "reason": reason},
        [f"{MIGRATION_DAG} started: {run_id}"],
        what_next=[WATCH],
        as_json=as_json,
    )


def _require_no_other_run(airflow: AirflowApi) -> None:
    """Raise MigrationActive where Airflow would let it wait behind another, maybe for days."""
    for run_id, state in airflow.living_runs(MIGRATION_DAG):
        raise MigrationActive(
            f"{MIGRATION_DAG} {run_id} is {state} in Airflow",
            "wait for its end, or take the migration back with `backpack-migrate rollback`; "
            "where Airflow's scheduler is down, start that",
        )


def _require_fresh(deployment: Deployment) -> None:
    """Raise PreflightFailed where the preflight would refuse the fleet as it is.

    What does not answer here is the preflight's to ask again.
    """
    try:
        journal = open_journal(deployment, lock_wait_seconds=2.0)
        if journal.active_migration() is not None:
            # it is joined, and its own instances are where they should be
            return
        fleet = open_fleet(deployment)
        words = (*on_another_feed(fleet.instances()), *shadows_already(fleet))
        left = _left_by(journal)
    except EnvironmentUnavailable:
        return
    if words:
        raise PreflightFailed(
            f"no migration can begin, {left}{'; '.join(words)}",
            "run `backpack-migrate rollback`, then start again",
        )


def _left_by(journal: Journal) -> str:
    latest = journal.latest_migration()
    if latest is None:
        return ""
    ended = str(journal.state(latest).status).replace("_", " ")
    return f"{latest} was the last and is {ended}: "
