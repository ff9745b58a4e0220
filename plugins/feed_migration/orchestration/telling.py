"""Telling beside tasks: who is told, and that no task fails or waits for it.

While a task acts, a thread tells what the journal comes to say (`telling`). What is left is told by
the task's callback, which Airflow calls once it has put the task's success down. A task that is
parked, or ends with a hold, has no callback behind it and tells before it ends: nothing hurries.
Any other failure waits for nobody, since the way back may stand behind it; the next task tells.
"""

# ruff: noqa: PLC0415 - without a channel nothing of it is imported

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import Place

if TYPE_CHECKING:
    from feed_migration.deployment import Deployment
    from feed_migration.journal.store import Journal
    from feed_migration.notices.follower import Follower
    from feed_migration.notices.teller import Teller

# Below Airflow's `task_success_overtime` of 20 s, after which it ends the process
CALLBACK_SECONDS = 10.0
# What a question to a person may be late by because of a channel that hangs
QUESTION_SECONDS = 5.0
# The same of a gate that is parked, and of a hold that Airflow comes to see
PARTING_SECONDS = 5.0
LOCK_WAIT_SECONDS = 2.0
LOG = logging.getLogger(__name__)


class HeldFailure(AirflowFailException):
    """The exposure stays as it is, and the task fails for good: nothing hurries from here."""


@contextmanager
def telling(place: Place) -> Iterator[None]:
    """Tell what the journal says while the block runs, which neither fails nor waits for it.

    Where the block parks the task, or ends it with a hold, what is left is told first.
    """
    follower = _follower(place)
    if follower is None:
        yield
        return
    follower.start()
    try:
        yield
    except (TaskDeferred, HeldFailure):
        if not follower.finish(PARTING_SECONDS):
            LOG.warning("not all was told within %g s, others go on", PARTING_SECONDS)
        raise
    except BaseException:
        follower.abandon()
        raise
    else:
        follower.stop()


class TellNotifier(BaseNotifier):
    """Tells what is due of the newest migration, for at most `seconds`; never raises."""

    def __init__(self, place: Place, seconds: float = CALLBACK_SECONDS) -> None:
        super().__init__()
        self.place, self.seconds = place, seconds

    def notify(self, context: Any) -> None:
        """Tell; what takes longer is told by the next task, or by the guard."""
        del context
        follower = _follower(self.place)
        if follower is not None and not follower.finish(self.seconds):
            LOG.warning("not all was told within %g s, the next task goes on", self.seconds)


def _follower(place: Place) -> "Follower | None":
    """Return who tells, None where nobody is to be told."""
    try:
        from feed_migration.base_urls import of_links
        from feed_migration.deployment import load_deployment

        # a wrong URL in the environment must not keep people from hearing of it
        deployment = load_deployment(place.home, of_links())
        if not deployment.notifications:
            return None
        from feed_migration.notices.follower import Follower

        return Follower(cache(lambda: _journal(deployment)), _teller(deployment))
    except Exception:
        LOG.exception("nobody is told of this task")
        return None


# one per process: the callback waits for what the thread beside the task has under way
@cache
def _teller(deployment: "Deployment") -> "Teller":
    from feed_migration.addresses import addresses_of
    from feed_migration.notices.teller import Teller
    from feed_migration.orchestration.channels import outlets_of

    outlets = outlets_of(deployment.notifications)
    # by host: a worker without a way out uses up no other worker's attempts
    holder = f"airflow:{socket.gethostname()}"
    return Teller(outlets, addresses_of(deployment), holder=holder)


def _journal(deployment: "Deployment") -> "Journal":
    from feed_migration.journal.store import Journal

    return Journal(
        deployment.journal_url,
        home=deployment.home,
        lock_wait_seconds=LOCK_WAIT_SECONDS,
        signer=signer_of_connection(),
    )
