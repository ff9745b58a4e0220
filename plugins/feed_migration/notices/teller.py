"""Tells what is due: each channel in a thread of its own, none of which anybody waits for long.

A channel that fails or hangs costs nobody but itself. What it did not take is tried again by
whoever tells next, and said once in the log and as an audit note.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from feed_migration.addresses import Addresses
from feed_migration.journal import Journal
from feed_migration.notices.ledger import Attempt, NoticeLedger, Stage
from feed_migration.notices.notice import Kind, Notice
from feed_migration.notices.wording import notices_of

FAILED = "notice_failed"
# What happened longer ago is no news: notifications that are set up today tell of nothing older
NEWS_SECONDS = 86400.0
LOG = logging.getLogger(__name__)


class Send(Protocol):
    """Delivers one notice within seconds, or raises."""

    def __call__(self, notice: Notice, /) -> None:
        """Deliver it."""


@dataclass(frozen=True, kw_only=True)
class Outlet:
    """A channel as one process reaches it."""

    name: str
    kinds: frozenset[Kind]
    send: Send


class SendFailed(Exception):  # noqa: N818 - reads as the fact it states
    """What was sent was not taken; the message is fit for logs, without addresses."""


def describe(error: BaseException) -> str:
    """Return what went wrong in words that hold no secret: a webhook's URL is one."""
    if isinstance(error, SendFailed):
        return str(error)
    # the text of an exception may quote the URL; its kind, and a status, tell enough
    status = re.search(r"(?<![\w.])[45]\d\d(?!\w)", str(error))
    return f"{type(error).__name__}{f', status {status.group()}' if status else ''}"


class Teller:
    """Tells the notices of one journal through `outlets`.

    `holder` is who tells, in the table and in audit notes. `patience` gives the age in seconds
    from which on a notice is told: a teller of last resort lets the others go first.
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
        self._clock = clock
        self._patience = patience
        self._busy: dict[str, threading.Thread] = {}

    def tell(self, journal: Journal, migration_id: str) -> None:
        """Begin to tell what is due of a migration, and return at once.

        Raises `JournalUnavailable`.
        """
        notices = self._due(notices_of(journal.events(migration_id), self._addresses))
        attempts = journal.notice_ledger().attempts(migration_id) if notices else {}
        for outlet in self._outlets:
            told = {
                key
                for (key, channel), rows in attempts.items()
                if channel == outlet.name and any(row.stage is Stage.TOLD for row in rows)
            }
            due = [n for n in notices if n.kind in outlet.kinds and n.key not in told]
            if due and not self._is_busy(outlet.name):
                self._begin(outlet, due, journal)

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is being sent, but no longer; returns whether that came."""
        deadline = time.monotonic() + seconds
        for thread in list(self._busy.values()):
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._busy.values())

    def _due(self, notices: Iterable[Notice]) -> list[Notice]:
        now = self._clock()
        return [n for n in notices if self._patience(n) <= now - n.at < NEWS_SECONDS]

    def _is_busy(self, name: str) -> bool:
        thread = self._busy.get(name)
        return thread is not None and thread.is_alive()

    def _begin(self, outlet: Outlet, due: Sequence[Notice], journal: Journal) -> None:
        # nobody may wait for it: a process that ends takes it along, and its claim runs out
        thread = threading.Thread(
            target=self._work, args=(outlet, due, journal), name=f"notices {outlet.name}"
        )
        thread.daemon = True
        self._busy[outlet.name] = thread
        thread.start()

    def _work(self, outlet: Outlet, due: Sequence[Notice], journal: Journal) -> None:
        ledger = journal.notice_ledger()
        try:
            for notice in due:
                if not self._one(outlet, notice, ledger, journal):
                    return
        except Exception as error:  # noqa: BLE001 - a journal that goes away ends this round
            LOG.warning("channel %s: not told: %s", outlet.name, describe(error))

    def _one(self, outlet: Outlet, notice: Notice, ledger: NoticeLedger, journal: Journal) -> bool:
        """Return whether the channel works."""
        number = ledger.claim(
            notice.migration_id, notice.key, outlet.name, holder=self._holder, now=self._clock()
        )
        if number is None:
            return True
        failure = ""
        try:
            outlet.send(notice)
        except Exception as error:  # noqa: BLE001 - whatever it is, only this message is late
            failure = describe(error)
        ledger.settle(
            Attempt(
                migration_id=notice.migration_id,
                key=notice.key,
                channel=outlet.name,
                attempt=number,
                stage=Stage.FAILED if failure else Stage.TOLD,
                at=self._clock(),
                holder=self._holder,
            )
        )
        if failure:
            self._complain(outlet, notice, journal, number, failure)
        else:
            LOG.info("told %s: %s", outlet.name, notice.headline)
        return not failure

    def _complain(
        self, outlet: Outlet, notice: Notice, journal: Journal, number: int, failure: str
    ) -> None:
        text = "channel %s did not take %r, attempt %d: %s"
        LOG.warning(text, outlet.name, notice.headline, number, failure)
        body = {
            "note": FAILED,
            "id": f"{FAILED}/{outlet.name}/{notice.key}",
            "channel": outlet.name,
            "notice": notice.key,
            "error": failure,
        }
        journal.note(notice.migration_id, self._holder, body, once="id")
