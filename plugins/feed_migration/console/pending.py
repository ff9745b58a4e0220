"""Approvals that nobody has answered, out of Airflow's database."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import timezone
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState

from feed_migration.console.view import PendingApproval

DAG_PREFIX = "backpack_"
# An answer that comes while the task still parks fails it ("executor reported success, but the
# state is queued"): such an approval is shown once it has settled
SETTLE = timedelta(seconds=3)
_WAITING = (TaskInstanceState.AWAITING_INPUT, TaskInstanceState.DEFERRED)


def pending_approvals() -> Sequence[PendingApproval]:
    """Return the approvals of our DAGs that wait for a person, the longest wait first."""
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
            )
            for asked, task in session.execute(query)
        ]
