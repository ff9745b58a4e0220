"""Which DAG run drives a migration: the last one that joined it, as its audit notes tell.

Each attempt at a DAG run joins anew, before its first act. So what a task of an earlier attempt
finds behind the join of a later one is not its own to judge, however late it wakes up.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from feed_migration.dag_run import Driver
from feed_migration.events import Event, EventKind
from feed_migration.phases import WITHOUT_EFFECT, MigrationState, Status, fold

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

JOINED = "joined"
# the note of a DAG run that takes the fleet back and drives nothing else
WAY_BACK = "way_back"


def joins(journal: "Journal", migration_id: str) -> list[Mapping[str, Any]]:
    """Return the notes of the DAG runs that joined a migration, in order."""
    return [event.body for event in _joins(journal, migration_id)]


def handed_over(journal: "Journal", migration_id: str, key: str) -> MigrationState | None:
    """Return how the migration stood when another attempt joined after the one of `key`.

    None where that one still drives it, or has never joined it.
    """
    joined = _joins(journal, migration_id)
    own = [number for number, event in enumerate(joined) if event.body.get("key") == key]
    later = joined[own[-1] + 1 :] if own else []
    if not later:
        return None
    events = journal.events(migration_id, but=WITHOUT_EFFECT)
    return fold(event for event in events if event.seq < later[0].seq)


def driver_of(journal: "Journal", migration_id: str) -> Driver | None:
    """Return the DAG run that drives a migration, None where none has ever joined it."""
    joined = _joins(journal, migration_id)
    return driver_in(joined[-1]) if joined else None


def driver_in(event: Event) -> Driver | None:
    """Return the DAG run that joins a migration by `event`, None where it is no such note."""
    body = event.body
    if event.kind != EventKind.AUDIT_NOTE or body.get("note") != JOINED:
        return None
    if not body.get("dag_id") or not body.get("run_id"):
        return None
    return Driver(dag_id=str(body["dag_id"]), run_id=str(body["run_id"]))


def asks_for(journal: "Journal", dag_id: str, run_id: str) -> bool:
    """Whether a question of a DAG run is about the migration that is under way.

    A migration that no run has joined may be anybody's; once the newest goes back or is over,
    nothing is asked.
    """
    active = journal.active_migration()
    if active is None:
        return journal.latest_migration() is None
    if journal.state(active).status is Status.ROLLING_BACK:
        return False
    return driver_of(journal, active) in {None, Driver(dag_id=dag_id, run_id=run_id)}


def gate_task_id(step: str) -> str:
    """Return the id of the task that is the gate of a step, in every DAG that has it."""
    return f"{step.replace('-', '_')}.gate"


def _joins(journal: "Journal", migration_id: str) -> list[Event]:
    notes = journal.events(migration_id=migration_id, kind=EventKind.AUDIT_NOTE, text=JOINED)
    return [note for note in notes if note.body.get("note") == JOINED]
