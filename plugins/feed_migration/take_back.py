"""The whole way back of one migration: revert and verify, once, whoever asks first.

Airflow's tasks, the guard and an operator's shell may all want the same rollback at the same
moment. Who finds another's under way waits for its end and verifies it, and goes on itself where
that one does not get there in time. A proof is worth nothing while the fence is below the rollback:
a forward act that was stopped would still be admitted. So only one that has raised it is joined.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from feed_migration import rollback
from feed_migration.errors import (
    FleetMovedOn,
    FleetUnavailable,
    JournalUnavailable,
    RollbackUnverified,
)
from feed_migration.events import EventKind
from feed_migration.fleet.base import Fleet
from feed_migration.fleet.shadows import running_shadows
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import MigrationState, Status
from feed_migration.rollback import RollbackResult, RollbackVerified

# What a rollback of somebody else may go without a word before it is taken over
JOIN_SECONDS = 20.0
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """How the fleet came back; `result` is None where another actor had reverted it."""

    result: RollbackResult | None
    proof: RollbackVerified


def take_back(
    fleet: Fleet,
    journal: Journal | None,
    migration_id: str,
    actor: str,
    reason: str,
    *,
    again: bool = False,
    breached: bool = False,
    exposed: Sequence[str] = (),
    spool: Spool,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> TakenBack | None:
    """Put the fleet back on ccxt and verify it; one already taken back is only verified.

    Returns None, and touches nothing, where the migration is taken back and a newer one has begun
    since, before this call or while it was stopped. Raises what `rollback.revert` and
    `rollback.verify` raise; may be called again, `again` then as both of them take it, `breached`
    and `exposed` as `rollback.verify` does.
    """
    state = state_if_any(journal, migration_id)
    over = state is not None and state.status is Status.ROLLED_BACK
    # a newer one that was promoted is not active any more, and the fleet is its all the same
    if over and _newest(journal) not in {None, migration_id}:
        LOG.info("%s is taken back, the fleet is another migration's by now", migration_id)
        return None

    def verify(breach_at: float | None = None, within: float | None = None) -> RollbackVerified:
        return rollback.verify(
            fleet,
            journal,
            migration_id,
            actor,
            breach_at=breach_at,
            breached=breached,
            exposed=exposed,
            again=again,
            deadline_seconds=within,
            spool=spool,
            clock=clock,
        )

    patience = _patience_seconds(journal, state, actor, clock())
    if patience > 0 and state is not None and _fence(fleet, 0) >= state.rollback_epoch:
        try:
            return TakenBack(result=None, proof=verify(within=patience))
        except (RollbackUnverified, FleetUnavailable) as error:
            LOG.warning("the rollback that is under way does not get there: %s", error)
    if over and state is not None and _stays_back(fleet, state):
        return TakenBack(result=None, proof=verify())
    try:
        result = rollback.revert(
            fleet, journal, migration_id, actor, reason, again=again, spool=spool, clock=clock
        )
    except FleetMovedOn as moved_on:
        LOG.warning("a rollback that was stopped ends here: %s", moved_on.problem)
        return None
    return TakenBack(result=result, proof=verify(result.breach_at))


def state_if_any(journal: Journal | None, migration_id: str) -> MigrationState | None:
    """Return where the migration is; None, not an error, where the journal does not say."""
    try:
        return journal.state(migration_id) if journal is not None else None
    except Exception:
        LOG.exception("the journal does not say where %s is", migration_id)
        return None


def _fence(fleet: Fleet, unreadable: int) -> int:
    try:
        return fleet.epoch()
    except FleetUnavailable:
        return unreadable


def _stays_back(fleet: Fleet, state: MigrationState) -> bool:
    """Whether nothing is on native of what was taken back, and nothing older can put it there.

    Nor does a shadow run on.
    A fence that cannot be read now says nothing against a rollback that was verified.
    """
    if _fence(fleet, state.rollback_epoch) < state.rollback_epoch:
        return False
    if any(status.variant == "native" for status in fleet.instances()):
        return False
    return not running_shadows(fleet)


def _newest(journal: Journal | None) -> str | None:
    try:
        return journal.latest_migration() if journal is not None else None
    except JournalUnavailable:
        return None


def _patience_seconds(
    journal: Journal | None, state: MigrationState | None, actor: str, now: float
) -> float:
    """Return how long to wait for the rollback of another actor, 0 where there is none at work."""
    if journal is None or state is None or state.status is not Status.ROLLING_BACK:
        return 0.0
    kinds = {EventKind.ROLLBACK_STARTED, EventKind.ROLLBACK_ACT}
    try:
        said = [event for event in journal.events(state.migration_id) if event.kind in kinds]
    except JournalUnavailable:
        return 0.0
    if not said or said[-1].actor == actor:
        return 0.0
    return min(JOIN_SECONDS, max(0.0, said[-1].at + JOIN_SECONDS - now))
