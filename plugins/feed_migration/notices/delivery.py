"""One notice on one channel: claim it, send it, say how it went."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.notice_ledger import (
    LONGEST_SECONDS,
    RENEW_SECONDS,
    Attempt,
    NoticeLedger,
    Stage,
)
from feed_migration.journal.store import Journal
from feed_migration.notices.notice import Notice
from feed_migration.notices.outlet import Outlet, describe

FAILED = "notice_failed"
LOG = logging.getLogger(__name__)


class Delivery:
    """Delivers under the name of `holder`, in the table and in audit notes."""

    def __init__(self, holder: str, clock: Callable[[], float]) -> None:
        self._holder, self._clock = holder, clock

    def deliver(self, outlet: Outlet, notice: Notice, journal: Journal) -> bool:
        """Return whether the channel works: it took the notice, or somebody else sees to it.

        Raises `JournalUnavailable`.
        """
        ledger = journal.notice_ledger()
        claimed = self._claim(ledger, outlet, notice)
        if claimed is None:
            return True
        failure = ""
        try:
            with self._renewed(ledger, claimed):
                outlet.send(notice)
        except Exception as error:  # noqa: BLE001 - whatever it is, only this message is late
            failure = describe(error)
        stage = Stage.FAILED if failure else Stage.TOLD
        ledger.settle(replace(claimed, stage=stage, at=self._clock()))
        if failure:
            self._complain(notice, journal, claimed, failure)
        else:
            LOG.info("told %s: %s", outlet.name, notice.headline)
        return not failure

    def _claim(self, ledger: NoticeLedger, outlet: Outlet, notice: Notice) -> Attempt | None:
        now = self._clock()
        number = ledger.claim(
            notice.migration_id, notice.key, outlet.name, holder=self._holder, now=now
        )
        if number is None:
            return None
        return Attempt(
            migration_id=notice.migration_id,
            key=notice.key,
            channel=outlet.name,
            attempt=number,
            stage=Stage.CLAIMED,
            at=now,
            holder=self._holder,
        )

    @contextmanager
    def _renewed(self, ledger: NoticeLedger, claimed: Attempt) -> Iterator[None]:
        """Keep the claim while the block sends, which would else be sent by others, too."""
        sent = threading.Event()

        def renew() -> None:
            for _ in range(int(LONGEST_SECONDS / RENEW_SECONDS)):
                if sent.wait(RENEW_SECONDS):
                    return
                with suppress(JournalUnavailable):
                    ledger.settle(replace(claimed, at=self._clock()))

        thread = threading.Thread(target=renew, name="notices renew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            sent.set()
            # a renewal must not come behind the word on how it went
            thread.join()

    def _complain(self, notice: Notice, journal: Journal, claimed: Attempt, failure: str) -> None:
        text = "channel %s did not take %r, attempt %d: %s"
        LOG.warning(text, claimed.channel, notice.headline, claimed.attempt, failure)
        # what keeps one from getting out need not be what keeps another
        sort = self._holder.partition(":")[0]
        body = {
            "note": FAILED,
            "id": f"{FAILED}/{claimed.channel}/{notice.key}/{sort}",
            "channel": claimed.channel,
            "notice": notice.key,
            "error": failure,
        }
        journal.note(notice.migration_id, self._holder, body, once="id")
