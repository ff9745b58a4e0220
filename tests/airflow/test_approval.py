"""The approval task: evidence in, a name in the journal out, and silence is no consent."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from feed_migration.lease import HANDOVER_SECONDS
from feed_migration.orchestration.place import current_place
from tests.airflow.conftest import Stage


@pytest.fixture
def approval(stage: Stage) -> Any:
    from feed_migration.orchestration.approval_operator import StepApprovalOperator

    step = replace(current_place().plan().step("cutover-50"), approval=True)
    return StepApprovalOperator(task_id="approval", place=current_place(), step=step)


def answer(option: str) -> dict[str, Any]:
    from airflow.sdk.timezone import utcnow

    user = {"id": "7", "name": "bob"}
    return {
        "chosen_options": [option],
        "params_input": {},
        "responded_at": utcnow(),
        "responded_by_user": user,
    }


def test_an_approval_is_journaled_under_the_name_of_who_gave_it(stage, context, approval):
    """The audit log says who let the step go on, not who triggered the run."""
    approval.execute_complete(context, answer("Approve"))
    (event,) = stage.journal.events(kind="approval")
    assert (event.actor, event.body["decision"]) == ("bob", "Approve")
    assert "cutover-50" in stage.journal.state(event.migration_id).approved


def test_an_answer_ends_the_lease_of_the_wait(stage, context, approval):
    """An Airflow that dies right after it must not leave a day's lease behind."""
    migration_id = context["ti"].xcom_pull(task_ids="begin")
    stage.journal.renew_lease(migration_id, holder="approval cutover-50", seconds=86400.0)
    approval.execute_complete(context, answer("Approve"))
    assert stage.journal.lease(migration_id).seconds == HANDOVER_SECONDS


def test_a_reject_fails_for_good_and_is_journaled(stage, context, approval):
    """A retry would only ask again, so there is none."""
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match="not approved"):
        approval.execute_complete(context, answer("Reject"))
    (event,) = stage.journal.events(kind="approval")
    assert event.body["decision"] == "Reject"


@pytest.mark.parametrize("given", [{"reason": "odd book"}, {"reason": "odd book", "more": 1}])
def test_the_reason_of_an_answer_is_kept_with_it(stage, context, approval, given):
    """Whatever else came with it, an answer is an answer."""
    approval.execute_complete(context, {**answer("Approve"), "params_input": given})
    (event,) = stage.journal.events(kind="approval")
    said = {name: event.body[name] for name in ("step", "decision", "reason")}
    assert said == {"step": "cutover-50", "decision": "Approve", "reason": "odd book"}


@pytest.mark.parametrize(
    "given", [None, {}, {"reason": None}, {"reason": 7}, {"reason": "x" * 9999}]
)
def test_an_odd_reason_costs_no_answer(stage, context, approval, given):
    """It would take the fleet back for the length of a text."""
    approval.execute_complete(context, {**answer("Approve"), "params_input": given})
    (event,) = stage.journal.events(kind="approval")
    assert len(event.body["reason"]) <= 2000
    assert "cutover-50" in stage.journal.state(event.migration_id).approved


def test_silence_fails_for_good_and_approves_nothing(stage, context, approval):
    """Nobody answered in time: the fleet goes back, and the journal says why."""
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException):
        approval.execute_complete(context, {"error": "timed out", "error_type": "timeout"})
    (event,) = stage.journal.events(kind="approval")
    assert (event.actor, event.body["decision"]) == ("nobody", "Unanswered")
    state = stage.journal.state(event.migration_id)
    assert state.approved == frozenset()
    assert state.denial.text == "cutover-50 was not approved: no answer within 1440 min"


def test_an_error_of_airflow_is_nobodys_answer(stage, context, approval):
    """What could not be read was not refused by anybody."""
    with pytest.raises(Exception, match="odd"):
        approval.execute_complete(context, {"error": "odd", "error_type": "unknown"})
    assert stage.journal.events(kind="approval") == []


def test_a_step_approved_before_is_not_asked_again(context, approval):
    """A rerun after a crash, or an approval by the command line, is respected."""
    approval.execute_complete(context, answer("Approve"))
    assert "approved already" in approval.execute(context)


def asking(approval, context, monkeypatch, kept=None, clear_number=0) -> Any:
    """Ask, with Airflow's side of it taken away, which keeps the answer `kept`.

    Only a triggerer can read that. Returns what the task returned, None where it asks.
    """
    import asyncio

    from airflow.providers.standard.operators import hitl
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType, TaskDeferred
    from airflow.sdk.execution_time.comms import ErrorResponse

    from feed_migration.orchestration import kept_answer

    def detail(ti_id):
        if kept is None:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.GENERIC_ERROR))
        user = kept["responded_by_user"]
        facts = {**kept, "responded_by_user": SimpleNamespace(**user) if user else None}
        return SimpleNamespace(response_received=bool(kept["chosen_options"]), **facts)

    monkeypatch.setattr(hitl.HITLOperator, "execute", lambda self, context: None)
    approval.settle_seconds = 0.0
    run = SimpleNamespace(
        dag_id="backpack_cutover",
        run_id="r1",
        clear_number=clear_number,
        triggering_user_name="ann",
    )
    context["ti"].id = "5a69"
    try:
        return approval.execute(context | {"dag_run": run})
    except TaskDeferred as deferred:
        with monkeypatch.context() as triggerer:
            triggerer.setattr(kept_answer, "get_hitl_detail_content_detail", detail)
            event = asyncio.run(anext(deferred.trigger.run()))
        return getattr(approval, deferred.method_name)(context, event.payload)


