"""The waiting half of a question to a person: it ends with the migration that it is about.

Airflow parks a question without a trigger, and only an answer or the end of its patience wakes it.
The fleet can be taken back at a shell or by the guard, of which Airflow hears nothing: the journal
does. An answer needs no trigger, as Airflow resumes a deferred question itself.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from feed_migration.orchestration import runtime as runtimes
from feed_migration.orchestration.gate_trigger import SETTLE_SECONDS
from feed_migration.orchestration.kept_answer import kept_answer
from feed_migration.orchestration.place import Place
from feed_migration.phases import MigrationState, Status

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

POLL_SECONDS = 2.0
# The types of the events that are no answers
OVER, TIMEOUT, UNANSWERED = "over", "timeout", "unanswered"
# Another migration begins only behind one of these; what the journal has lost ends nothing
_OVER = frozenset({Status.ROLLING_BACK, Status.ROLLED_BACK, Status.PROMOTED})


class QuestionTrigger(BaseTrigger):
    """Wait for an answer, for `until_unix`, or until the migration is over.

    The single event is an answer as `kept_answer` returns it, or {error, error_type}. A journal
    or an Airflow that does not answer ends no question. With `once` it waits for nobody: where
    Airflow keeps no answer, the event is `unanswered`.
    """

    def __init__(
        self,
        *,
        place: Place | dict[str, str],
        migration_id: str,
        ti_id: str,
        until_unix: float,
        once: bool = False,
        settle_seconds: float = SETTLE_SECONDS,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    ) -> None:
        super().__init__()
        self.place = place if isinstance(place, Place) else Place.from_json(place)
        self.migration_id, self.ti_id, self.until_unix = migration_id, ti_id, until_unix
        self.once, self.settle_seconds, self.clock = once, settle_seconds, clock
        self._journal: Journal | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and JSON arguments."""
        return (
            "feed_migration.orchestration.question_trigger.QuestionTrigger",
            {
                "place": self.place.to_json(),
                "migration_id": self.migration_id,
                "ti_id": self.ti_id,
                "until_unix": self.until_unix,
                "once": self.once,
                "settle_seconds": self.settle_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, no earlier than `settle_seconds` after this call."""
        began = time.monotonic()
        event = await self._ended()
        await asyncio.sleep(max(0.0, began + self.settle_seconds - time.monotonic()))
        yield TriggerEvent(event)

    async def _ended(self) -> dict[str, Any]:
        while True:
            if (event := await self._look()) is not None:
                return event
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> dict[str, Any] | None:
        if (over := await asyncio.to_thread(self._over)) is not None:
            return over
        try:
            # as Airflow's own trigger asks: the channel to its database is the triggerer's
            answer: dict[str, Any] | None = await sync_to_async(kept_answer)(self.ti_id)
        except Exception:
            self.log.exception("Airflow does not say whether %s is answered", self.ti_id)
        else:
            # of one that came before the task was deferred, nothing else would tell
            if answer is not None:
                return answer
            if self.once:
                return {"error": "nobody has answered", "error_type": UNANSWERED}
        if self.clock() >= self.until_unix:
            return {"error": "nobody has answered in time", "error_type": TIMEOUT}
        return None

    def _over(self) -> dict[str, Any] | None:
        try:
            self._journal = self._journal or runtimes.open_runtime(self.place).journal
            state = self._journal.state(self.migration_id)
        except Exception:
            self.log.exception("the journal does not say whether %s goes on", self.migration_id)
            self._journal = None
            return None
        if not is_over(state):
            return None
        return {"error": end_of(state), "error_type": OVER}


def is_over(state: MigrationState) -> bool:
    """Whether nothing is to be asked about the migration any more: taken back, or finished."""
    return state.status in _OVER


def end_of(state: MigrationState) -> str:
    """Return in words how a migration has ended, or how it ends."""
    reason = f": {state.reason}" if state.reason else ""
    return f"the migration is {str(state.status).replace('_', ' ')}{reason}"
