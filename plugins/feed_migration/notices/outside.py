"""Telling outside Airflow, for the guard and the shell: with the journal, or alone without it.

Alone, what was told is kept in a file of the state directory and goes into the journal's table when
that answers again, so that what Airflow then reads there is not told once more.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Queue

import msgspec

from feed_migration.addresses import addresses_of
from feed_migration.deployment import Deployment
from feed_migration.durable import write_text
from feed_migration.errors import ExposedUnlisted
from feed_migration.journal.notice_ledger import RETRY_SECONDS, Attempt, Stage
from feed_migration.journal.store import Journal
from feed_migration.notices.follower import Follower
from feed_migration.notices.notice import Kind, Notice
from feed_migration.notices.outlet import Outlet, describe
from feed_migration.notices.rollback_words import back_notice, rollback_notice, unproven_notice
from feed_migration.notices.teller import Teller
from feed_migration.notices.webhook import outlets_outside
from feed_migration.rollback import RollbackVerified

# Airflow's tasks tell what they do; so long they have to claim it
LAST_RESORT_SECONDS = 10.0
LOCK_WAIT_SECONDS = 1.0
# What a shell waits at its end for messages that are under way
CLOSE_SECONDS = 8.0
_POLL_SECONDS = 0.02
_OURS = frozenset({Kind.ROLLBACK, Kind.ROLLED_BACK})
LOG = logging.getLogger(__name__)


def taking(journal: Journal | None, complain: Callable[[str], None]) -> Journal | None:
    """Return the journal, None where it would take nothing of ours and so can tell nobody of it."""
    try:
        if journal is not None:
            journal.require_key()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the fleet goes back
        complain(f"the rollback's events wait in the spool: {error}")
        return None
    return journal


class Telling:
    """Tells a deployment's notices from outside Airflow; inert without a channel that has a file.

    Rollbacks are told at once, whoever does them; what else matters once Airflow left it untold.
    """

    def __init__(
        self,
        deployment: Deployment,
        actor: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    ) -> None:
        self._deployment, self._actor, self._clock = deployment, actor, clock
        self._addresses = addresses_of(deployment)
        self._outlets = outlets_outside(deployment.notifications)
        self._alone = _Alone(self._outlets, deployment.home / "guard" / "told.json", actor, clock)
        teller = Teller(
            self._outlets, self._addresses, holder=actor, clock=clock, patience=_patience
        )
        self._open: Journal | None = None
        self._follower = Follower(self._journal, teller)
        if self._outlets:
            self._follower.start()

    def begun(self, migration_id: str, reason: str) -> None:
        """Tell that a rollback has begun of which no journal knows."""
        self._say(
            rollback_notice(
                self._addresses,
                migration_id,
                number=1,
                reason=reason,
                actor=self._actor,
                at=self._clock(),
            )
        )

    def unproven(self, migration_id: str, error: ExposedUnlisted) -> None:
        """Tell whom it cannot prove on ccxt."""
        facts = {"id": " ".join(error.instances), "why": error.why, "remedy": error.remedy}
        self._say(unproven_notice(self._addresses, migration_id, facts=facts, at=self._clock()))

    def back(self, migration_id: str, proof: RollbackVerified) -> None:
        """Tell that it is verified."""
        self._say(
            back_notice(
                self._addresses,
                migration_id,
                number=1,
                facts=asdict(proof),
                at=self._clock(),
                breached=proof.breached,
            )
        )

    def close(self, seconds: float = 0.0) -> None:
        """Begin nothing new; wait up to `seconds` for what is to be said yet."""
        if not self._outlets:
            return
        if seconds > 0:
            self._follower.finish(seconds)
            self._alone.settle(seconds)
        self._follower.stop()
        self._alone.close()

    def _say(self, notice: Notice) -> None:
        if self._outlets:
            self._alone.say(notice)

    def _journal(self) -> Journal:
        if self._open is None:
            self._open = Journal(
                self._deployment.journal_url,
                home=self._deployment.home,
                lock_wait_seconds=LOCK_WAIT_SECONDS,
                clock=self._clock,
            )
        # before anything is told out of it
        self._alone.hand_over(self._open)
        return self._open


@contextmanager
def rollback_told(
    deployment: Deployment, journal: Journal | None, migration_id: str, actor: str, reason: str
) -> Iterator[Callable[[RollbackVerified], None]]:
    """Tell of the rollback that the block does, with Airflow and the journal up or down.

    The block says with the yielded function that it is verified.
    """
    telling = Telling(deployment, actor)
    if journal is None:
        telling.begun(migration_id, reason)

    def verified(proof: RollbackVerified) -> None:
        if journal is None:
            telling.back(migration_id, proof)

    try:
        yield verified
    except ExposedUnlisted as error:
        if journal is None:
            telling.unproven(migration_id, error)
        raise
    finally:
        telling.close(CLOSE_SECONDS)


def _patience(notice: Notice) -> float:
    return 0.0 if notice.kind in _OURS else LAST_RESORT_SECONDS


class _Alone:
    """Sends without a journal: a thread for each channel, what was told in a file."""

    def __init__(
        self, outlets: tuple[Outlet, ...], path: Path, holder: str, clock: Callable[[], float]
    ) -> None:
        self._outlets, self._path, self._holder, self._clock = outlets, path, holder, clock
        self._lock = threading.Lock()
        self._waiting: dict[str, Queue[Notice | None]] = {}
        self._begun: set[tuple[str, str, str]] = {
            (row.migration_id, row.key, row.channel) for row in self._rows()
        }

    def say(self, notice: Notice) -> None:
        """Begin to send, once per channel and in order, and return."""
        for outlet in self._outlets:
            name = (notice.migration_id, notice.key, outlet.name)
            if notice.kind in outlet.kinds and name not in self._begun:
                self._begun.add(name)
                self._queue(outlet).put(notice)

    def settle(self, seconds: float) -> None:
        """Wait for what is being sent, but no longer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not any(waiting.unfinished_tasks for waiting in self._waiting.values()):
                return
            time.sleep(_POLL_SECONDS)

    def close(self) -> None:
        """Take nothing more; threads end behind what waits for them."""
        for waiting in self._waiting.values():
            waiting.put(None)
        self._waiting = {}

    def _queue(self, outlet: Outlet) -> "Queue[Notice | None]":
        if outlet.name not in self._waiting:
            waiting = self._waiting[outlet.name] = Queue()
            # nobody waits for it: it ends with the process
            threading.Thread(
                target=self._work,
                args=(outlet, waiting),
                name=f"notices {outlet.name}",
                daemon=True,
            ).start()
        return self._waiting[outlet.name]

    def _work(self, outlet: Outlet, waiting: "Queue[Notice | None]") -> None:
        while (notice := waiting.get()) is not None:
            self._send(outlet, notice)
            waiting.task_done()

    def hand_over(self, journal: Journal) -> None:
        """Put into the journal what was told without it; raises JournalUnavailable."""
        with self._lock:
            rows = self._rows()
            ledger = journal.notice_ledger()
            for row in rows:
                ledger.settle(row)
            if rows:
                with suppress(OSError):
                    write_text(self._path, "[]\n")

    def _send(self, outlet: Outlet, notice: Notice) -> None:
        for number, pause in enumerate((*RETRY_SECONDS, None), start=1):
            try:
                outlet.send(notice)
            except Exception as error:  # noqa: BLE001 - whatever it is, only this message is late
                LOG.warning(
                    "channel %s did not take %r, attempt %d: %s",
                    *(outlet.name, notice.headline, number, describe(error)),
                )
            else:
                LOG.info("told %s: %s", outlet.name, notice.headline)
                self._keep(outlet, notice, number)
                return
            if pause is not None:
                time.sleep(pause)

    def _keep(self, outlet: Outlet, notice: Notice, number: int) -> None:
        row = Attempt(
            migration_id=notice.migration_id,
            key=notice.key,
            channel=outlet.name,
            attempt=number,
            stage=Stage.TOLD,
            at=self._clock(),
            holder=self._holder,
        )
        with self._lock, suppress(OSError):
            rows = [asdict(each) for each in (*self._rows(), row)]
            write_text(self._path, json.dumps(rows) + "\n")

    def _rows(self) -> list[Attempt]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Attempt])
        except (OSError, msgspec.MsgspecError):
            return []
