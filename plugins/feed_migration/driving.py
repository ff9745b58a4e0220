"""Which DAG run drives a migration: the last one that joined it, as its audit notes tell.

Each attempt at a DAG run joins anew, before its first act. So what a task of an earlier attempt
finds behind the join of a later one is not its own to judge, however late it wakes up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feed_migration.events import Event, EventKind
from feed_migration.phases import WITHOUT_EFFECT, MigrationState, fold

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

JOINED = "joined"
# the note of a DAG run that takes the fleet back and drives nothing else
WAY_BACK = "way_back"


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A DAG run of Airflow."""

    dag_id: str
    run_id: str


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
    last = (joins(journal, migration_id) or [{}])[-1]
    if not last.get("dag_id") or not last.get("run_id"):
        return None
    return Driver(dag_id=str(last["dag_id"]), run_id=str(last["run_id"]))


def gate_task_id(step: str) -> str:
    """Return the id of the task that is the gate of a step, in every DAG that has it."""
    return f"{step.replace('-', '_')}.gate"


def _joins(journal: "Journal", migration_id: str) -> list[Event]:
    notes = journal.events(migration_id=migration_id, kind=EventKind.AUDIT_NOTE)
    return [note for note in notes if note.body.get("note") == JOINED]
