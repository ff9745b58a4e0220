"""The guard's act: the fleet back on ccxt, tried again for ever, told to whoever can be told."""

import logging
from collections.abc import Callable
from contextlib import suppress

from feed_migration.deployment import Deployment, load_deployment
from feed_migration.errors import (
    EnvironmentUnavailable,
    ExposedUnlisted,
    MigrationError,
    RollbackUnverified,
)
from feed_migration.fleet.base import Fleet
from feed_migration.fleet.choice import open_fleet
from feed_migration.gates.record import GateStart, append_verdict, record_verdict
from feed_migration.guard.knowledge import Known
from feed_migration.guard.known_way_back import open_known
from feed_migration.guard.watch import Breach
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.notices.outside import Telling, taking
from feed_migration.report.pages import document_incident
from feed_migration.take_back import TakenBack, take_back
from feed_migration.words import since_words

# Between tries of a rollback that does not get there: at first soon, then so that logs stay short
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0)
# Between tries of an incident page that cannot be written: each may wait for its lock
DOCUMENT_SECONDS = 60.0
# Tries that are told of one by one, then only each power of two: hours of them fill no disk
TOLD_TRIES = 4
LOG = logging.getLogger(__name__)


class Reverting:
    """Takes a migration back; `done` and `failed` count the tries.

    `unproven` are those whom the last try that looked at them could not prove on ccxt.
    """

    def __init__(
        self,
        deployment: Deployment,
        actor: str,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._deployment = deployment
        self._actor = actor
        self._clock, self._monotonic = clock, monotonic
        self._spool = Spool(deployment.spool_file)
        self._telling = Telling(deployment, actor, clock)
        self._migration_id, self._tries, self._next_at = "", 0, 0.0
        self._recorded: Breach | None = None
        self._undocumented: tuple[Known, TakenBack] | None = None
        self._document_at = 0.0
        self._complained = ""
        self.done = 0
        self.failed = 0
        self.unproven: tuple[str, ...] = ()

    def revert(
        self, known: Known, reason: str, breach: Breach | None, journal: Journal | None
    ) -> bool:
        """Return whether the fleet is back; False too while a failed try is let settle."""
        if known.migration_id != self._migration_id:
            self._migration_id, self._tries, self._next_at = known.migration_id, 0, 0.0
        if self._monotonic() < self._next_at:
            return False
        self._tries += 1
        again = not _is_told(self._tries)
        if not again:
            LOG.warning("taking %s back: %s", known.migration_id, reason)
        heard = taking(journal, LOG.debug if again else LOG.warning)
        self._announce(known, reason, breach, heard, again=again)
        try:
            taken = take_back(
                self._fleet(known),
                journal,
                known.migration_id,
                self._actor,
                reason,
                again=again,
                breached=breach is not None or bool(known.breach),
                exposed=known.exposed,
                spool=self._spool,
                clock=self._clock,
            )
        except Exception as error:  # noqa: BLE001 - there is no failure to stop at
            self._failed(error, again=again)
            if heard is None and isinstance(error, ExposedUnlisted):
                self._telling.unproven(known.migration_id, error)
            return False
        # where nothing of it can be recorded, it looks undone at once
        self._next_at = self._monotonic() + RETRY_SECONDS[-1]
        self.done += 1
        self.unproven = ()
        if taken is not None:
            self._tell(known, taken, heard)
        return True

    def close(self) -> None:
        """Tell nobody anything from now on."""
        self._telling.close()

    def document(self, journal: Journal | None) -> None:
        """Write the incident of the last rollback, where that could not be done before."""
        if self._undocumented is None or self._monotonic() < self._document_at:
            return
        self._document_at = self._monotonic() + DOCUMENT_SECONDS
        known, taken = self._undocumented
        try:
            document_incident(
                self._deployment,
                journal,
                known.migration_id,
                self._actor,
                result=taken.result,
                proof=taken.proof,
            )
        except EnvironmentUnavailable as error:
            if str(error) != self._complained:
                LOG.warning("the incident is not documented yet: %s", error)
            self._complained = str(error)
        else:
            self._undocumented, self._complained = None, ""

    def _announce(
        self,
        known: Known,
        reason: str,
        breach: Breach | None,
        journal: Journal | None,
        *,
        again: bool,
    ) -> None:
        """Say that it begins: into the journal, or where that is away straight to people."""
        if journal is None:
            self._telling.begun(known.migration_id, reason)
        elif breach is not None and breach is not self._recorded:
            self._record(known, breach, journal, again=again)

    def _failed(self, error: Exception, *, again: bool) -> None:
        pause = RETRY_SECONDS[min(self._tries, len(RETRY_SECONDS)) - 1]
        self._next_at = self._monotonic() + pause
        self.failed += 1
        if isinstance(error, RollbackUnverified):
            self.unproven = error.instances
        if not again:
            text = "not back on ccxt yet after %d tries, again in %g s: %s"
            LOG.error(text, self._tries, pause, error)

    def _tell(self, known: Known, taken: TakenBack, journal: Journal | None) -> None:
        LOG.warning(
            "%s is back: %d instances on ccxt with data flowing, %s",
            known.migration_id,
            len(taken.proof.instances),
            since_words(taken.proof.breach_to_rollback_seconds, breached=taken.proof.breached),
        )
        if journal is None:
            self._telling.back(known.migration_id, taken.proof)
        self._undocumented, self._document_at = (known, taken), 0.0
        self.document(journal)

    def _record(self, known: Known, breach: Breach, journal: Journal, *, again: bool) -> None:
        """Put the guard's own verdict into the journal, once; a rollback does not wait for it."""
        start = GateStart(
            migration_id=known.migration_id,
            step=breach.watched.step,
            run=breach.watched.run,
            started_unix=breach.started_unix,
        )
        breach_unix = self._clock() - (self._monotonic() - breach.began_monotonic)
        write = record_verdict if breach.gated else append_verdict
        try:
            write(journal, start, breach.verdict, actor=self._actor, breach_unix=breach_unix)
        except Exception as error:  # noqa: BLE001 - a verdict less in the log, not a rollback less
            log = LOG.debug if again else LOG.warning
            log("the verdict is not in the journal: %s", error)
        else:
            self._recorded = breach

    def _fleet(self, known: Known) -> Fleet:
        """Return the fleet as the migration began with it, driven as deployment.yaml says now.

        Where that file cannot be read, as it said when the guard began.
        """
        deployment = self._deployment
        with suppress(MigrationError):
            deployment = load_deployment(self._deployment.home, {})
        return open_known(deployment, known.fleet, open_fleet)


def _is_told(number: int) -> bool:
    """Whether a try is told of: the first ones, and then the powers of two."""
    return number <= TOLD_TRIES or number.bit_count() == 1
