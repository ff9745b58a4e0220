"""What the guard knows now: from the journal where it answers, from memory and disk where not."""

import logging
import math
from collections.abc import Callable
from dataclasses import replace

from feed_migration.deployment import Deployment
from feed_migration.errors import JournalUnavailable
from feed_migration.guard.follower import JournalFollower
from feed_migration.guard.knowledge import Copy, KnowledgeFile, Known
from feed_migration.guard.sight import Story
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.words import listed

LOCK_WAIT_SECONDS = 1.0
COPY_SECONDS = 5.0
# One try that failed proves no longer silence: a guard that was stopped did not ask meanwhile
TRY_SECONDS = 5.0
# On a host that starts the database comes late: so long it is asked before the copy's age counts
START_SECONDS = 20.0
# As many instances are named in a message; a fleet may have a thousand
NAMED = 5
LOG = logging.getLogger(__name__)


class Reading:
    """Follows the journal, puts into it what was spooled, and keeps the copy on disk.

    `silent_seconds` is how long the journal has not answered, by the monotonic clock and as far as
    it was asked; a guard that starts without it soon counts from when its copy was made.
    `lease_seen_at` is when the lease was first seen, in unix seconds of the guard's own clock.
    """

    def __init__(
        self,
        deployment: Deployment,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._deployment = deployment
        self._clock, self._monotonic = clock, monotonic
        self._spool = Spool(deployment.spool_file)
        self._file = KnowledgeFile(deployment.guard_folder / "known.json")
        self._journal: Journal | None = None
        self._follower: JournalFollower | None = None
        self._readable = False
        self._complained = False
        self._saved_at: float | None = None
        self._saved: object = None
        copy = self._file.load() or Copy(known=None, read_at=clock())
        self._known = copy.known
        self._read_at = copy.read_at if copy.known else -math.inf
        self._lease_seen_at = copy.lease_seen_at
        self._before = max(0.0, clock() - copy.read_at)
        self._silent, self._asked_at = 0.0, monotonic()

    def read(self) -> Known | None:
        """Return what the journal says, or said last."""
        try:
            journal, follower = self._opened()
            if not self._spool.is_empty():
                journal.absorb(self._spool)
            self._known = self._noted(self._believed(follower))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the fleet is guarded
            if not self._complained:
                LOG.warning("the guard goes on without the journal: %s", error)
            self._readable, self._complained = False, True
            now = self._monotonic()
            self._silent += min(now - self._asked_at, TRY_SECONDS)
            self._asked_at = now
            return self._known
        self._readable, self._complained = True, False
        self._before, self._silent, self._asked_at = 0.0, 0.0, self._monotonic()
        self._save()
        return self._known

    @property
    def journal(self) -> Journal | None:
        """The journal, None while it does not answer."""
        return self._journal if self._readable else None

    @property
    def story(self) -> Story | None:
        """The newest migration in full, as it was last read; None until then."""
        return self._follower.story if self._follower else None

    @property
    def lease_seen_at(self) -> float:
        """When the lease was first seen; where that was not noted, when its holder says."""
        if self._lease_seen_at is not None:
            return self._lease_seen_at
        lease = self._known.lease if self._known else None
        return lease.renewed_at if lease else self._clock()

    @property
    def silent_seconds(self) -> float:
        """0 while the journal answers."""
        if self._readable:
            return 0.0
        before = self._before if self._silent >= START_SECONDS else 0.0
        return max(before + self._silent, 1e-9)

    def begun(self, known: Known, actor: str) -> None:
        """Remember that a rollback has begun, so that it goes on should the journal go away now."""
        if known.status is not Status.ROLLING_BACK:
            self._known = replace(known, status=Status.ROLLING_BACK, rollback_actor=actor)
            self._save()

    def taken_back(self, known: Known) -> None:
        """Remember a verified rollback: without a journal this keeps it from being done again."""
        self._known = replace(known, status=Status.ROLLED_BACK, exposed=())
        self._save()

    def _believed(self, follower: JournalFollower) -> Known | None:
        """Return what the journal says, unless it has lost what is known to be exposed.

        An empty database where the old one was, one restored to an earlier day, or a standby that
        lagged when it took over, undid nothing. Nor does it end a rollback whose beginning it lost.
        """
        said, known = follower.read(), self._known
        if known is None or not known.status.active:
            return said
        if lost := follower.lacks(known):
            raise JournalUnavailable(
                f"the journal does not know that {known.migration_id} may have exposed "
                f"{listed(lost, NAMED)}",
                "roll back, or bring the newer one; else the fleet goes back after the blind limit",
            )
        if said is not None and follower.forgot_rollback(known):
            return replace(
                said,
                status=Status.ROLLING_BACK,
                rollback_actor=said.rollback_actor or known.rollback_actor,
                rollback_said_at=said.rollback_said_at or known.rollback_said_at,
            )
        return said

    def _noted(self, said: Known | None) -> Known | None:
        """Note when a lease was first seen: a renewal is from after the last reading.

        When its holder says that it was may be by a clock that is far from ours.
        """
        now, lease = self._clock(), said.lease if said else None
        if lease is not None and lease != (self._known.lease if self._known else None):
            self._lease_seen_at = min(now, max(lease.renewed_at, self._read_at))
        self._read_at = now
        return said

    def _opened(self) -> tuple[Journal, JournalFollower]:
        if self._journal is None or self._follower is None:
            self._journal = Journal(
                self._deployment.journal_url,
                home=self._deployment.home,
                lock_wait_seconds=LOCK_WAIT_SECONDS,
                clock=self._clock,
            )
            self._follower = JournalFollower(self._journal)
            self._look_for_key(self._journal)
        return self._journal, self._follower

    def _look_for_key(self, journal: Journal) -> None:
        """Complain on the first day, not in the night that a rollback is to be recorded."""
        try:
            journal.require_key()
        except JournalUnavailable as error:
            LOG.error("the guard reads the journal and can write none of it: %s", error)  # noqa: TRY400

    def _save(self) -> None:
        now, known = self._monotonic(), self._known
        # what may be exposed must be on disk before the journal can be lost, the rest now and then
        gist = known and (known.migration_id, known.status, known.exposed, known.breach)
        if gist != self._saved or self._saved_at is None or now - self._saved_at >= COPY_SECONDS:
            copy = Copy(known=known, read_at=self._clock(), lease_seen_at=self._lease_seen_at)
            self._file.save(copy)
            self._saved_at, self._saved = now, gist
