"""What was refused, as audit notes: an act that did not happen leaves its trace, too."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from feed_migration.errors import (
    ApprovalMissing,
    FleetChanged,
    GateNotPassed,
    MigrationActive,
    MigrationError,
    MigrationNotRunning,
    NotConfirmed,
    PlanChanged,
    PreflightFailed,
    StaleEpoch,
)
from feed_migration.events import EventKind
from feed_migration.journal.spool import Spool

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

REFUSED = "refused"
REFUSALS = (
    StaleEpoch,
    GateNotPassed,
    ApprovalMissing,
    PlanChanged,
    FleetChanged,
    MigrationActive,
    MigrationNotRunning,
    PreflightFailed,
    NotConfirmed,
)
# of the bare fleet, or of an act that never had a migration
NO_MIGRATION = "none"


def refusal_in(error: BaseException) -> MigrationError | None:
    """Return the refusal that `error` is, or was raised from; None for any other error."""
    return next((e for e in (error, error.__cause__) if isinstance(e, REFUSALS)), None)


def note_refusal(
    journal: "Journal | None",
    spool: Spool,
    error: MigrationError,
    *,
    at: float,
    actor: str,
    migration_id: str | None = None,
    where: Mapping[str, object] | None = None,
) -> None:
    """Write once per attempt and text that an act was refused; into the spool without a journal.

    `where` (step, dag_id, run_id, task_id, try_number as far as they are known) names the attempt;
    `at` is unix seconds. Without a `migration_id` it is told to the migration that is active.
    """
    facts = dict(where or {})
    body = {"note": REFUSED, "error": type(error).__name__, "text": str(error), **facts}
    identity = "/".join([*map(str, facts.values()), str(error)])
    body["id"] = hashlib.sha256(identity.encode()).hexdigest()[:16]
    try:
        if journal is not None:
            known = migration_id or journal.active_migration() or NO_MIGRATION
            journal.note(known, actor, body, once="id")
            return
    except Exception:  # noqa: BLE001 - whatever is wrong with the journal, the refusal stands
        journal = None
    kept = migration_id or NO_MIGRATION
    spool.write(EventKind.AUDIT_NOTE, at=at, migration_id=kept, actor=actor, body=body)
