"""Clears tasks of a finished run through Airflow's API, and runs what is due then."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import DAG


def newest_run(dag_id: str) -> str:
    """Return the id of the newest run of a DAG."""
    from airflow.models import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        newest = select(DagRun.run_id).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc())
        return str(session.scalars(newest).first())


def clear(api: Any, dag_id: str, run_id: str, *task_ids: str, downstream: bool = False) -> None:
    """Clear tasks as a person does in the UI; no names: the whole run."""
    body: dict[str, Any] = {
        "dry_run": False,
        "dag_run_id": run_id,
        "only_failed": False,
        "include_downstream": downstream,
    }
    if task_ids:
        body["task_ids"] = list(task_ids)
    reply = api.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)
    assert reply.status_code == 200, reply.text


def rerun(dag: "DAG", run_id: str) -> str:
    """Run the cleared tasks of `run_id` in this process and return the state of the run.

    The loop of `dag.test()`, which itself can only begin a run.
    """
    from airflow import settings
    from airflow.models import DagRun
    from airflow.sdk.definitions.dag import _run_task
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.state import DagRunState, TaskInstanceState
    from sqlalchemy import select

    session = settings.Session()
    wanted = select(DagRun).where(DagRun.dag_id == dag.dag_id, DagRun.run_id == run_id)
    run = session.scalars(wanted).one()
    run.dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    run.state = DagRunState.RUNNING
    session.commit()
    while run.state == DagRunState.RUNNING:
        session.expire_all()
        due, _ = run.update_state(session=session)
        for task in due:
            task.try_number += 1
            task.state = TaskInstanceState.SCHEDULED
        session.commit()
        for task in due:
            # what a task raises is in its state; `dag.test()` logs it, too
            with suppress(Exception):
                _run_task(ti=task, task=dag.task_dict[task.task_id], run_triggerer=True)
    return str(run.state)
