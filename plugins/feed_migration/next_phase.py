"""When a migration waits for a person to start the DAG of its next phase. Pure."""

from feed_migration.lease import Lease, ended_dag
from feed_migration.model import PHASES
from feed_migration.phases import MigrationState, Status


def start_awaited_since(state: MigrationState, lease: Lease | None, driver: str) -> float | None:
    """Return since when a person is to start the DAG of the next phase, in unix seconds.

    `driver` is the id of the DAG whose run joined the migration last. None from when that of the
    next phase has; behind a run of every phase, which leaves none to a person; and where the DAG
    that ended has itself left a step to be done, which is a failure and no wait.
    """
    over = ended_dag(lease) if lease else ""
    phase_over = over.removeprefix("backpack_")
    if lease is None or phase_over not in PHASES or over != driver:
        return None
    if state.status is not Status.RUNNING:
        return None
    left = (facts for facts in state.steps if str(facts.get("name")) not in state.promoted)
    phase = next((facts.get("phase") for facts in left), None)
    return lease.renewed_at if phase not in {None, phase_over} else None
