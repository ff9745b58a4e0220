"""Tells what is due: each channel in a thread of its own, none of which anybody waits for long.

A channel that fails or hangs costs nobody but itself. What it did not take is tried again, and by
every other sender; it is said in the log, and once for each sort of sender as an audit note.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from feed_migration.addresses import Addresses
from feed_migration.journal.notice_ledger import Attempt, is_over, is_under_way, next_attempt
from feed_migration.journal.store import Journal
from feed_migration.notices.delivery import Delivery
from feed_migration.notices.notice import Notice
from feed_migration.notices.outlet import Outlet, describe
from feed_migration.notices.wording import notices_of

# What happened longer ago is no news: notifications that are set up today tell of nothing older
NEWS_SECONDS = 86400.0
# What was read longer ago is read again before it is told
FRESH_SECONDS = 2.0
LOG = logging.getLogger(__name__)

type _Pending = tuple[Notice, Sequence[Attempt]]


class Teller:
    """Tells the notices of one journal through `outlets`.

    `holder` is who tells, `sort:host`, in the table and in audit notes. `patience` gives the age in
    seconds from which on a notice is told: a teller of last resort lets the others go first.
    """

    def __init__(
        self,
        outlets: Sequence[Outlet],
        addresses: Addresses,
        *,
        holder: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
        patience: Callable[[Notice], float] = lambda _: 0.0,
    ) -> None:
        self._outlets = tuple(outlets)
        self._addresses = addresses
        self._holder = holder
        self._delivery = Delivery(holder, clock)
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._working: dict[str, threading.Thread] = {}
        self._waiting: dict[str, dict[str, None]] = {outlet.name: {} for outlet in outlets}
        self._leaving = threading.Event()

    def tell(self, journal: Journal, migration_id: str) -> bool:
        """Begin to tell what is due of a migration, and return whether anything is left to tell.

        A channel that is at work takes it when it comes to that. Raises `JournalUnavailable`.
        """
        self._leaving.clear()
        left = self._left(journal, migration_id)
        for outlet in self._outlets:
            if self._due(left[outlet.name]):
                self._give(outlet, migration_id, journal)
        return any(left.values())

    def is_unsaid(self, journal: Journal, migration_id: str) -> bool:
        """Return whether something is due here, or another process is sending it.

        One look at both: who sends elsewhere may fail at any moment. Raises `JournalUnavailable`.
        """
        now = self._clock()
        lefts = self._left(journal, migration_id).values()
        return any(
            self._is_unsaid([r for n, r in left if self._has_come(n, now)], now) for left in lefts
        )

    def _is_unsaid(self, tried: Sequence[Sequence[Attempt]], now: float) -> bool:
        if any(is_under_way(rows, now) for rows in tried):
            return True
        # where one has failed here the channel is down, and nobody waits for it
        due = [next_attempt(rows, now, self._holder) is not None for rows in tried]
        return bool(due) and all(due)

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is being sent, but no longer; returns whether that came."""
        deadline = time.monotonic() + seconds
        while threads := self._threads():
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:
                return not self._threads()
        return True

    def leave(self) -> None:
        """Claim nothing more, until somebody tells again: the process may end at any moment."""
        self._leaving.set()

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._working.values() if thread.is_alive()]

    def _left(self, journal: Journal, migration_id: str) -> dict[str, list[_Pending]]:
        """Return what each channel is to be told yet, oldest first, with what was tried."""
        now = self._clock()
        notices = [
            notice
            for notice in notices_of(journal.events(migration_id), self._addresses)
            if now - notice.at < NEWS_SECONDS and now < notice.until
        ]
        attempts = journal.notice_ledger().attempts(migration_id) if notices else {}
        found: dict[str, list[_Pending]] = {}
        for outlet in self._outlets:
            wanted = (notice for notice in notices if notice.kind in outlet.kinds)
            tried = ((one, attempts.get((one.key, outlet.name), [])) for one in wanted)
            found[outlet.name] = [
                (one, rows) for one, rows in tried if not is_over(rows, self._holder)
            ]
        return found

    def _due(self, left: Iterable[_Pending]) -> list[Notice]:
        """Return what may be told now: nobody else has it, and nobody else goes first."""
        now = self._clock()
        return [
            notice
            for notice, rows in left
            if self._has_come(notice, now) and next_attempt(rows, now, self._holder) is not None
        ]

    def _has_come(self, notice: Notice, now: float) -> bool:
        return self._patience(notice) <= now - notice.at

    def _give(self, outlet: Outlet, migration_id: str, journal: Journal) -> None:
        with self._lock:
            self._waiting[outlet.name][migration_id] = None
            thread = self._working.get(outlet.name)
            if thread is not None and thread.is_alive():
                return
            # nobody may wait for it: a process that ends takes it along, and its claim runs out
            thread = threading.Thread(
                target=self._work, args=(outlet, journal), name=f"notices {outlet.name}"
            )
            thread.daemon = True
            self._working[outlet.name] = thread
            thread.start()

    def _next(self, outlet: Outlet) -> str | None:
        """Return a migration of which the channel is to be told; without one its thread ends."""
        with self._lock:
            waiting = self._waiting[outlet.name]
            migration_id = next(iter(waiting), None)
            if migration_id is None:
                del self._working[outlet.name]
            else:
                del waiting[migration_id]
            return migration_id

    def _work(self, outlet: Outlet, journal: Journal) -> None:
        # what is wrong with it shows when it sends
        with suppress(Exception):
            outlet.ready()
        while (migration_id := self._next(outlet)) is not None:
            try:
                self._tell_all(outlet, migration_id, journal)
            except Exception as error:  # noqa: BLE001 - a journal that goes away ends this round
                LOG.warning("channel %s: not told: %s", outlet.name, describe(error))

    def _tell_all(self, outlet: Outlet, migration_id: str, journal: Journal) -> None:
        for notice in self._fresh(outlet, migration_id, journal):
            if self._leaving.is_set() or not self._delivery.deliver(outlet, notice, journal):
                return

    def _fresh(self, outlet: Outlet, migration_id: str, journal: Journal) -> Iterator[Notice]:
        """Yield each notice that is due, as it is now and not as it was before a long wait."""
        tried: set[str] = set()
        while True:
            read_at = time.monotonic()
            left = self._left(journal, migration_id)[outlet.name]
            due = [notice for notice in self._due(left) if notice.key not in tried]
            for number, notice in enumerate(due):
                if number and time.monotonic() - read_at > FRESH_SECONDS:
                    break
                tried.add(notice.key)
                yield notice
            else:
                return
