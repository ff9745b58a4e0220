"""The acts behind the buttons, by Airflow's own functions, in the session of the request.

They are what Airflow's REST routes call after their checks; the routes of the console make the same
checks (`requires_access_dag`) and the same entries in Airflow's audit log (`action_logging`). So a
user may do here what the same user may do there, and it is recorded as if it had been done there.
"""

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
from airflow.utils.state import DagRunState
from fastapi import Request

from feed_migration.console.view import GateRunFacts
from feed_migration.errors import Refused

ROLLBACK_DAG = "backpack_rollback"
OVER = frozenset({DagRunState.SUCCESS, DagRunState.FAILED})


def answer(
    user: Any, session: Any, *, dag_id: str, run_id: str, task_id: str, map_index: int, option: str
) -> None:
    """Answer an approval; Airflow raises 403, 404 or 409 (answered already)."""
    update_hitl_detail(
        dag_id,
        run_id,
        task_id,
        UpdateHITLDetailPayload(chosen_options=[option], params_input={}),
        user,
        session,
        map_index,
    )


def roll_back(user: Any, session: Any, request: Request, reason: str) -> str:
    """Start the DAG of the way back as `user`; return the id of its run.

    Raises Refused where the DAG is paused: its run would wait, and nobody would see why.
    """
    _require_unpaused(session, ROLLBACK_DAG, "or run `backpack-migrate rollback` at a shell")
    # the dialog was the tick in the box of Airflow's own form
    conf = {"reason": reason, "confirm": True}
    body = TriggerDAGRunPostBody(logical_date=None, conf=conf, note=reason)
    run = trigger_dag_run(ROLLBACK_DAG, body, dag_bag(), user, session, request)
    return str(run.run_id)


def resume(user: Any, session: Any, gate: GateRunFacts) -> list[str]:
    """Clear the gate of a held step and what follows it; return the ids of the cleared tasks.

    Raises Refused while the DAG run of the hold still ends: its way back would find the hold gone
    and nothing proven, and take the fleet back.
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
    )
    cleared = post_clear_task_instances(gate.dag_id, dag_bag(), body, session, user)
    return [task.task_id for task in cleared.task_instances]


def _require_unpaused(session: Any, dag_id: str, otherwise: str) -> None:
    model = session.get(DagModel, dag_id)
    if model is not None and model.is_paused:
        raise Refused(f"{dag_id} is paused in Airflow", f"unpause it, {otherwise}")


@cache
def dag_bag() -> Any:
    """Return the serialised DAGs; the api-server's own belongs to its root application."""
    return create_dag_bag()
