"""What the DAGs have in common: identity, forms, and the steps of the plan each one covers."""

from typing import Any

from airflow.sdk import DAG, Param, get_parsing_context

from feed_migration.addresses import CONSOLE_PATH, addresses_of
from feed_migration.base_urls import of_links
from feed_migration.deployment import Deployment, load_deployment
from feed_migration.document.reader import PlanError
from feed_migration.errors import MigrationError
from feed_migration.model import PHASES, PhaseName
from feed_migration.orchestration.groups import migration_frame, rollback_chain
from feed_migration.orchestration.place import Place, current_place

OWNER = "feed-migration"
AIRFLOW_URL = "http://127.0.0.1:8080"
WAY_BACK = frozenset({"rollback.revert", "rollback.document", "verdict"})
MAX_REASON = 2000


def reason_param() -> Param:
    """Return the field whose value the journal keeps beside the user's name."""
    return Param(
        None,
        # a plain string would have to be filled in
        type=["null", "string"],
        title="Reason",
        description="Why this is started. It is kept in the audit log beside your name.",
        maxLength=MAX_REASON,
    )


def new_dag(
    dag_id: str,
    doc_md: str,
    params: dict[str, Any],
    *tags: str,
    deployment: Deployment | None,
    label: str = "",
) -> DAG:
    """Return an empty DAG that runs on demand only, one run at a time.

    It has no `dagrun_timeout`: Airflow would skip the rollback together with the rest.
    """
    owner, link = _owner(deployment)
    return DAG(
        dag_id,
        dag_display_name=label or dag_id,
        doc_md=doc_md,
        description=doc_md.strip().splitlines()[0].lstrip("# "),
        schedule=None,
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["backpack", "feed-migration", *tags],
        default_args={"owner": owner},
        owner_links={owner: link},
        params=params,
    )


def migration_dag(dag_id: str, doc_md: str, *phases: PhaseName) -> DAG:
    """Return a DAG over the plan's steps of `phases` (none: all), with the way back around them.

    A plan with a mistake raises PlanError, which Airflow shows as import error with file and line.
    Only a worker that parses the file for the way back finds that in it nevertheless.
    """
    place = current_place()
    deployment = deployment_if_any(place)
    try:
        steps = [step for step in place.plan().steps if step.phase in (phases or PHASES)]
    except PlanError:
        if get_parsing_context().task_id not in WAY_BACK:
            raise
        steps = []
    params = {"reason": reason_param(), **({"skip_earlier_phases": _waiver()} if phases else {})}
    tags = phases or ("all-phases",)
    with new_dag(dag_id, doc_md, params, *tags, deployment=deployment) as dag:
        migration_frame(place, steps, deployment.consumers if deployment else ())
    return dag


def rollback_dag(dag_id: str, doc_md: str) -> DAG:
    """Return the DAG of the way back alone; its success is a verified rollback."""
    place = current_place()
    params = {"reason": _required_reason(), "confirm": _confirmation()}
    deployment = deployment_if_any(place)
    with new_dag(
        *(dag_id, doc_md, params, "rollback", "emergency"),
        deployment=deployment,
        label=f"⚠ {dag_id}: everything back to ccxt",
    ) as dag:
        rollback_chain(place)
    return dag


def deployment_if_any(place: Place) -> Deployment | None:
    """Return the deployment, None where there is none yet, or none that can be read.

    The DAGs stay visible without it: their tasks say what is wrong with it, file and key.
    """
    try:
        return load_deployment(place.home, of_links())
    except MigrationError:
        return None


def _owner(deployment: Deployment | None) -> tuple[str, str]:
    """Return the owner and where to find them; without one, the migration's page."""
    if deployment is None:
        return OWNER, f"{AIRFLOW_URL}{CONSOLE_PATH}"
    if deployment.owner is not None:
        return deployment.owner.name, deployment.owner.url
    return OWNER, addresses_of(deployment).console


def _waiver() -> Param:
    return Param(
        False,
        type="boolean",
        title="Start although earlier phases are not promoted",
        description=(
            "Your word stands in for their proof: needs a reason, and the audit log keeps both "
            "under your name. Steps that never moved the fleet cannot be skipped."
        ),
    )


def _required_reason() -> Param:
    return Param(
        None,
        type="string",
        title="Reason",
        description="What you have seen. It goes into audit log, incident and notices.",
        minLength=1,
        maxLength=MAX_REASON,
    )


def _confirmation() -> Param:
    return Param(
        # neither `const` nor `enum`: the form hides the one and never forgets the other's first
        # error, so that the task asks (`rollback_operators.require_confirmed`)
        False,
        type="boolean",
        title="Put every instance back on the ccxt feed",
        description=(
            "Tick it, or nothing happens. All instances that run native are restarted at once; a "
            "migration that is under way ends as rolled back."
        ),
    )
