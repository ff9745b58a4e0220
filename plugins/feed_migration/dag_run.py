"""A DAG run of Airflow that drives a migration, and what it leaves to a person. Pure."""

from dataclasses import dataclass

from feed_migration.phases import MigrationState

# Its runs go through every phase; those of the other DAGs leave the next one to a person
MIGRATION_DAG = "backpack_migration"
# The states of Airflow's DAG runs that end them
OVER = frozenset({"success", "failed"})


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A DAG run of Airflow."""

    dag_id: str
    run_id: str


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """A DAG run that Airflow calls over; `state` is one of `OVER`."""

    run: Driver
    state: str


def left_behind(state: MigrationState, ended: EndedRun) -> str:
    """Return what a person may do behind a DAG run that has left the migration where it is."""
    clear = "see in Airflow which task failed, mend that, then clear it with what follows, or "
    return (
        f"its DAG run {ended.run.dag_id} {ended.run.run_id} has ended {ended.state}: "
        f"{clear if ended.state == 'failed' else ''}"
        f"start {_going_on(state, ended)} (it goes on from here), or roll back"
    )


def _going_on(state: MigrationState, ended: EndedRun) -> str:
    """Return the DAG that has the next step: that of every phase, or of the step's own."""
    left = (facts for facts in state.steps if str(facts.get("name")) not in state.promoted)
    phase = next((str(facts.get("phase") or "") for facts in left), "")
    every = ended.run.dag_id == MIGRATION_DAG
    return ended.run.dag_id if every or phase in {"", "preflight"} else f"backpack_{phase}"