def test_the_question_shows_the_evidence_and_its_own_rules(stage, context, approval, monkeypatch):
    """Criteria with value, threshold and outcome of the last gate, links, and until when."""
    from feed_migration.model import Measurement, Outcome

    journal, migration_id = stage.journal, context["ti"].xcom_pull(task_ids="begin")
    row = Measurement(
        criterion="errors",
        tick_seconds=9.0,
        outcome=Outcome.SUCCESS,
        counts_as=Outcome.SUCCESS,
        value=0.25,
        threshold="success <= 1, failure >= 5",
        query='sum(errors{variant="native"})',
    )
    journal.record(migration_id, "shadow", [row])
    body = {"step": "shadow", "run": "1", "decision": "Promote", "at_seconds": 9.0, "reasons": []}
    journal.append("verdict", migration_id=migration_id, actor="gate", body=body)
    asking(approval, context, monkeypatch)
    text = approval.body
    assert "50 % of the fleet goes to the native feed" in text
    assert f"[errors]({stage.prometheus.url}/graph?g0.expr=sum%28errors" in text
    assert " 0.25: Success (success \\<= 1, failure \\>= 5)" in text
    assert "Promote after 9 s, 1 criterion, all Success" in text
    assert "Reject, or no answer by" in text
    assert "/plugin/backpack-migration" in text


def test_that_somebody_is_asked_is_kept_once(stage, context, approval, monkeypatch):
    """A retry of the task asks no second time in the audit log."""
    for _ in range(2):
        asking(approval, context, monkeypatch)
    notes = [event.body for event in stage.journal.events(kind="audit_note")]
    (asked,) = [note for note in notes if note["note"] == "approval_asked"]
    assert (asked["step"], asked["run_id"]) == ("cutover-50", "r1")
    assert stage.journal.lease(stage.journal.latest_migration()).seconds > 86400


def test_an_answer_that_airflow_lost_is_not_asked_for_again(stage, context, approval, monkeypatch):
    """It fails a task that is answered while it is parked; the next attempt finds the answer."""
    asking(approval, context, monkeypatch)
    given = {**answer("Approve"), "params_input": {"reason": "quick"}}
    assert asking(approval, context, monkeypatch, kept=given) is not None
    (event,) = stage.journal.events(kind="approval")
    assert (event.actor, event.body["reason"]) == ("bob", "quick")
    assert "cutover-50" in stage.journal.state(event.migration_id).approved


def test_a_no_that_airflow_lost_is_a_no(stage, context, approval, monkeypatch):
    """The fleet goes back at once, not after one more question."""
    from airflow.sdk.exceptions import AirflowFailException

    asking(approval, context, monkeypatch)
    with pytest.raises(AirflowFailException, match="not approved"):
        asking(approval, context, monkeypatch, kept=answer("Reject"))


def test_a_question_that_nobody_answered_is_asked_again(stage, context, approval, monkeypatch):
    """Its task died: an empty answer is none, and nor is a question that never reached Airflow."""
    asking(approval, context, monkeypatch)
    silent = {**answer("Approve"), "chosen_options": None, "responded_by_user": None}
    assert asking(approval, context, monkeypatch, kept=silent) is None
    assert asking(approval, context, monkeypatch) is None
    assert stage.journal.events(kind="approval") == []


def test_an_answer_of_before_is_none_to_a_question_asked_by_hand(
    stage, context, approval, monkeypatch
):
    """Who clears the task after a No wants to be asked, in the same attempt or in the next."""
    from airflow.sdk.exceptions import AirflowFailException

    asking(approval, context, monkeypatch)
    no = answer("Reject")
    with pytest.raises(AirflowFailException):
        approval.execute_complete(context, no)
    assert asking(approval, context, monkeypatch, kept=no) is None
    assert asking(approval, context, monkeypatch, kept=answer("Approve"), clear_number=1) is None
    assert len(stage.journal.events(kind="approval")) == 1


def take_back(stage: Stage, context) -> None:
    """As a shell does while somebody is asked."""
    migration_id = context["ti"].xcom_pull(task_ids="begin")
    body = {"reason": "asked for by hand", "epoch": 2, "breach_at": 1.0, "instances": {}}
    stage.journal.append("rollback_started", migration_id=migration_id, actor="bob", body=body)


def test_an_answer_after_the_way_back_does_nothing(stage, context, approval):
    """Nothing can begin any more: the journal does not say that somebody let it."""
    from airflow.sdk.exceptions import AirflowFailException

    take_back(stage, context)
    with pytest.raises(AirflowFailException, match="rolling back: asked for by hand"):
        approval.execute_complete(context, answer("Approve"))
    assert stage.journal.events(kind="approval") == []


def test_nobody_is_asked_about_what_is_taken_back(stage, context, approval, monkeypatch):
    """A retry, or a task cleared by hand, would ask for another day."""
    from airflow.sdk.exceptions import AirflowFailException

    take_back(stage, context)
    with pytest.raises(AirflowFailException, match="nothing is asked any more"):
        asking(approval, context, monkeypatch)


def test_silence_is_a_no_without_a_triggerer(stage, context, approval):
    """The scheduler ends a wait that no triggerer has ended; a retry would only ask again."""
    from airflow.models.trigger import TRIGGER_FAIL_REPR, TriggerFailureReason
    from airflow.sdk.exceptions import AirflowFailException

    overdue = {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}
    with pytest.raises(AirflowFailException, match="not approved"):
        approval.resume_execution(TRIGGER_FAIL_REPR, overdue, context)
    (event,) = stage.journal.events(kind="approval")
    assert (event.actor, event.body["decision"]) == ("nobody", "Unanswered")
