"""The acts behind the buttons, by Airflow's own functions, in the session of the request.

They are what Airflow's REST routes call after their checks; the routes of the console make the same
checks (`requires_access_dag`) and the same entries in Airflow's audit log (`action_logging`). So a
user may do here what the same user may do there, and it is recorded as if it had been done there.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from airflow.api_fastapi.common.dagbag import create_dag_bag
from airflow.api_fastapi.core_api.datamodels.dag_run import TriggerDAGRunPostBody
from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
from airflow.api_fastapi.core_api.routes.public.dag_run import trigger_dag_run
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import State
from fastapi import HTTPException, Request, status

from feed_migration.console.view import GateRunFacts
from feed_migration.dag_run import OVER
from feed_migration.errors import Refused

ROLLBACK_DAG = "backpack_rollback"
REASON = "reason"
MAX_NOTE = 1000


def answer(
    user: Any,
    session: Any,
    *,
    dag_id: str,
    run_id: str,
    task_id: str,
    map_index: int,
    option: str,
    reason: str = "",
) -> None:
    """Answer an approval, and why if it asks that; Airflow raises 404 or 409 (answered).

    Raises 403 with the names of those who may where this user may not, and Refused where its task
    has ended, as with its migration: Airflow would keep the answer and do nothing with it.
    """
    _require_asked(session, dag_id, run_id, task_id, map_index)
    task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    said = {REASON: reason} if reason and _fields(session, task) == [REASON] else {}
    payload = UpdateHITLDetailPayload(chosen_options=[option], params_input=said)
    try:
        update_hitl_detail(dag_id, run_id, task_id, payload, user, session, map_index)
    except HTTPException as error:
        if error.status_code != status.HTTP_403_FORBIDDEN:
            raise
        names = " or ".join(_respondents(session, task))
        raise HTTPException(
            status.HTTP_403_FORBIDDEN,
            f"{user.get_name()} may not answer this, only {names} may, whatever the role in "
            "Airflow: ask one of them",
        ) from error


def _fields(session: Any, task: Mapping[str, Any]) -> list[str]:
    """Return the fields of a task's question; that of an older release has none."""
    return list(_of_question(session, task, HITLDetail.params) or ())


def _respondents(session: Any, task: Mapping[str, Any]) -> list[str]:
    """Return the names of those who alone may answer a task's question."""
    return [str(one["name"]) for one in _of_question(session, task, HITLDetail.assignees) or ()]


def _of_question(session: Any, task: Mapping[str, Any], column: Any) -> Any:
    asked = sa.select(column).join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
    return session.scalar(asked.filter_by(**task))


def roll_back(user: Any, session: Any, request: Request, reason: str) -> str:
    """Ask for a run of the DAG of the way back as `user`; return its id.

    Raises Refused where the DAG is paused: its run would wait, and nobody would see why.
    """
    _require_unpaused(session, ROLLBACK_DAG, "or run `backpack-migrate rollback` at a shell")
    # the dialog was the tick in the box of Airflow's own form
    conf = {"reason": reason, "confirm": True}
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf, note=reason)
    run = trigger_dag_run(ROLLBACK_DAG, body, dag_bag(), user, session, request)
    return str(run.run_id)


def resume(user: Any, session: Any, gate: GateRunFacts, reason: str = "") -> list[str]:
    """Clear the gate of a held step and what follows it; return the ids of the cleared tasks.

    A `reason` becomes their note. Raises Refused while the DAG run of the hold still ends: its way
    back would find the hold gone and nothing proven, and take the fleet back.
    """
    _require_unpaused(session, gate.dag_id, "or nothing of it would run")
    wanted = sa.select(DagRun.state).where(
        DagRun.dag_id == gate.dag_id, DagRun.run_id == gate.run_id
    )
    state = session.scalar(wanted)
    if state is not None and state not in OVER:
        raise Refused(
            f"the DAG run of the hold is still {state}", "it ends within seconds: wait, then repeat"
        )
    body = ClearTaskInstancesBody(
        dry_run=False,
        dag_run_id=gate.run_id,
        task_ids=[f"{gate.step.replace('-', '_')}.gate"],
        include_downstream=True,
        only_failed=False,
        prevent_running_task=True,
        note=f"resumed by {user.get_name()}: {reason}"[:MAX_NOTE] if reason else None,
    )
    cleared = post_clear_task_instances(gate.dag_id, dag_bag(), body, session, user)
    return [task.task_id for task in cleared.task_instances]


def _require_asked(session: Any, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    wanted = sa.select(TaskInstance.state).filter_by(
        dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index
    )
    if session.scalar(wanted) in State.finished:
        raise Refused("nobody is asked any more", "look again: its task has ended")


def _require_unpaused(session: Any, dag_id: str, otherwise: str) -> None:
    model = session.get(DagModel, dag_id)
    if model is not None and model.is_paused:
        raise Refused(f"{dag_id} is paused in Airflow", f"unpause it, {otherwise}")


@cache
def dag_bag() -> Any:
    """Return the serialised DAGs; the api-server's own belongs to its root application."""
    return create_dag_bag()
