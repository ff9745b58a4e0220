"""Which of Airflow's questions to people are approvals of the migration under way."""

from collections.abc import Mapping, Sequence
from typing import Any

from feed_migration.airflow_api import AirflowApi
from feed_migration.deployment import Deployment
from feed_migration.driving import asks_for
from feed_migration.errors import JournalUnavailable, Refused
from feed_migration.journal.store import Journal

# What a question may be late by because of a journal that is locked
LOCK_WAIT_SECONDS = 2.0
APPROVE = "Approve"
type Question = Mapping[str, Any]


def pending_approvals(airflow: AirflowApi, deployment: Deployment) -> list[Question]:
    """Return the approvals that the migration under way waits for.

    A journal that does not answer hides none of them.
    """
    return _of_migration([one for one in airflow.questions() if is_approval(one)], deployment)


def the_one(airflow: AirflowApi, deployment: Deployment, task: str | None) -> Question:
    """Return the approval that is meant, of task `task` if that is given; it is never guessed."""
    asked = airflow.questions()
    approvals = _of_migration([one for one in asked if is_approval(one)], deployment)
    waiting = [one for one in approvals if task in {None, one["task_id"]}]
    if len(waiting) == 1:
        return waiting[0]
    names = ", ".join(str(one["task_id"]) for one in waiting)
    if names:
        raise Refused(f"{len(waiting)} approvals wait ({names})", "choose one with --task")
    others = ", ".join(str(one["task_id"]) for one in asked if not is_approval(one))
    if others:
        raise Refused(
            f"0 approvals wait, and feedback is asked for ({others})",
            "give that under Required Actions in Airflow",
        )
    raise Refused("0 approvals wait", "see `backpack-migrate status`")


def is_approval(question: Question) -> bool:
    """Whether a Yes lets a step begin; consumers are asked for feedback, which is another thing."""
    return APPROVE in question["options"]


def _of_migration(questions: Sequence[Question], deployment: Deployment) -> list[Question]:
    try:
        journal = Journal(
            deployment.journal_url, home=deployment.home, lock_wait_seconds=LOCK_WAIT_SECONDS
        )
        return [
            one for one in questions if asks_for(journal, str(one["dag_id"]), one["dag_run_id"])
        ]
    except JournalUnavailable:
        return list(questions)
