"""The way back: every instance on ccxt, from any state, whatever else is broken.

`revert` flips and restarts, `verify` waits until ccxt data flows on every instance. Both may be
killed anywhere and called again. The journal is asked and told, but never waited for: without it
the events go to the spool, and the fence file gives the epoch.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from feed_migration.deployment import home_directory
from feed_migration.errors import (
    ExposedUnlisted,
    FleetBusy,
    FleetMovedOn,
    FleetUnavailable,
    MigrationError,
    NotReady,
    RollbackUnverified,
    StaleEpoch,
)
from feed_migration.events import UNPROVEN, EventKind
from feed_migration.fleet.base import Fleet, InstanceStatus
from feed_migration.fleet.shadows import running_shadows
from feed_migration.journal.recorder import Recorder
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import MigrationState, Status

_POLL_SECONDS = 0.2
_TAKEOVERS = 3
_LOG_LINES = 20


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """What `revert` did; `before` is instance → variant when it began, `breach_at` unix seconds.

    `logs` are the last lines of the affected instances before their restart, free of secrets.
    """

    migration_id: str
    epoch: int
    reason: str
    before: Mapping[str, str]
    breach_at: float
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RollbackVerified:
    """The proof: `instances` is instance → variant, all ccxt, all ready, all with data flowing.

    `gone` were exposed and do not exist any more: a person has removed them meanwhile.
    Where it was not a breach that led to it (`breached`), time is counted from its beginning.
    """

    instances: Mapping[str, str]
    breach_at: float
    breach_to_rollback_seconds: float
    breached: bool = False
    gone: tuple[str, ...] = ()


def revert(
    fleet: Fleet,
    journal: Journal | None,
    migration_id: str,
    actor: str,
    reason: str,
    *,
    again: bool = False,
    spool: Spool | None = None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> RollbackResult:
    """Put every instance on ccxt and stop the shadow instances. Does not wait for them: `verify`.

    Takes an epoch above every other, so that a forward step still running is refused by the fleet.
    Raises `FleetUnavailable` when the supervisor does not answer, after all configuration is back
    on ccxt: what starts from then on is ccxt. Calling it again goes on where it ended, and who
    comes second joins: a rollback under way is begun in the journal once. `again` says that the
    caller has told of it before, and what the journal knows is not written once more.
    Raises `FleetMovedOn` where others have taken the migration back and a newer one has begun,
    also while this one was stopped in the middle.
    """
    recorder = _recorder(journal, migration_id, actor, spool, clock)
    state = _ours(recorder)
    epoch = _epoch(
        fleet, recorder, state.rollback_epoch, resume=state.status is Status.ROLLING_BACK
    )
    if again and state.status in {Status.ROLLING_BACK, Status.ABSENT}:
        # absent too where the journal is away: the spool has what an earlier call wrote
        recorder = recorder.muted()
    breach_at = state.breach_at if state.breach_at is not None else clock()
    statuses = fleet.instances()
    before = {status.id: status.variant for status in statuses}
    affected = [s.id for s in statuses if s.variant != "ccxt" or not s.ready]
    # taken now: after the restart the last lines tell of ccxt
    logs = {name: list(lines) for name, lines in fleet.log_tails(affected, _LOG_LINES).items()}
    began = recorder.write_unless(
        lambda now: now.status is Status.ROLLING_BACK or now.rollback_epoch >= epoch,
        EventKind.ROLLBACK_STARTED,
        {
            "reason": reason,
            "epoch": epoch,
            "breach_at": breach_at,
            "instances": before,
            "logs": logs,
        },
    )
    # the reason of who joins is kept beside what they do
    own = {} if began or reason == state.reason else {"reason": reason}
    return RollbackResult(
        migration_id=migration_id,
        epoch=_act(fleet, recorder, epoch, tuple(before), own),
        reason=reason,
        before=before,
        breach_at=breach_at,
        logs=logs,
    )


def verify(
    fleet: Fleet,
    journal: Journal | None,
    migration_id: str,
    actor: str,
    *,
    breach_at: float | None = None,
    breached: bool = False,
    exposed: Sequence[str] = (),
    again: bool = False,
    deadline_seconds: float | None = None,
    spool: Spool | None = None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RollbackVerified:
    """Return once every instance is on ccxt, ready, and receives messages since its restart.

    And once no shadow runs any more, which nobody waits for before every handler is proven. Raises
    `RollbackUnverified` naming those that miss `deadline_seconds` (default: the fleet's ready
    deadline), or `ExposedUnlisted` those that were exposed and are not of this fleet, unless they
    are gone; such are noted, but not `again`.
    `breach_at`, `breached` and `exposed` are only needed where no journal knows them.
    """
    recorder = _recorder(journal, migration_id, actor, spool, clock)
    limit = fleet.ready_deadline_seconds if deadline_seconds is None else deadline_seconds
    deadline = monotonic() + limit
    names = [status.id for status in fleet.instances()]
    teller = recorder.muted() if again else recorder
    gone = _gone(fleet, teller, names, (*recorder.state().exposed, *exposed), limit)
    try:
        fleet.wait_ready(names, "ccxt", limit)
    except NotReady as error:
        raise RollbackUnverified(error.instances, error.reasons, limit) from error
    _await_flow(fleet, names, deadline=deadline, limit=limit, monotonic=monotonic, sleep=sleep)
    _await_no_shadow(fleet, deadline=deadline, limit=limit, monotonic=monotonic, sleep=sleep)
    proof = _verified(fleet, recorder, breach_at, clock(), breached=breached, gone=gone)
    return replace(proof, gone=gone)


def _gone(
    fleet: Fleet,
    recorder: Recorder,
    names: Sequence[str],
    exposed: Sequence[str],
    limit: float,
) -> tuple[str, ...]:
    """Return which exposed instances do not exist any more; raises for such as only left the fleet.

    deployment.yaml may have lost or renamed them, and they run native all the same.
    """
    strange = tuple(dict.fromkeys(name for name in exposed if name not in names))
    left = fleet.remaining(strange) if strange else ()
    if left:
        error = ExposedUnlisted(left, limit)
        body = {"note": UNPROVEN, "instances": list(left), "why": error.why, "remedy": error.remedy}
        recorder.note({**body, "id": f"{recorder.state().rollback_epoch} {' '.join(left)}"})
        raise error
    return strange


def _verified(
    fleet: Fleet,
    recorder: Recorder,
    breach_at: float | None,
    now: float,
    *,
    breached: bool,
    gone: Sequence[str],
) -> RollbackVerified:
    proof = _proof(fleet, recorder.state(), breach_at, now, breached=breached)
    first = recorder.write_unless(
        # what an act that came late says it has exposed since, only a new proof takes away
        lambda state: state.status is Status.ROLLED_BACK and not state.exposed,
        EventKind.ROLLBACK_VERIFIED,
        {
            "instances": dict(proof.instances),
            "breach_at": proof.breach_at,
            "breach_to_rollback_seconds": proof.breach_to_rollback_seconds,
            "breached": proof.breached,
            **({"gone": list(gone)} if gone else {}),
        },
    )
    return proof if first else _proof(fleet, recorder.state(), breach_at, now, breached=breached)


def _proof(
    fleet: Fleet, state: MigrationState, breach_at: float | None, now: float, *, breached: bool
) -> RollbackVerified:
    """Return what is proven now; a verification told twice keeps the time of the first."""
    known = state.breach_at if state.breach_at is not None else breach_at
    ended = state.ended_at if state.status is Status.ROLLED_BACK and state.ended_at else now
    start = known if known is not None else ended
    return RollbackVerified(
        instances={status.id: status.variant for status in fleet.instances()},
        breach_at=start,
        breach_to_rollback_seconds=max(0.0, ended - start),
        breached=breached or state.breached,
    )


def _recorder(
    journal: Journal | None,
    migration_id: str,
    actor: str,
    spool: Spool | None,
    clock: Callable[[], float],
) -> Recorder:
    spool = spool or Spool(home_directory() / "journal.spool.jsonl")
    return Recorder(journal, spool, migration_id=migration_id, actor=actor, clock=clock)


def _ours(recorder: Recorder) -> MigrationState:
    """Return where the migration is; raises `FleetMovedOn`, which only a journal can know."""
    state = recorder.state()
    if state.status is Status.ROLLED_BACK:
        newest = recorder.newest_migration()
        if newest not in {None, state.migration_id}:
            raise FleetMovedOn(state.migration_id, str(newest))
    return state


def _epoch(fleet: Fleet, recorder: Recorder, unfinished: int, *, resume: bool) -> int:
    """Return the epoch to act with: that of the unfinished rollback, else one above all."""
    try:
        current = fleet.epoch()
    except FleetUnavailable:
        # a damaged fence: the journal's epochs stand in, and the way back overwrites it
        current = 0
    if resume and unfinished >= current:
        return unfinished
    return 1 + max(current, recorder.max_epoch())


def _act(
    fleet: Fleet,
    recorder: Recorder,
    epoch: int,
    names: Sequence[str],
    said: Mapping[str, Any],
) -> int:
    for _ in range(_TAKEOVERS):
        try:
            _converge(fleet, recorder, epoch, names, said)
        except StaleEpoch as error:
            # somebody came in between; while the migration is not taken back, ccxt is right in any
            # case, so this goes on above them
            _ours(recorder)
            epoch = error.current + 1
        except FleetBusy:
            # a rollback that was stopped with the fleet in its hands
            _ours(recorder)
            epoch += 1
        else:
            return epoch
    _converge(fleet, recorder, epoch, names, said)
    return epoch


def _converge(
    fleet: Fleet,
    recorder: Recorder,
    epoch: int,
    names: Sequence[str],
    said: Mapping[str, Any],
) -> None:
    """Do every act even if one fails, then raise the first failure."""
    failures: list[MigrationError] = []

    def act(name: str, instances: Sequence[str], do: Callable[[], None]) -> None:
        body = {"act": name, "epoch": epoch, "instances": list(instances), **said}
        recorder.write(EventKind.ROLLBACK_ACT, {**body, "state": "intended"})
        try:
            do()
        except (StaleEpoch, FleetBusy):
            raise
        except (FleetUnavailable, NotReady) as error:
            failures.append(error)
        else:
            recorder.write(EventKind.ROLLBACK_ACT, {**body, "state": "confirmed"})

    # all at once: an instance on a feed that was found bad is as good as down already
    everything = max(1, len(names))
    act(
        "set_variant",
        names,
        lambda: fleet.set_variant(names, "ccxt", epoch=epoch, max_unavailable=everything),
    )
    act("stop_shadow", (), lambda: fleet.stop_shadow(epoch))
    if failures:
        raise failures[0]


def _await_flow(
    fleet: Fleet,
    names: Sequence[str],
    *,
    deadline: float,
    limit: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    before = {status.id: status for status in fleet.instances()}
    while True:
        now = {status.id: status for status in fleet.instances()}
        dry = tuple(name for name in names if not _flows(before.get(name), now.get(name)))
        if not dry:
            return
        if monotonic() >= deadline:
            why = ("no ccxt message since the restart",)
            raise RollbackUnverified(dry, {name: _why(now.get(name), why) for name in dry}, limit)
        sleep(_POLL_SECONDS)


def _await_no_shadow(
    fleet: Fleet,
    *,
    deadline: float,
    limit: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Wait until the shadows that somebody has begun to stop are gone; raises where nobody has."""
    while left := running_shadows(fleet):
        if monotonic() >= deadline:
            why = ("a shadow that still runs",)
            raise RollbackUnverified(left, dict.fromkeys(left, why), limit)
        sleep(_POLL_SECONDS)


def _flows(before: InstanceStatus | None, now: InstanceStatus | None) -> bool:
    if now is None or now.variant != "ccxt" or not now.ready:
        return False
    # in a container every life has the pid 1
    same_life = before is not None and (before.pid, before.started_at) == (now.pid, now.started_at)
    earlier = before.messages + before.trades if before is not None and same_life else 0
    return now.messages + now.trades > earlier


def _why(status: InstanceStatus | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return (status.reasons if status is not None else ()) or default
