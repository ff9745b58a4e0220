"""Tells beside what a process does: a thread that looks at the journal once a second.

It may die with its process at any moment, and never holds it up.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from feed_migration.journal.store import Journal
from feed_migration.notices.outlet import describe
from feed_migration.notices.teller import Teller

INTERVAL_SECONDS = 1.0
# Who told of an earlier migration may have died with it; so many are looked at, so often
EARLIER = 9
EARLIER_SECONDS = 10.0
# At the end it is looked so often whether another has told what it has under way
LAST_LOOK_SECONDS = 0.25
LOG = logging.getLogger(__name__)


class Follower:
    """Tells the newest migration's notices as its events come, until it is stopped.

    What is left of the migrations before it is told, too, and first.

    `journal` is asked for at every look, and may raise `JournalUnavailable`.
    """

    def __init__(self, journal: Callable[[], Journal], teller: Teller) -> None:
        self._journal = journal
        self._teller = teller
        self._stopped = threading.Event()
        self._complained = False
        self._over: set[str] = set()
        self._earlier_at = -math.inf
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new; what is being sent goes on as long as the process lives."""
        self._stopped.set()

    def abandon(self) -> None:
        """Begin nothing new, and claim nothing more: the process ends, and nobody waits for it."""
        self.stop()
        self._teller.leave()

    def finish(self, seconds: float) -> bool:
        """Stop, look once more, and wait for what is being sent; returns whether all is said.

        What another process has under way is waited for, too: where that fails, it is told here.
        """
        self.stop()
        deadline, done = time.monotonic() + seconds, threading.Event()

        def last() -> None:
            while not self._all_said(deadline):
                time.sleep(LAST_LOOK_SECONDS)
                # who has left must not begin to tell again
                if time.monotonic() >= deadline:
                    return
            done.set()

        # the journal itself may hang
        threading.Thread(target=last, name="notices at last", daemon=True).start()
        if not done.wait(seconds):
            self._teller.leave()
        return done.is_set()

    def _all_said(self, deadline: float) -> bool:
        self._round()
        if not self._teller.settle(max(0.0, deadline - time.monotonic())):
            return False
        # a journal that does not answer is not waited for
        with suppress(Exception):
            journal = self._journal()
            newest = journal.migrations(1)
            return not any(self._teller.is_unsaid(journal, one) for one in newest)
        return True

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._round()
            self._stopped.wait(INTERVAL_SECONDS)

    def _round(self) -> None:
        try:
            journal = self._journal()
            for migration_id in self._migrations(journal):
                if not self._teller.tell(journal, migration_id):
                    self._over.add(migration_id)
        except Exception as error:  # noqa: BLE001 - it tells of others' faults, and ends of none
            self._say(error)
        else:
            self._complained = False

    def _migrations(self, journal: Journal) -> list[str]:
        """Return which migrations to look at now, oldest first."""
        due = time.monotonic() - self._earlier_at >= EARLIER_SECONDS
        newest, *earlier = journal.migrations(EARLIER + 1 if due else 1) or [""]
        if due:
            self._earlier_at = time.monotonic()
        left = [migration_id for migration_id in earlier if migration_id not in self._over]
        # of the newest, more may come at any time
        return [*reversed(left), *filter(None, [newest])]

    def _say(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            LOG.warning("notices wait: %s", describe(error))
