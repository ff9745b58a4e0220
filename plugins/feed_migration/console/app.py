"""The console's routes, mounted by Airflow's api-server below `/backpack`.

Every route needs a user who may read the DAG backpack_migration, and every write one who may do
the same in Airflow itself, from this very site; the dependencies of `app` see to the first and
the last, so a new route cannot forget them. Routes are plain functions: they ask databases, and
run in the thread pool.
"""

import time
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.api_fastapi.logging.decorators import action_logging
from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response, status
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field, StringConstraints, model_validator
from sse_starlette import EventSourceResponse

from feed_migration.console import acts, told
from feed_migration.console.airflow_reading import (
    DAG_PREFIX,
    pending_approvals,
    scheduler_silence_in,
    silences,
    state_of_run,
)
from feed_migration.console.assets import assets
from feed_migration.console.feeders import Sources
from feed_migration.console.journal_reading import JournalReading
from feed_migration.console.live import live_response
from feed_migration.console.page_link import URL_PREFIX
from feed_migration.console.report_page import migration_of_run, report_page, report_text
from feed_migration.console.security import SecurityHeaders, refuse_cross_site
from feed_migration.dag_run import MIGRATION_DAG
from feed_migration.deployment import Deployment
from feed_migration.describing import describe
from feed_migration.errors import MigrationError, Refused, UsageError
from feed_migration.events import Event, EventKind
from feed_migration.holding import MAX_REASON, hold
from feed_migration.journal.pages import EventFilter, PagedJournal
from feed_migration.orchestration.audit_key import signer_of_connection
from feed_migration.orchestration.place import Place, current_place
from feed_migration.phases import Status
from feed_migration.resuming import RESUMED

PAGE_EVENTS = 100
# An id that no user has
NOBODY = ""

__all__ = ["URL_PREFIX", "app"]


class Access(NamedTuple):
    """What Airflow itself asks for the same act, and how it calls it in its audit log."""

    method: Any
    entity: DagAccessEntity
    event: str


ACCESS = {
    "answer": Access("PUT", DagAccessEntity.HITL_DETAIL, "update_hitl_detail"),
    "hold": Access("PUT", DagAccessEntity.TASK_INSTANCE, "hold_gate"),
    "resume": Access("PUT", DagAccessEntity.TASK_INSTANCE, "post_clear_task_instances"),
    "rollback": Access("POST", DagAccessEntity.RUN, "trigger_dag_run"),
}

app = FastAPI(
    title="Backpack migration console",
    docs_url=None,
    redoc_url=None,
    openapi_url=None,
    dependencies=[
        Depends(get_user),
        Depends(requires_access_dag("GET", param_dag_id=MIGRATION_DAG)),
        Depends(refuse_cross_site),
    ],
)
app.add_middleware(SecurityHeaders)

DagId = Annotated[str, Path(pattern=rf"^{DAG_PREFIX}[a-z_]{{1,60}}$")]
MIN_REASON = 3
Remark = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON)]
Reason = Annotated[Remark, StringConstraints(min_length=MIN_REASON)]


class Answer(BaseModel):
    """The answer to one approval, as Airflow names it; a Reject moves the fleet, and says why."""

    run_id: str = Field(max_length=250)
    task_id: str = Field(max_length=250)
    map_index: int = -1
    option: Literal["Approve", "Reject"]
    reason: Remark = ""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.option == "Reject" and len(self.reason) < MIN_REASON:
            raise ValueError(f"a Reject needs a reason of {MIN_REASON} characters at least")
        return self


class Reasoned(BaseModel):
    """Why: kept in the journal under the user's name."""

    reason: Reason


class Resumption(BaseModel):
    """The DAG run whose gate is cleared. Airflow logs a clear only where `dry_run` is false."""

    run_id: str = Field(max_length=250)
    dry_run: Literal[False]
    reason: Remark = ""


