"""Airflow's listener: brings human acts on a DAG run of ours into the journal.

It runs in the api-server, when a state is set by hand, and in the scheduler, when a run begins
(again, after a clear) or ends. Whatever fails here is logged: Airflow must go on, and the next
call makes up for it, since the rows stay in Airflow's audit log.
"""

# ruff: noqa: PLC0415 - every Airflow process loads this; only those that act pay for the imports

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import current_place

if TYPE_CHECKING:
    from feed_migration.orchestration.human_acts import HumanAct

LOG = logging.getLogger(__name__)
OURS = "backpack_"
# The scheduler waits with us
LOCK_WAIT_SECONDS = 1.0


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """A task was marked success by hand; one that succeeded had a state before."""
    if previous_state is None:
        _reconcile(task_instance)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """A task was marked failed by hand."""
    del error
    if previous_state is None:
        _reconcile(task_instance)


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    """A run begins, perhaps again because somebody cleared tasks."""
    del msg
    _reconcile(dag_run)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """A run is over, by itself or by hand."""
    del msg
    _reconcile(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """A run is over, by itself or by hand."""
    del msg
    _reconcile(dag_run)


def _reconcile(row: Any) -> None:
    """Note every act on the DAG run of `row`, a task instance or DAG run of Airflow's ORM."""
    try:
        if str(row.dag_id).startswith(OURS) and (acts := list(_acts(row))):
            from feed_migration.deployment import load_deployment
            from feed_migration.journal.store import Journal
            from feed_migration.orchestration.human_acts import note_acts

            # without the environment: a wrong PROMETHEUS_URL is no reason to forget who acted
            deployment = load_deployment(current_place().home, {})
            journal = Journal(
                deployment.journal_url,
                home=deployment.home,
                lock_wait_seconds=LOCK_WAIT_SECONDS,
                signer=signer_of_connection(),
            )
            note_acts(journal, acts)
    except Exception:
        LOG.exception("human acts on %s are not in the journal yet", getattr(row, "dag_id", row))


def _acts(row: Any) -> Iterator["HumanAct"]:
    """Yield the acts that Airflow has logged, those of the request that is being served too."""
    import sqlalchemy as sa
    from airflow.models.log import Log
    from sqlalchemy.orm import object_session

    from feed_migration.orchestration.human_acts import ACTS

    # a worker's task instance belongs to no session: there, nobody acts by hand
    session = object_session(row) if hasattr(row, "_sa_instance_state") else None
    if session is None:
        return
    query = (
        sa.select(Log)
        .where(Log.event.in_(ACTS))
        .where(
            sa.or_(
                sa.and_(Log.dag_id == row.dag_id, Log.run_id == row.run_id),
                # a bulk request names its runs in its body alone
                Log.extra.contains(row.run_id, autoescape=True),
            )
        )
        .order_by(Log.id)
    )
    with session.no_autoflush:
        logged = list(session.scalars(query))
    waiting = [entry for entry in session.new if isinstance(entry, Log) and entry.event in ACTS]
    for entry in (*logged, *waiting):
        yield _act(entry, row)


def _act(entry: Any, row: Any) -> "HumanAct":
    from feed_migration.orchestration.human_acts import HumanAct

    return HumanAct(
        act=entry.event,
        at=entry.dttm.timestamp(),
        user=entry.owner or "",
        dag_id=row.dag_id,
        run_id=row.run_id,
        task_id=entry.task_id or "",
        details=entry.extra or "",
    )
