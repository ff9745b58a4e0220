"""A person's word before a step, asked with the evidence in view and kept in the journal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import AirflowFailException

from feed_migration.gate_record import explain
from feed_migration.lease import HANDOVER_SECONDS, PERSON_SECONDS, approval_holder
from feed_migration.orchestration.act_operators import BEGIN, migration_of
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.refusing import refusals_noted
from feed_migration.orchestration.runtime import open_runtime

if TYPE_CHECKING:
    from feed_migration.journal import Journal


class StepApprovalOperator(ApprovalOperator):
    """Wait for Approve; Reject and silence both fail for good, which takes the fleet back."""

    def __init__(self, *, place: Place, step: str, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Start {step} of the Backpack feed migration?", fail_on_reject=True, **kwargs
        )
        self.place, self.step = place, step

    def execute(self, context: Any) -> Any:
        """Ask, unless the step is approved or promoted in the journal already."""
        with refusals_noted(self.place, context, begun_by=BEGIN, step=self.step):
            migration_id = migration_of(context)
        journal = open_runtime(self.place).journal
        state = journal.state(migration_id)
        if self.step in {*state.approved, *state.promoted}:
            return f"{self.step} is approved already"
        self.body = evidence(journal, migration_id)
        # what is exposed may wait for the person as long as the person may take
        limit = self.response_timeout.total_seconds() if self.response_timeout else PERSON_SECONDS
        seconds = limit + HANDOVER_SECONDS
        holder = approval_holder(self.step)
        journal.renew_lease(migration_id, holder=holder, seconds=seconds)
        return super().execute(context)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Journal the answer under the name of the person who gave it."""
        if "error" not in event:
            self._record(context, event)
        try:
            return super().execute_complete(context, event)
        except (HITLRejectException, HITLTimeoutError) as error:
            # a retry would only ask again
            raise AirflowFailException(f"{self.step} was not approved: {error}") from error

    def _record(self, context: Any, event: Mapping[str, Any]) -> None:
        journal, migration_id = open_runtime(self.place).journal, migration_of(context)
        # the wait is over, and so is its lease
        holder = approval_holder(self.step)
        journal.renew_lease(migration_id, holder=holder, seconds=HANDOVER_SECONDS)
        user = event.get("responded_by_user") or {}
        name = user.get("name") if isinstance(user, dict) else getattr(user, "name", None)
        journal.append(
            "approval",
            migration_id=migration_id,
            actor=str(name or "unknown"),
            body={"step": self.step, "decision": event["chosen_options"][0], "reason": ""},
        )


def evidence(journal: "Journal", migration_id: str) -> str:
    """Return what speaks for the next step, as Markdown."""
    state = journal.state(migration_id)
    verdicts = journal.events(migration_id=migration_id, kind="verdict")
    lines = [f"* **{event.body['step']}**: {explain(dict(event.body))}" for event in verdicts]
    return "\n".join(
        [
            f"Migration `{migration_id}`, plan `{state.plan_name}`.",
            "",
            f"Promoted: {', '.join(state.promoted) or 'nothing yet'}.",
            f"On native: {len(state.exposed)} instances.",
            "",
            *(lines or ["No gate has run yet."]),
        ]
    )
