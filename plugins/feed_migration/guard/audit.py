"""Whether the migration's rows are still what the chain says, as the guard looks now and then."""

import logging
from collections.abc import Callable

from feed_migration.guard.knowledge import Known
from feed_migration.journal.store import Journal

# A look reads the migration anew, some thousand events in a tenth of a second
LOOK_SECONDS = 30.0
LOG = logging.getLogger(__name__)


class AuditLook:
    """Looks at most every `LOOK_SECONDS`; `intact` is None until the first time."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._flaw = ""
        self.intact: bool | None = None

    def look(self, known: Known, journal: Journal | None) -> None:
        """Look, if it is time to; a journal that does not answer leaves what was found last."""
        now = self._monotonic()
        if journal is None or (
            self._looked_at is not None and now - self._looked_at < LOOK_SECONDS
        ):
            return
        self._looked_at = now
        try:
            flaw = journal.flaw_of(known.migration_id)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the fleet is guarded
            LOG.warning("the guard cannot tell whether the journal is whole: %s", error)
            return
        if flaw and flaw != self._flaw:
            LOG.error("the journal was tampered with: %s; the guard goes on", flaw)
        self._flaw, self.intact = flaw, not flaw
