"""A question to one consumer of the feed, which nobody has to answer."""

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import HITLEntryOperator
from airflow.sdk import Param

from feed_migration.feedback import MAX_REMARK, Feedback
from feed_migration.notices.overtaken import FEEDBACK_ASKED
from feed_migration.orchestration.act_operators import migration_of
from feed_migration.orchestration.actor import actor_of, run_key
from feed_migration.orchestration.asking import Asking
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.question_trigger import OVER
from feed_migration.orchestration.runtime import open_runtime
from feed_migration.orchestration.telling import QUESTION_SECONDS, TellNotifier

PATIENCE = timedelta(hours=24)
NOBODY = "timeout"


class FeedbackOperator(Asking, HITLEntryOperator):
    """Ask whether `consumer` is served well; the journal keeps the answer, or that none came.

    It never fails for what is answered: a word that makes no sense is kept as a remark. It fails
    for good where the migration is over, of which there is nothing to ask any more.
    """

    def __init__(
        self,
        *,
        place: Place,
        consumer: str,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
        **kwargs: Any,
    ) -> None:
        # those of the DAG's form, which Airflow hands down; the question has its own
        kwargs.pop("params", None)
        super().__init__(
            subject=f"Is {consumer} served well by the native Backpack feed?",
            body=(
                "Compare prices, volumes, fills and latencies with the days before. The answer "
                f"stands in the migration's report. After {PATIENCE.total_seconds() / 3600:.0f} "
                "hours this is closed as *no answer*; nothing waits for it any longer."
            ),
            params={
                "healthy": Param(
                    True,
                    type="boolean",
                    title="All is well",
                    description="Untick it if anything is wrong, and say what below.",
                ),
                "remark": Param(
                    "",
                    # a plain string would have to be filled in
                    type=["null", "string"],
                    format="multiline",
                    title="Remark",
                    description="What you have seen; may be left empty. It stands in the report.",
                    maxLength=MAX_REMARK,
                ),
            },
            response_timeout=PATIENCE,
            notifiers=[TellNotifier(place, QUESTION_SECONDS)],
            **kwargs,
        )
        self.place, self.consumer, self.clock = place, consumer, clock

    def execute(self, context: Any) -> Any:
        """Ask; that somebody is asked is kept, so that it is told."""
        dag_run = context["dag_run"]
        body = {
            "note": FEEDBACK_ASKED,
            "id": f"{self.consumer}/{run_key(context)}",
            "consumer": self.consumer,
            "until": self.clock() + PATIENCE.total_seconds(),
            "dag_id": dag_run.dag_id,
            "run_id": dag_run.run_id,
            "task_id": self.task_id,
        }
        journal, migration_id = open_runtime(self.place).journal, migration_of(context)
        self.require_wanted(journal.state(migration_id))
        journal.note(migration_id, actor_of(context), body, once="id")
        return self.ask(context, migration_id)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> str:
        """Journal the answer under the name of who gave it; returns it in words."""
        journal, migration_id = open_runtime(self.place).journal, migration_of(context)
        if event.get("error_type") == OVER:
            self.require_wanted(journal.state(migration_id))
        word, actor = self._word(event)
        journal.append("audit_note", migration_id=migration_id, actor=actor, body=word.to_body())
        return f"{self.consumer}: {word.verdict}"

    def _word(self, event: Mapping[str, Any]) -> tuple[Feedback, str]:
        user = event.get("responded_by_user")
        name = user.get("name") if isinstance(user, Mapping) else getattr(user, "name", None)
        if "error" in event or not name:
            # Airflow answers with the defaults once the time is over
            return Feedback(consumer=self.consumer, healthy=None), NOBODY
        given = event.get("params_input") or {}
        healthy, remark = given.get("healthy"), given.get("remark")
        if not isinstance(healthy, bool):
            healthy, remark = None, f"unreadable answer {given!r}"[:MAX_REMARK]
        return (
            Feedback(consumer=self.consumer, healthy=healthy, remark=str(remark or "")),
            str(name),
        )
