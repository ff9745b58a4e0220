"""The guard's act: the fleet back on ccxt, tried again for ever, told to whoever can be told."""

import logging
from collections.abc import Callable
from contextlib import suppress

from feed_migration.deployment import Deployment, load_deployment
from feed_migration.errors import EnvironmentUnavailable, MigrationError
from feed_migration.fleet.base import Fleet
from feed_migration.fleet.choice import open_fleet
from feed_migration.gates.record import GateStart, append_verdict, record_verdict
from feed_migration.guard.knowledge import Known
from feed_migration.guard.watch import Breach
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.notices.outside import Telling
from feed_migration.report.pages import document_incident
from feed_migration.take_back import TakenBack, take_back
from feed_migration.words import since_words

# Between tries of a rollback that does not get there: at first soon, then so that logs stay short
RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0)
# Tries that are told of one by one, then only each power of two: hours of them fill no disk
TOLD_TRIES = 4
LOG = logging.getLogger(__name__)


class Reverting:
    """Takes a migration back; `done` and `failed` count the tries."""

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
        self.done = 0
        self.failed = 0

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
        self._announce(known, reason, breach, journal)
        try:
            taken = take_back(
                self._fleet(),
                journal,
                known.migration_id,
                self._actor,
                reason,
                again=again,
                breached=breach is not None or bool(known.breach),
                spool=self._spool,
                clock=self._clock,
            )
        except Exception as error:  # noqa: BLE001 - there is no failure to stop at
            self._failed(error, again=again)
            return False
        # where nothing of it can be recorded, it looks undone at once
        self._next_at = self._monotonic() + RETRY_SECONDS[-1]
        self.done += 1
        if taken is not None:
            self._tell(known, taken, journal)
        return True

    def close(self) -> None:
        """Tell nobody anything from now on."""
        self._telling.close()

    def _announce(
        self, known: Known, reason: str, breach: Breach | None, journal: Journal | None
    ) -> None:
        """Say that it begins: into the journal, or where that is away straight to people."""
        if journal is None:
            self._telling.begun(known.migration_id, reason)
        elif breach is not None:
            self._record(known, breach, journal)

    def _failed(self, error: Exception, *, again: bool) -> None:
        pause = RETRY_SECONDS[min(self._tries, len(RETRY_SECONDS)) - 1]
        self._next_at = self._monotonic() + pause
        self.failed += 1
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
            LOG.warning("the incident is not documented: %s", error)

    def _record(self, known: Known, breach: Breach, journal: Journal) -> None:
        """Put the guard's own verdict into the journal; a rollback does not wait for it."""
        start = GateStart(
            migration_id=known.migration_id,
            step=breach.watched.step,
            run=breach.watched.run,
            started_unix=breach.started_unix,
        )
        write = record_verdict if breach.gated else append_verdict
        try:
            write(journal, start, breach.verdict, actor=self._actor)
        except Exception as error:  # noqa: BLE001 - a verdict less in the log, not a rollback less
            LOG.warning("the verdict is not in the journal: %s", error)

    def _fleet(self) -> Fleet:
        """Return the fleet as deployment.yaml has it now, or as it was when the guard began."""
        with suppress(MigrationError):
            return open_fleet(load_deployment(self._deployment.home, {}))
        return open_fleet(self._deployment)


def _is_told(number: int) -> bool:
    """Whether a try is told of: the first ones, and then the powers of two."""
    return number <= TOLD_TRIES or number.bit_count() == 1
