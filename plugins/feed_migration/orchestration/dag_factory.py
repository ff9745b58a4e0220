"""What the DAGs have in common: identity, parameters, and the steps of the plan each one covers."""

from typing import Any

from airflow.sdk import DAG, Param, get_parsing_context

from feed_migration.document import PlanError
from feed_migration.model import PHASES, PhaseName
from feed_migration.orchestration.groups import migration_frame, rollback_chain
from feed_migration.orchestration.place import current_place

OWNER = "feed-migration"
WAY_BACK = frozenset({"rollback.revert", "rollback.document", "verdict"})


def reason_param(*, required: bool = False) -> Param:
    """Return the parameter whose value the journal keeps beside the user's name."""
    return Param(
        "",
        type="string",
        title="Reason",
        description="Why this is started; kept in the audit log",
        minLength=1 if required else 0,
        maxLength=2000,
    )


def new_dag(dag_id: str, doc_md: str, params: dict[str, Any]) -> DAG:
    """Return an empty DAG that runs on demand only, one run at a time.

    It has no `dagrun_timeout`: Airflow would skip the rollback together with the rest.
    """
    return DAG(
        dag_id,
        doc_md=doc_md,
        description=doc_md.strip().splitlines()[0].lstrip("# "),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["backpack", "feed-migration"],
        default_args={"owner": OWNER},
        params={"reason": reason_param(), **params},
    )


def migration_dag(dag_id: str, doc_md: str, *phases: PhaseName) -> DAG:
    """Return a DAG over the plan's steps of `phases` (none: all), with the way back around them.

    A plan with a mistake raises PlanError, which Airflow shows as import error with file and line.
    Only a worker that parses the file for the way back finds that in it nevertheless.
    """
    place = current_place()
    try:
        steps = [step for step in place.plan().steps if step.phase in (phases or PHASES)]
    except PlanError:
        if get_parsing_context().task_id not in WAY_BACK:
            raise
        steps = []
    with new_dag(dag_id, doc_md, {"skip_earlier_phases": _waiver()} if phases else {}) as dag:
        migration_frame(place, steps)
    return dag


def _waiver() -> Param:
    return Param(
        False,
        type="boolean",
        title="Start although earlier phases are not promoted",
        description="Needs a reason; the audit log keeps both under your name",
    )


def rollback_dag(dag_id: str, doc_md: str) -> DAG:
    """Return the DAG of the way back alone; its success is a verified rollback."""
    place = current_place()
    with new_dag(dag_id, doc_md, {}) as dag:
        rollback_chain(place)
    return dag
