"""What people do to a DAG run behind the journal's back, out of Airflow's own audit log.

Airflow logs every mutating request with its user before it carries it out. These rows become audit
notes: a task marked success or cleared by hand advances nothing, but who did it is kept.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from feed_migration.driving import JOINED
from feed_migration.orchestration.actor import UNKNOWN

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

HUMAN_ACT = "human_act"
ACTS = frozenset(
    {
        "patch_task_instance",
        "patch_task_group_instances",
        "bulk_task_instances",
        "post_clear_task_instances",
        "patch_dag_run",
        "bulk_dag_runs",
        "clear_dag_run",
        "clear_dag_runs",
        "clear_dag_run_partitions",
    }
)
_MAX_DETAIL = 1000


@dataclass(frozen=True, kw_only=True)
class HumanAct:
    """One row of Airflow's audit log; `at` is unix seconds, `details` what was asked for."""

    act: str
    at: float
    user: str
    dag_id: str
    run_id: str
    task_id: str
    details: str

    def to_body(self) -> dict[str, Any]:
        """The body of its audit note; `id` tells the row from any other."""
        return {
            "note": HUMAN_ACT,
            "id": f"{self.act}/{self.at:.6f}/{self.run_id}/{self.task_id}",
            "act": self.act,
            "acted_at": self.at,
            "dag_id": self.dag_id,
            "run_id": self.run_id,
            "task_id": self.task_id,
            "details": _details(self.details),
        }


def note_acts(journal: "Journal", acts: Iterable[HumanAct]) -> int:
    """Write each act once, into the migration that its DAG run worked on; returns how many."""
    known = _noted(journal)
    written = 0
    for act in acts:
        body = act.to_body()
        if body["id"] not in known:
            migration_id = _migration(journal, act)
            written += journal.note(migration_id, act.user or UNKNOWN, body, once="id")
    return written


def _noted(journal: "Journal") -> set[Any]:
    notes = journal.events(kind="audit_note")
    return {note.body.get("id") for note in notes if note.body.get("note") == HUMAN_ACT}


def _migration(journal: "Journal", act: HumanAct) -> str:
    for event in reversed(journal.events(kind="audit_note")):
        body = event.body
        joined = (body.get("note"), body.get("dag_id"), body.get("run_id"))
        if joined == (JOINED, act.dag_id, act.run_id):
            return event.migration_id
    return journal.active_migration() or journal.latest_migration() or "none"


def _details(text: str) -> object:
    """Return Airflow's JSON, whose secrets it has masked; what is no JSON, or too long, as text."""
    try:
        return json.loads(text) if len(text) <= _MAX_DETAIL else text[:_MAX_DETAIL]
    except ValueError:
        return text[:_MAX_DETAIL]
