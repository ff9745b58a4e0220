"""What a task at the end of a DAG run judges: the migration as its own attempt left it.

A task may come late: Airflow ends one that is cleared while it runs only at a later heartbeat, and
a host may sleep. To such a one the open gate of the next attempt looks like a step that nobody
proves. So a hold stays a hold for the attempt that it ended; whatever else an attempt ended with
is judged by what the journal says now.
"""

import logging
from typing import TYPE_CHECKING, Any

from feed_migration.driving import handed_over
from feed_migration.orchestration.actor import run_key
from feed_migration.phases import MigrationState, Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

LOG = logging.getLogger(__name__)


def as_left(journal: "Journal", state: MigrationState, context: Any) -> MigrationState:
    """Return `state`, or the hold that this attempt ended with where another one goes on from it.

    Only a running migration is somebody else's: what is taken back is everybody's. Where the
    journal does not say who drives it, `state` stands.
    """
    if state.status is not Status.RUNNING:
        return state
    try:
        left = handed_over(journal, state.migration_id, run_key(context))
    except Exception:
        LOG.exception("the journal does not say who drives %s", state.migration_id)
        return state
    return left if left is not None and left.status is Status.HELD else state
