"""Which DAG run drives a migration: the last one that joined it, as its audit notes tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feed_migration.events import EventKind

if TYPE_CHECKING:
    from feed_migration.journal import Journal

JOINED = "joined"


@dataclass(frozen=True, kw_only=True)
class Driver:
    """A DAG run of Airflow."""

    dag_id: str
    run_id: str


def joins(journal: "Journal", migration_id: str) -> list[Mapping[str, Any]]:
    """Return the notes of the DAG runs that joined a migration, in order."""
    return [
        event.body
        for event in journal.events(migration_id=migration_id, kind=EventKind.AUDIT_NOTE)
        if event.body.get("note") == JOINED
    ]


def driver_of(journal: "Journal", migration_id: str) -> Driver | None:
    """Return the DAG run that drives a migration, None where none has ever joined it."""
    last = (joins(journal, migration_id) or [{}])[-1]
    if not last.get("dag_id") or not last.get("run_id"):
        return None
    return Driver(dag_id=str(last["dag_id"]), run_id=str(last["run_id"]))


def gate_task_id(step: str) -> str:
    """Return the id of the task that is the gate of a step, in every DAG that has it."""
    return f"{step.replace('-', '_')}.gate"
