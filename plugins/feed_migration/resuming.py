"""The end of a hold: the held gate's task is cleared in Airflow, and a new run of it begins.

What a person does in Airflow's UI, from elsewhere. It waits for the DAG run to be over, so that its
last tasks say what there is to say: a clear ends those that run. The exposure does not depend on
that, see `orchestration.attempts`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from feed_migration.airflow_api import AirflowApi
from feed_migration.dag_run import OVER, Driver
from feed_migration.driving import driver_of, gate_task_id
from feed_migration.errors import Refused
from feed_migration.events import EventKind
from feed_migration.journal.store import Journal
from feed_migration.phases import MigrationState, Status

RESUMED = "resumed"
# After a hold by hand: the trigger's look, its settling, and four tasks of a scheduler at ease
END_SECONDS = 180.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What was cleared: the gate's task, `begin` before it, and all that comes after it."""

    step: str
    driver: Driver
    cleared: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to wait for the DAG run of a hold to end, and who is told that one waits."""

    end_seconds: float = END_SECONDS
    tell: Callable[[str], None] = lambda _: None
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def resume(
    journal: Journal,
    airflow: AirflowApi,
    migration_id: str,
    *,
    actor: str,
    reason: str,
    patience: Patience,
) -> Resumed:
    """Clear the held gate and what comes after it, and note who did.

    Waits for the DAG run of the hold to end. Raises Refused where nothing is held or nothing would
    run, AirflowUnavailable, JournalUnavailable.
    """
    state = journal.state(migration_id)
    step, driver = held_step(state), driver_of(journal, migration_id)
    if driver is None:
        raise Refused(
            f"no DAG run of Airflow has driven {migration_id}",
            "start the phase of the held step in Airflow, or take it back with "
            "`backpack-migrate rollback`",
        )
    airflow.require_unpaused(driver.dag_id)
    _wait_for_end(airflow, driver, patience)
    # somebody else may have resumed it meanwhile, or taken it back
    task_id = gate_task_id(held_step(journal.state(migration_id)))
    cleared = airflow.clear(driver.dag_id, driver.run_id, task_id, f"resumed by {actor}: {reason}")
    if task_id not in cleared:
        raise Refused(
            f"{driver.dag_id} {driver.run_id} has no task {task_id}",
            "start the phase of the held step in Airflow",
        )
    body = {
        "note": RESUMED,
        "step": step,
        "reason": reason,
        "dag_id": driver.dag_id,
        "run_id": driver.run_id,
    }
    journal.append(EventKind.AUDIT_NOTE, migration_id=migration_id, actor=actor, body=body)
    return Resumed(step=step, driver=driver, cleared=cleared)


def held_step(state: MigrationState) -> str:
    """Return the step that is held; raises Refused with what the migration does instead."""
    if state.status is Status.HELD:
        return state.held_step
    if state.status is Status.ABSENT:
        raise Refused("there is no migration, so nothing is held", "see `backpack-migrate start`")
    at = f" at {state.step}" if state.status is Status.RUNNING and state.step else ""
    raise Refused(
        f"nothing is held: {state.migration_id} is {str(state.status).replace('_', ' ')}{at}",
        "see `backpack-migrate status`",
    )


def _wait_for_end(airflow: AirflowApi, driver: Driver, patience: Patience) -> None:
    run = f"{driver.dag_id} {driver.run_id}"
    deadline, told = patience.monotonic() + patience.end_seconds, False
    while (state := airflow.run_state(driver.dag_id, driver.run_id)) not in OVER:
        if patience.monotonic() >= deadline:
            raise Refused(
                f"{run} is still {state}, and has to end with its hold first",
                "see in Airflow what it waits for, then repeat",
            )
        if not told:
            patience.tell(f"{run} is still {state}, waiting for its end")
            told = True
        patience.sleep(_POLL_SECONDS)
