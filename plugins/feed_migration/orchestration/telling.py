"""Telling beside tasks: who is told, and that no task fails or waits for it.

While a task acts, a thread tells what the journal comes to say (`telling`). What is left is told by
the task's callback, which Airflow calls once it has put the task's success down; a task that fails
leaves it to the next one, since Airflow puts a failure down only after the callbacks.
"""

# ruff: noqa: PLC0415 - without a channel nothing of it is imported

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.notifier import BaseNotifier

from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import Place

if TYPE_CHECKING:
    from feed_migration.deployment import Deployment
    from feed_migration.journal import Journal
    from feed_migration.notices.follower import Follower
    from feed_migration.notices.teller import Teller

# Below Airflow's `task_success_overtime` of 20 s, after which it ends the process
CALLBACK_SECONDS = 10.0
# What a question to a person may be late by because of a channel that hangs
QUESTION_SECONDS = 5.0
LOCK_WAIT_SECONDS = 2.0
LOG = logging.getLogger(__name__)


@contextmanager
def telling(place: Place) -> Iterator[None]:
    """Tell what the journal says while the block runs; the block neither fails nor waits for it."""
    follower = _follower(place)
    if follower is not None:
        follower.start()
    try:
        yield
    finally:
        if follower is not None:
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
        from feed_migration.deployment import load_deployment

        # a wrong URL in the environment must not keep people from hearing of it
        deployment = load_deployment(place.home, {})
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
    return Teller(outlets, addresses_of(deployment), holder="airflow")


def _journal(deployment: "Deployment") -> "Journal":
    from feed_migration.journal import Journal

    return Journal(
        deployment.journal_url,
        home=deployment.home,
        lock_wait_seconds=LOCK_WAIT_SECONDS,
        signer=signer_of_connection(),
    )
