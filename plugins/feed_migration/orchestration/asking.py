"""What the questions to people have in common: how they wait, and what ends the wait."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred

from feed_migration.orchestration.gate_trigger import SETTLE_SECONDS
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.question_trigger import (
    TIMEOUT,
    QuestionTrigger,
    end_of,
    is_over,
)
from feed_migration.phases import MigrationState

# What a triggerer may be dead for at the end of a question before Airflow itself ends it
SLACK = timedelta(seconds=120)


class Asking(HITLOperator):
    """A question that waits by `QuestionTrigger`; the subclass sets the three values below.

    Silence reaches `execute_complete` as the error `timeout`, a migration that is over as `over`.
    """

    place: Place
    clock: Callable[[], float]
    response_timeout: timedelta
    settle_seconds: float = SETTLE_SECONDS

    def ask(self, context: Any, migration_id: str) -> Any:
        """Ask, and wait for the answer as long as there is something to answer."""
        try:
            return super().execute(context)
        except TaskAwaitingInput as parked:
            raise self._waiting(context, migration_id, parked.method_name) from None

    def require_wanted(self, state: MigrationState) -> None:
        """Fail for good where the migration is over: a retry would only ask again."""
        if is_over(state):
            raise AirflowFailException(f"nothing is asked any more: {end_of(state)}")

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any
    ) -> Any:
        """Go on after the wait; one that no triggerer has ended in time is silence."""
        if (next_kwargs or {}).get("error") == TriggerFailureReason.TRIGGER_TIMEOUT:
            silent = {"error": "no triggerer has ended the wait", "error_type": TIMEOUT}
            return self.execute_complete(context, silent)
        return super().resume_execution(next_method, next_kwargs, context)

    def listening(self, context: Any, migration_id: str, method_name: str) -> TaskDeferred:
        """Return what lets `method_name` have the answer to an earlier try, or `unanswered`.

        A task cannot read it, a trigger can; and to ask at once would throw it away.
        """
        return self._waiting(context, migration_id, method_name, once=True)

    def _waiting(
        self, context: Any, migration_id: str, method_name: str, *, once: bool = False
    ) -> TaskDeferred:
        trigger = QuestionTrigger(
            place=self.place,
            migration_id=migration_id,
            ti_id=str(context["ti"].id),
            until_unix=self.clock() + self.response_timeout.total_seconds(),
            once=once,
            settle_seconds=self.settle_seconds,
        )
        return TaskDeferred(
            trigger=trigger, method_name=method_name, timeout=self.response_timeout + SLACK
        )
