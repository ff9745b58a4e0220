"""Forward tasks wait for a journal that is away, and say so where they have waited in vain.

A restart of its database, or a lock on it, is no reason to move a good fleet: the lease of what is
exposed bears minutes, so for that long a forward task asks again. The journal cannot keep why a
task then fails, so Airflow does, as an XCom, and the way back finds that nothing is bad. The guard
needs neither: a breach, or a lease that ends, takes the fleet back meanwhile.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from feed_migration.errors import JournalUnavailable
from feed_migration.lease import HANDOVER_SECONDS

# Of a hand-over's lease: for Airflow to begin the task before, and for its last try to end
MARGIN_SECONDS = 120.0
PAUSE_SECONDS = 3.0
# Longer than any wait for a lock or for a server
FAR_SECONDS = 120.0
# What takes the fleet back waits no longer than it takes to journal in whose name
NO_SECONDS = 10.0
IN_VAIN = "journal_away"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class JournalPatience:
    """For how long a task waits, by the monotonic clock from when it found the journal away.

    Less than a hand-over: longer, and the guard may have taken the fleet back before. An act that
    came far before it failed had its journal meanwhile, and with it another lease.
    """

    seconds: float = HANDOVER_SECONDS - MARGIN_SECONDS
    pause_seconds: float = PAUSE_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def outlast[T](self, context: Any, act: Callable[[], T]) -> T:
        """Return what `act` returns, which is called again while the journal does not answer.

        Raises AirflowFailException where that takes too long, and excuses the failure.
        """
        try:
            return self._outlast(act, self.seconds)
        except JournalUnavailable as error:
            context["ti"].xcom_push(IN_VAIN, str(error))
            raise self._in_vain(error) from None

    def hurried[T](self, act: Callable[[], T]) -> T:
        """Do the same for seconds, and excuse nothing: for a No, which takes the fleet back."""
        try:
            return self._outlast(act, min(self.seconds, NO_SECONDS))
        except JournalUnavailable as error:
            raise self._in_vain(error) from None

    def _outlast[T](self, act: Callable[[], T], seconds: float) -> T:
        until: float | None = None
        while True:
            began = self.monotonic()
            try:
                return act()
            except JournalUnavailable as error:
                now = self.monotonic()
                if until is None or now - began > FAR_SECONDS:
                    until = now + seconds
                if now >= until:
                    raise
                LOG.warning("waiting for the journal, %.0f s at most: %s", until - now, error)
            self.sleep(self.pause_seconds)

    def _in_vain(self, error: JournalUnavailable) -> AirflowFailException:
        # for good: another try would wait as long again
        return AirflowFailException(f"waited for the journal in vain: {error}")


def only_the_journal_failed(context: Any, states: Mapping[str, str]) -> bool:
    """Return whether tasks failed, and all of them for want of the journal alone.

    `states` is task → state of this run. A task that is skipped was so by hand, unless it is one of
    the way back.
    """
    failed = [task for task, state in states.items() if state == "failed"]
    by_hand = any(s == "skipped" and not t.startswith("rollback.") for t, s in states.items())
    return bool(failed) and not by_hand and all(_is_excused(context, task) for task in failed)


def _is_excused(context: Any, task_id: str) -> bool:
    try:
        return bool(context["ti"].xcom_pull(task_ids=task_id, key=IN_VAIN))
    except Exception:
        LOG.exception("Airflow does not say why %s failed", task_id)
        return False
