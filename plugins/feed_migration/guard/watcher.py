"""The watch in a thread of its own: a Prometheus that hangs must not stop the guard's rounds."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from feed_migration.guard.knowledge import Known
from feed_migration.guard.watch import Breach, Watch
from feed_migration.journal.store import Journal
from feed_migration.model import Gate

# A poll that takes longer hangs: a reply that drips for ever passes every time-out
HANG_SECONDS = 300.0
# As many are let hang; more would fill the process with threads
HANGING = 4
LOG = logging.getLogger(__name__)


class Watcher:
    """Polls one watch at a time; `begin` makes one, and another in the place of one that hangs."""

    def __init__(self, begin: Callable[[], Watch], monotonic: Callable[[], float]) -> None:
        self._begin, self._monotonic = begin, monotonic
        self._hanging: list[Future[Breach | None]] = []
        self._polling: Future[Breach | None] | None = None
        self._polling_since = 0.0
        self._anew()

    @property
    def at_work(self) -> bool:
        """Whether the guard judges now, because nobody else does."""
        return self._watch.at_work

    def look(
        self, known: Known, gate: Gate, fleet_size: int, journal: Journal | None
    ) -> Breach | None:
        """Have the exposure judged; returns a breach that was found since the last call."""
        if self._polling is None:
            self._polling_since = self._monotonic()
            self._polling = self._thread.submit(self._watch.poll, known, gate, fleet_size, journal)
        if self._polling.done():
            done, self._polling = self._polling, None
            return _result(done)
        if self._monotonic() - self._polling_since > HANG_SECONDS:
            self._give_up(self._polling)
        return None

    def close(self) -> None:
        """Let go of the watch; one that waits for Prometheus ends with its query."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _give_up(self, polling: Future[Breach | None]) -> None:
        self._hanging = [one for one in self._hanging if not one.done()]
        if len(self._hanging) < HANGING:
            LOG.error("the watch hangs for %g s, another one begins", HANG_SECONDS)
            self._hanging.append(polling)
            self._polling = None
            self.close()
            self._anew()

    def _anew(self) -> None:
        self._watch = self._begin()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="watch")


def _result(done: Future[Breach | None]) -> Breach | None:
    try:
        return done.result()
    except Exception:
        LOG.exception("the exposure could not be judged")
        return None
