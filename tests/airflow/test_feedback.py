"""Consumers are asked after the migration; what they say, or that nobody did, is in the report."""

import threading
from typing import Any

import pytest
import yaml

from feed_migration import cutover
from feed_migration.feedback import Feedback, feedback_of, summary
from feed_migration.orchestration.place import current_place
from tests.airflow.conftest import Stage
from tests.airflow.half_way import context_of
from tests.support.migration_plans import gate

EVERY_STEP = ("dry_run", "shadow", "cutover-50", "cutover-100", "stabilisation", "post_migration")


@pytest.fixture
def question(stage: Stage) -> Any:
    from feed_migration.orchestration.feedback_operator import FeedbackOperator

    return FeedbackOperator(task_id="feedback_risk", place=current_place(), consumer="risk")


def answer(user: str | None = "rita", **given: object) -> dict[str, Any]:
    from airflow.sdk.timezone import utcnow

    return {
        "chosen_options": ["OK"],
        "params_input": given,
        "responded_at": utcnow(),
        "responded_by_user": {"id": "7", "name": user} if user else None,
    }


def said(stage: Stage) -> Feedback:
    (word,) = feedback_of(stage.journal.events())
    return word


def test_an_answer_is_kept_under_the_name_of_who_gave_it(stage, context, question):
    """The report says who was not content, and why."""
    question.execute_complete(context, answer(healthy=False, remark="stale books at noon"))
    word = said(stage)
    assert (word.consumer, word.healthy, word.by) == ("risk", False, "rita")
    assert "stale books at noon" in summary([word])


def test_silence_is_kept_as_no_answer_and_fails_nothing(stage, context, question):
    """Airflow answers with the default once the time is over; that is nobody's word."""
    assert question.execute_complete(context, answer(user=None)) == "risk: no answer"
    assert said(stage).healthy is None


@pytest.mark.parametrize("given", [{}, {"healthy": "perhaps"}, {"healthy": 1, "remark": ["x"]}])
def test_an_answer_that_makes_no_sense_is_kept_as_a_remark(stage, context, question, given):
    """Airflow's API checks no types; a consumer's script must not fail the last task."""
    question.execute_complete(context, answer(**given))
    word = said(stage)
    assert word.healthy is None
    assert "unreadable" in word.remark


def test_the_question_has_typed_fields_and_ends_by_itself(question):
    """A tick and a remark; with a default, so that the time-out succeeds."""
    schema = {name: question.params.get_param(name).schema for name in question.params}
    assert schema["healthy"]["type"] == "boolean"
    assert schema["remark"]["maxLength"] == 2000
    assert question.response_timeout is not None
    assert question.defaults == ["OK"]


def prove_all(stage: Stage) -> None:
    """A fleet on native, every gate of its migration passed."""
    plan, journal = current_place().plan(), stage.journal
    migration_id = journal.begin_migration(plan.name, plan.sha256, "ann", steps=plan.steps)
    for step in plan.steps:
        if step.phase == "post_migration":
            return
        cutover.advance(step, plan, stage.fleet, journal, migration_id, "ann")
        if step.gate is not None:
            gate(journal, migration_id, step.name)
        cutover.promote(step, plan, journal, migration_id, "ann")


@pytest.mark.parametrize("steps", [EVERY_STEP, ("post_migration",)], ids=["all", "last phase"])
def test_a_run_that_is_marked_failed_while_consumers_are_asked_takes_nothing_back(
    stage: Stage, steps: tuple[str, ...]
):
    """Its tasks fail as where no report could be written; the proven fleet stays, the verdict is red.

    It names what would take the fleet back.
    """
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from feed_migration.orchestration.rollback_operators import RevertOperator, VerdictOperator

    prove_all(stage)
    marked = {"post_migration.feedback_risk": "failed", "post_migration.report": "skipped"}
    context = context_of(stage.journal.latest_migration() or "", **marked)
    at = {"place": current_place(), "steps": steps}
    with pytest.raises(AirflowSkipException, match="proven"):
        RevertOperator(task_id="revert", **at).execute(context)
    assert stage.natives == stage.fleet.names
    with pytest.raises(AirflowFailException, match=r"still on native: .*run backpack_rollback"):
        VerdictOperator(task_id="verdict", **at).execute(context)


def test_consumers_are_asked_before_the_report_which_has_their_words(
    stage: Stage, api, triggerer_channel
):
    """A whole run of the last phase, answered through Airflow's API."""
    path = stage.home / "deployment.yaml"
    document = yaml.safe_load(path.read_text()) | {"consumers": ["risk", "execution"]}
    path.write_text(yaml.safe_dump(document))
    prove_all(stage)
    words = {
        "feedback_risk": {"healthy": True, "remark": ""},
        "feedback_execution": {"healthy": False, "remark": "late fills"},
    }
    failures: list[str] = []
    over = threading.Event()

    def answering() -> None:
        while words and not over.wait(0.2):
            reply = api.get(
                "/api/v2/dags/~/dagRuns/~/hitlDetails", params={"response_received": "false"}
            )
            for waiting in reply.json()["hitl_details"]:
                task = waiting["task_instance"]
                name = task["task_id"].rpartition(".")[2]
                if name not in words:
                    continue
                url = (
                    f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
                    f"/taskInstances/{task['task_id']}/-1/hitlDetails"
                )
                body = {"chosen_options": ["OK"], "params_input": words.pop(name)}
                done = api.patch(url, json=body)
                if done.status_code != 200:
                    failures.append(done.text)

    thread = threading.Thread(target=answering, daemon=True)
    thread.start()
    try:
        assert stage.run("backpack_post_migration") == "success"
    finally:
        over.set()
        thread.join(10)
    assert failures == []
    migration_id = stage.journal.latest_migration()
    report = (stage.home / "docs" / "migrations" / f"{migration_id}.md").read_text()
    section = report.partition("## Feedback of consumers")[2]
    assert section.index("late fills") < section.index("risk")
    assert "NOT healthy" in section
    assert (stage.home / f"docs/migrations/{migration_id}-ccxt-removal.patch").is_file()
