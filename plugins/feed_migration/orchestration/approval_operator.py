"""A person's word before a step, asked with the evidence in view and kept in the journal."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.exceptions import HITLRejectException, HITLTimeoutError
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from feed_migration.addresses import addresses_of
from feed_migration.denial import NOBODY, UNANSWERED, silence
from feed_migration.evidence import approval_body, verdict_line
from feed_migration.holding import MAX_REASON
from feed_migration.lease import HANDOVER_SECONDS, approval_holder
from feed_migration.model import Measurement, Step
from feed_migration.notices.overtaken import APPROVAL_ASKED
from feed_migration.orchestration.act_operators import BEGIN, migration_of
from feed_migration.orchestration.actor import actor_of, run_key
from feed_migration.orchestration.asking import Asking
from feed_migration.orchestration.journal_patience import JournalPatience
from feed_migration.orchestration.kept_answer import answered_at, is_recorded
from feed_migration.orchestration.place import Place
from feed_migration.orchestration.question_trigger import TIMEOUT
from feed_migration.orchestration.refusing import refusals_noted
from feed_migration.orchestration.runtime import Runtime, open_runtime
from feed_migration.orchestration.telling import QUESTION_SECONDS, TellNotifier

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

REASON = "reason"


class StepApprovalOperator(Asking, ApprovalOperator):
    """Wait for Approve; Reject and silence both fail for good, which takes the fleet back.

    So does a way back that was begun elsewhere: nobody is asked then, and no answer counts.

    Only the step's approvers may answer, if it names any: an administrator may not.

    Question and Yes wait for a journal that is away; a No takes the fleet back without it.
    """

    journal_patience = JournalPatience()

    def __init__(
        self,
        *,
        place: Place,
        step: Step,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
        **kwargs: Any,
    ) -> None:
        # those of the DAG's form, which Airflow hands down; the question has its own
        kwargs.pop("params", None)
        super().__init__(
            params={REASON: _reason_param()},
            subject=f"Start {step.name} of the Backpack feed migration?",
            fail_on_reject=True,
            response_timeout=timedelta(seconds=step.approval_timeout_seconds),
            assigned_users=[{"id": one.id, "name": one.name} for one in step.approvers] or None,
            # told within seconds or by the next task; what fails there must not fail the question
            notifiers=[TellNotifier(place, QUESTION_SECONDS)],
            **kwargs,
        )
        self.place, self.step, self.clock = place, step, clock

    def execute(self, context: Any) -> Any:
        """Ask, unless the step is approved or promoted in the journal already."""
        with refusals_noted(self.place, context, begun_by=BEGIN, step=self.step.name):
            migration_id = migration_of(context)
        return self.journal_patience.outlast(context, lambda: self._asked(context, migration_id))

    def _asked(self, context: Any, migration_id: str) -> Any:
        runtime = open_runtime(self.place)
        state = runtime.journal.state(migration_id)
        if self.step.name in {*state.approved, *state.promoted}:
            return f"{self.step.name} is approved already"
        self.require_wanted(state)
        until = self.clock() + self.step.approval_timeout_seconds
        # what is exposed may wait for the person as long as the person may take
        self._renew(
            runtime.journal, migration_id, self.step.approval_timeout_seconds + HANDOVER_SECONDS
        )
        if not self._note(runtime.journal, migration_id, context, until):
            raise self.listening(context, migration_id, "ask_again")
        self.body = self._evidence(runtime, migration_id, until)
        return self.ask(context, migration_id)

    def ask_again(self, context: Any, event: dict[str, Any]) -> Any:
        """Take the answer that an earlier try was given and never got; ask where there is none."""
        return self._outlast(context, event, self._asked_again)

    def _asked_again(self, context: Any, event: dict[str, Any]) -> Any:
        runtime, migration_id = open_runtime(self.place), migration_of(context)
        self.require_wanted(runtime.journal.state(migration_id))
        approvals = runtime.journal.events(migration_id, "approval")
        if "error" not in event and not is_recorded(event, self.step.name, approvals):
            self.log.info("answered already, as Airflow keeps it")
            return self._completed(context, event)
        until = self.clock() + self.step.approval_timeout_seconds
        self.body = self._evidence(runtime, migration_id, until)
        return self.ask(context, migration_id)

    def execute_complete(self, context: Any, event: dict[str, Any]) -> Any:
        """Journal the answer under the name of the person who gave it, or that none came."""
        return self._outlast(context, event, self._completed)

    def _outlast(
        self, context: Any, event: dict[str, Any], act: Callable[[Any, dict[str, Any]], Any]
    ) -> Any:
        if _is_no(event):
            return self.journal_patience.hurried(lambda: act(context, event))
        return self.journal_patience.outlast(context, lambda: act(context, event))

    def _completed(self, context: Any, event: dict[str, Any]) -> Any:
        self.require_wanted(open_runtime(self.place).journal.state(migration_of(context)))
        if "error" not in event:
            option = str(event["chosen_options"][0])
            told = {"reason": _reason(event), "answered_at": answered_at(event)}
            self._record(context, option, actor=_person(event), told=told)
            # it is kept as it came: whatever is odd about it, the answer counts
            event = {**event, "params_input": {}}
        elif event.get("error_type") == TIMEOUT:
            reason = silence(self.step.approval_timeout_seconds)
            self._record(context, UNANSWERED, actor=NOBODY, told={"reason": reason})
        try:
            return super().execute_complete(context, event)
        except (HITLRejectException, HITLTimeoutError) as error:
            # a retry would only ask again
            raise AirflowFailException(f"{self.step.name} was not approved: {error}") from error

    def _evidence(self, runtime: Runtime, migration_id: str, until: float) -> str:
        journal = runtime.journal
        verdict, measured = _last_gate(journal, migration_id)
        return approval_body(
            self.step,
            journal.state(migration_id),
            verdict,
            measured,
            addresses_of(runtime.deployment),
            until_unix=until,
        )

    def _note(
        self, journal: "Journal", migration_id: str, context: Mapping[str, Any], until: float
    ) -> bool:
        """Keep that somebody is asked; once per attempt at the DAG run, whatever a retry does.

        Returns whether it was the first time.
        """
        dag_run = context["dag_run"]
        verdict, measured = _last_gate(journal, migration_id)
        body = {
            "note": APPROVAL_ASKED,
            "id": f"{self.step.name}/{run_key(context)}",
            "step": self.step.name,
            "until": until,
            "approvers": [one.name for one in self.step.approvers],
            "summary": verdict_line(verdict, measured) if verdict else "No gate has run yet.",
            "dag_id": dag_run.dag_id,
            "run_id": dag_run.run_id,
            "task_id": self.task_id,
        }
        return journal.note(migration_id, actor_of(context), body, once="id")

    def _renew(self, journal: "Journal", migration_id: str, seconds: float) -> None:
        journal.renew_lease(migration_id, holder=approval_holder(self.step.name), seconds=seconds)

    def _record(self, context: Any, decision: str, *, actor: str, told: Mapping[str, str]) -> None:
        journal, migration_id = open_runtime(self.place).journal, migration_of(context)
        # the wait is over, and so is its lease
        self._renew(journal, migration_id, HANDOVER_SECONDS)
        body = {"step": self.step.name, "decision": decision, **told}
        journal.append("approval", migration_id=migration_id, actor=actor, body=body)


def _reason_param() -> Param:
    return Param(
        "",
        # a plain string would have to be filled in, and a multi-line field hides the buttons
        type=["null", "string"],
        title="Reason",
        description="May be left empty. The audit log keeps it beside your name.",
        maxLength=MAX_REASON,
    )


def _is_no(event: Mapping[str, Any]) -> bool:
    """Whether a person has rejected the step, or nobody has answered in time."""
    if "error" in event:
        return event.get("error_type") == TIMEOUT
    return list(event["chosen_options"]) != [ApprovalOperator.APPROVE]


def _reason(event: Mapping[str, Any]) -> str:
    given = event.get("params_input")
    said = given.get(REASON) if isinstance(given, Mapping) else None
    return str(said or "")[:MAX_REASON]


def _person(event: Mapping[str, Any]) -> str:
    user = event.get("responded_by_user") or {}
    name = user.get("name") if isinstance(user, dict) else getattr(user, "name", None)
    return str(name or "unknown")


def _last_gate(
    journal: "Journal", migration_id: str
) -> tuple[Mapping[str, Any] | None, Sequence[Measurement]]:
    """Return the body of the last verdict and what its run has measured."""
    verdicts = journal.events(migration_id, "verdict")
    if not verdicts:
        return None, ()
    last = verdicts[-1].body
    run = str(last.get("run", "1"))
    return last, journal.measurements(migration_id, str(last.get("step", "")), run)