def may(act: str) -> Any:
    """Return the dependencies of an act's route: Airflow's permission, Airflow's audit log."""
    access = ACCESS[act]
    return [
        # the DAG is the one in the path
        Depends(requires_access_dag(access.method, access.entity)),
        Depends(action_logging(event=access.event)),
    ]


@app.exception_handler(MigrationError)
def refused(_: Request, error: MigrationError) -> JSONResponse:
    """Tell an error of ours in its own words."""
    code = status.HTTP_503_SERVICE_UNAVAILABLE
    if isinstance(error, Refused):
        code = status.HTTP_409_CONFLICT
    elif isinstance(error, UsageError):
        code = status.HTTP_400_BAD_REQUEST
    return JSONResponse({"detail": " ".join(str(error).split())}, code)


@app.get("/")
def page(request: Request) -> Response:
    """Return the page."""
    return asset("index.html", request)


@app.get("/static/{name}")
def asset(name: str, request: Request) -> Response:
    """Return a file of the page; the browser asks whether it has changed."""
    found = assets().get(name)
    if found is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "no such file")
    headers = {"etag": found.etag, "cache-control": "private, no-cache"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


@app.get("/api/me")
def me(user: GetUserDep) -> dict[str, Any]:
    """Return who asks, and which acts Airflow lets this user do.

    `answers_all` is whether Airflow lets them answer where the plan names only others.
    """
    manager = get_auth_manager()
    dags = dict.fromkeys(ACCESS, MIGRATION_DAG) | {"rollback": acts.ROLLBACK_DAG}
    allowed = {
        act: manager.is_authorized_dag(
            method=access.method,
            access_entity=access.entity,
            details=DagDetails(id=dags[act]),
            user=user,
        )
        for act, access in ACCESS.items()
    }
    return {
        "id": str(user.get_id()),
        "name": user.get_name(),
        "may": allowed,
        "answers_all": manager.is_authorized_hitl_task(assigned_users={NOBODY}, user=user),
        "kinds": [str(kind) for kind in EventKind],
    }


@app.get("/api/live")
async def live() -> EventSourceResponse:
    """Return the view as a stream of server-sent events."""
    return live_response(sources().board)


@app.get("/api/view")
def view() -> Response:
    """Return every section once, as one JSON object."""
    board = sources().board
    board.section("migration")
    parts = (f'"{name}":{section.text}' for name, section in board.sections().items())
    return Response("{" + ",".join(parts) + "}", media_type="application/json")


@app.get("/api/instances/{name}")
def instance(name: str) -> Any:
    """Return one instance as it was last seen."""
    return sources().instance(name)


@app.get("/api/audit")
def audit(
    kind: Annotated[str, Query(max_length=64)] = "",
    actor: Annotated[str, Query(max_length=200)] = "",
    text: Annotated[str, Query(max_length=200)] = "",
    before_seq: Annotated[int | None, Query(ge=1)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE_EVENTS,
) -> dict[str, Any]:
    """Return a page of the audit log, newest first; `next` is the `before_seq` of the one after."""
    wanted = EventFilter(kind=kind, actor=actor, text=text)
    journal = sources().reading().journal
    events = journal.search(wanted, before_seq=before_seq, limit=limit + 1)
    shown = events[:limit]
    return {
        "events": [_event(event) for event in shown],
        "next": shown[-1].seq if len(events) > limit else None,
    }


def migration_asked_for(
    migration: Annotated[str, Query(max_length=200)] = "",
    run: Annotated[str, Query(max_length=250)] = "",
) -> str:
    """Return the id of the migration that DAG run `run` drives, or `migration`, or the latest."""
    journal = sources().reading().journal
    if run:
        return migration_of_run(journal, run)
    return migration or journal.latest_migration() or ""


@app.get("/report")
def report(migration_id: Annotated[str, Depends(migration_asked_for)]) -> Response:
    """Return a migration's report as a page."""
    return HTMLResponse(report_page(sources(), migration_id))


@app.get("/report.md")
def report_markdown(migration_id: Annotated[str, Depends(migration_asked_for)]) -> Response:
    """Return a migration's report as Markdown."""
    return Response(report_text(sources(), migration_id), media_type="text/markdown")


@app.post("/api/dags/{dag_id}/answer", dependencies=may("answer"))
def answer(dag_id: DagId, body: Answer, user: GetUserDep, session: SessionDep) -> told.Told:
    """Answer an approval under the user's name."""
    silence = scheduler_silence_in(session)
    acts.answer(user, session, dag_id=dag_id, **body.model_dump())
    step = body.task_id.partition(".")[0].replace("_", "-")
    return told.answered(step, body.option, silence)


@app.post("/api/dags/{dag_id}/hold", dependencies=may("hold"))
def hold_gate(dag_id: DagId, body: Reasoned, user: GetUserDep, session: SessionDep) -> told.Told:
    """End the gate under way with a Hold under the user's name."""
    reading = _at_gate_of(dag_id)
    silence = scheduler_silence_in(session)
    step = hold(
        reading.journal,
        reading.state.migration_id,
        actor=user.get_name(),
        reason=body.reason,
        at_unix=time.time(),  # noqa: TID251 - the edge of the process
    )
    return told.held(step, silence)


@app.post("/api/dags/{dag_id}/resume", dependencies=may("resume"))
def resume(dag_id: DagId, body: Resumption, user: GetUserDep, session: SessionDep) -> told.Told:
    """Clear the held gate in Airflow, so that the step is watched anew."""
    reading = _at_gate_of(dag_id)
    gate = reading.gate_facts()
    if gate is None or (gate.dag_id, gate.run_id) != (dag_id, body.run_id):
        raise Refused("the gate has another DAG run by now", "look again, then repeat")
    if reading.state.status is not Status.HELD:
        raise Refused("the migration is not held", "look again")
    silence = scheduler_silence_in(session)
    cleared = acts.resume(user, session, gate, body.reason)
    where = {"step": gate.step, "dag_id": dag_id, "run_id": gate.run_id}
    reading.journal.append(
        EventKind.AUDIT_NOTE,
        migration_id=reading.state.migration_id,
        actor=user.get_name(),
        body={"note": RESUMED, "reason": body.reason, **where},
    )
    return told.resumed(gate.step, len(cleared), silence)


@app.post("/api/dags/{dag_id}/rollback", dependencies=may("rollback"))
def rollback(
    dag_id: Literal["backpack_rollback"],
    body: Reasoned,
    user: GetUserDep,
    session: SessionDep,
    request: Request,
) -> told.Told:
    """Ask Airflow for the way back under the user's name, also while it would only be queued."""
    silence = scheduler_silence_in(session)
    run_id = acts.roll_back(user, session, request, body.reason)
    return told.rollback_asked(dag_id, run_id, silence)


def sources() -> Sources:
    """Return what the console of this process reads from."""
    return sources_of(current_place())


@cache
def sources_of(place: Place) -> Sources:
    """Return the sources of one place; opened late, so that a broken one can be mended."""
    return Sources(
        home=place.home,
        plan_path=place.plan_path,
        read_plan=place.plan,
        open_journal=_open_journal,
        pending=pending_approvals,
        run_state=state_of_run,
        silences=silences,
    )


def _open_journal(deployment: Deployment) -> PagedJournal:
    return PagedJournal(deployment.journal_url, home=deployment.home, signer=signer_of_connection())


def _at_gate_of(dag_id: str) -> JournalReading:
    """Return the journal as it is now; raises Refused unless its gate is a task of `dag_id`."""
    reading = sources().reading()
    reading.sections()
    gate = reading.gate_facts()
    if gate is None or gate.dag_id != dag_id:
        raise Refused(f"no gate of {dag_id} is under way or held", "look again, then repeat")
    return reading


def _event(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at,
        "migration_id": event.migration_id,
        "kind": event.kind,
        "actor": event.actor,
        "what": describe(event),
        "body": event.body,
        "hash": event.hash,
    }
