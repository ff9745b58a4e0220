"""What the console shows of Airflow, out of its database.

Questions that nobody has answered, how a DAG run stands, since when scheduler and triggerer are
not heard.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import TriggererJobRunner
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import timezone
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState

from feed_migration.console.told import Silence
from feed_migration.console.view import PendingApproval
from feed_migration.dag_run import Driver
from feed_migration.model import Approver

DAG_PREFIX = "backpack_"
# An answer that comes while the task still parks fails it ("executor reported success, but the
# state is queued"): such an approval is shown once it has settled
SETTLE = timedelta(seconds=3)
APPROVE = "Approve"
_WAITING = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)


def pending_approvals() -> Sequence[PendingApproval]:
    """Return what our DAGs ask and wait for, the longest wait first; feedback is marked as such."""
    query = (
        sa.select(HITLDetail, TaskInstance)
        .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
        .where(
            HITLDetail.responded_at.is_(None),
            HITLDetail.created_at < timezone.utcnow() - SETTLE,
            TaskInstance.dag_id.startswith(DAG_PREFIX, autoescape=True),
            TaskInstance.state.in_(_WAITING),
        )
        .order_by(HITLDetail.created_at)
        .limit(20)
    )
    with create_session(scoped=False) as session:
        return [
            PendingApproval(
                dag_id=task.dag_id,
                run_id=task.run_id,
                task_id=task.task_id,
                map_index=task.map_index,
                subject=asked.subject or "",
                body=asked.body or "",
                asked_at=asked.created_at.timestamp() if asked.created_at else 0.0,
                may_answer=tuple(
                    Approver(id=str(one["id"]), name=str(one["name"]))
                    for one in asked.assigned_users
                ),
                is_feedback=APPROVE not in asked.options,
            )
            for asked, task in session.execute(query)
        ]


def state_of_run(run: Driver) -> str:
    """Return the state that Airflow has of a DAG run, "" where it knows none of that name."""
    wanted = sa.select(DagRun.state).filter_by(dag_id=run.dag_id, run_id=run.run_id)
    with create_session(scoped=False) as session:
        return str(session.scalar(wanted) or "")


def silences() -> tuple[Silence | None, Silence | None]:
    """Return since when Airflow's scheduler and triggerer are not heard, None while each is."""
    with create_session(scoped=False) as session:
        return scheduler_silence_in(session), _silence(TriggererJobRunner, session)


def scheduler_silence_in(session: Any) -> Silence | None:
    """Return since when the scheduler is not heard, in a session that is open."""
    return _silence(SchedulerJobRunner, session)


def _silence(runner: type[SchedulerJobRunner | TriggererJobRunner], session: Any) -> Silence | None:
    """Judge a part of Airflow as Airflow's own health does."""
    job = runner.most_recent_job(session=session)
    if job is not None and job.is_alive():
        return None
    # one that was killed is "running" for good, and a later one may have ended in order
    wanted = sa.select(sa.func.max(Job.latest_heartbeat)).filter_by(job_type=runner.job_type)
    last = session.scalar(wanted)
    return Silence(since_unix=last.timestamp() if last else None)
