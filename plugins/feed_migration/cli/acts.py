"""`backpack-migrate approve`, `hold`, `resume` and `rollback`: what a person does."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from feed_migration import holding, resuming
from feed_migration import rollback as way_back
from feed_migration.airflow_api import AirflowApi
from feed_migration.base_urls import of_links
from feed_migration.cli.back import WhichBack, migration_to_take_back
from feed_migration.cli.completion import complete_approvals
from feed_migration.cli.parts import (
    AsJson,
    Which,
    actor_here,
    deployment_here,
    notice,
    open_journal,
    say,
)
from feed_migration.cli.questions import the_one
from feed_migration.cli.shell import WATCH, Reason, note_at_shell, said_at_shell
from feed_migration.deployment import Deployment, home_directory
from feed_migration.deployment_copy import read_or_copy
from feed_migration.errors import (
    EnvironmentUnavailable,
    JournalUnavailable,
    NothingToHold,
    Refused,
)
from feed_migration.fleet.choice import open_fleet
from feed_migration.guard.known_way_back import known_migration, open_known, remembered
from feed_migration.journal.spool import UNRESOLVED, Spool
from feed_migration.journal.store import Journal
from feed_migration.notices.outside import rollback_told, taking
from feed_migration.report.pages import document_incident
from feed_migration.words import counted, gone_words, since_words

RESUME = "backpack-migrate resume"
ROLLBACK = "backpack-migrate rollback"
_HOLD_POLL_SECONDS = 0.5
# "executor reported success, but the state is queued": the task fails and asks anew
_PARKED_SECONDS = 3.0


def approve(
    task: Annotated[
        str | None,
        typer.Option(help="Task id, where several wait.", autocompletion=complete_approvals),
    ] = None,
    reason: Reason = "",
    *,
    reject: Annotated[bool, typer.Option("--reject", help="Say no; the fleet goes back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer the approval that the migration waits for."""
    deployment = deployment_here()
    with AirflowApi(deployment.airflow) as airflow:
        asked = the_one(airflow, deployment, task)
        option = "Reject" if reject else "Approve"
        _let_it_park(asked)
        airflow.answer(asked, option, said_at_shell(reason))
    facts = {
        "decision": option,
        "task_id": str(asked["task_id"]),
        "dag_id": str(asked["dag_id"]),
        "run_id": str(asked["dag_run_id"]),
    }
    note_at_shell(deployment, {"command": "approve", **facts, "reason": reason}, as_json=as_json)
    say(
        {**facts, "subject": str(asked["subject"]), "reason": reason},
        [f"{option}: {asked['subject']}"],
        what_next=[WATCH],
        as_json=as_json,
    )


def hold(
    reason: Reason = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a gate that is about to begin.")
    ] = 0.0,
    migration: Which = None,
    *,
    as_json: AsJson = False,
) -> None:
    """End the open gate with a Hold: the exposure stays, nothing goes on. Needs no Airflow."""
    journal = open_journal(deployment_here())
    migration_id = migration or journal.active_migration() or journal.latest_migration()
    if migration_id is None:
        raise Refused("there is no migration to hold", "see `backpack-migrate status`")
    step = _held(journal, migration_id, reason, wait)
    exposed = list(journal.state(migration_id).exposed)
    say(
        {"migration_id": migration_id, "step": step, "reason": reason, "exposed": exposed},
        [
            f"held {step} of {migration_id}: nothing goes on, on native: {counted(len(exposed))}",
            "the guard goes on watching the hard criteria; a breach still takes the fleet back",
        ],
        what_next=[f"{RESUME}, which begins the gate anew", ROLLBACK],
        as_json=as_json,
    )


def resume(reason: Reason = "", migration: Which = None, *, as_json: AsJson = False) -> None:
    """End a hold: clear the held gate's task and what comes after it, so that it begins anew."""
    deployment = deployment_here()
    journal = open_journal(deployment)
    migration_id = migration or journal.active_migration() or journal.latest_migration()
    # without Airflow nothing can be resumed, but what is not held needs none to say so
    resuming.held_step(journal.state(migration_id or ""))
    with AirflowApi(deployment.airflow) as airflow:
        done = resuming.resume(
            journal,
            airflow,
            str(migration_id),
            actor=actor_here(),
            reason=reason,
            patience=resuming.Patience(tell=lambda text: notice(text, as_json=as_json)),
        )
    document = {
        "migration_id": migration_id,
        "step": done.step,
        "dag_id": done.driver.dag_id,
        "run_id": done.driver.run_id,
        "cleared": list(done.cleared),
        "reason": reason,
    }
    run = f"{done.driver.dag_id} {done.driver.run_id}"
    say(
        document,
        [
            f"resumed {done.step}, cleared in {run}: {', '.join(done.cleared)}",
            "the preflight runs again, then the gate begins anew, with nothing proven",
        ],
        what_next=[WATCH],
        as_json=as_json,
    )


def rollback(
    reason: Annotated[str, typer.Option(help="Kept in the audit log and the incident.")] = (
        "asked for at the shell"
    ),
    migration: WhichBack = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Put every instance back on ccxt and verify it. Needs neither Airflow nor the database."""
    # without the environment: a wrong PROMETHEUS_URL there must not stop the way back
    deployment, actor = read_or_copy(home_directory(), of_links()), actor_here()
    spool = Spool(deployment.spool_file)
    journal, migration_id = journal_if_any(deployment, migration, as_json=as_json)
    known = remembered(deployment, journal, migration_id)
    fleet = open_known(deployment, known.fleet, open_fleet)
    heard = taking(journal, lambda text: notice(text, as_json=as_json))
    with rollback_told(deployment, heard, migration_id, actor, reason) as told:
        result = way_back.revert(fleet, journal, migration_id, actor, reason, spool=spool)
        proof = way_back.verify(
            fleet,
            journal,
            migration_id,
            actor,
            breach_at=result.breach_at,
            exposed=known.exposed,
            spool=spool,
        )
        told(proof)
    page: str | None = None
    # the fleet is back; a page that cannot be written must not say otherwise
    try:
        page = str(
            document_incident(deployment, journal, migration_id, actor, result=result, proof=proof)
        )
    except EnvironmentUnavailable as error:
        notice(f"incident not documented: {error}", as_json=as_json)
    seconds = proof.breach_to_rollback_seconds
    back = f"{len(proof.instances)} instances on ccxt with data flowing"
    say(
        {
            "migration_id": None if migration_id == UNRESOLVED else migration_id,
            "reason": reason,
            "instances": dict(proof.instances),
            "gone": list(proof.gone),
            "breach_to_rollback_seconds": seconds,
            "incident": page,
        },
        [
            f"rolled back: {back}, {since_words(seconds, breached=proof.breached)}",
            *([gone_words(proof.gone)] if proof.gone else []),
            *([f"incident: {page}"] if page else []),
        ],
        what_next=[_next(journal, heard)],
        as_json=as_json,
    )


def journal_if_any(
    deployment: Deployment, migration: str | None, *, as_json: bool = False
) -> tuple[Journal | None, str]:
    """Return the journal, if it answers, and the migration to take back."""
    try:
        journal = open_journal(deployment, lock_wait_seconds=2.0)
        known, told = migration_to_take_back(journal, migration)
    except JournalUnavailable as error:
        notice(f"going on without the journal: {error}", as_json=as_json)
        return None, migration or known_migration(deployment) or UNRESOLVED
    if told:
        notice(told, as_json=as_json)
    return journal, known or UNRESOLVED


def _next(journal: Journal | None, heard: Journal | None) -> str:
    if heard is not None:
        return "backpack-migrate report"
    return "restore the journal" if journal is None else "mount the audit's signing key"


def _let_it_park(asked: Mapping[str, Any]) -> None:
    """Wait until the task that asks is parked: an answer that comes sooner Airflow loses."""
    asked_unix = datetime.fromisoformat(str(asked["created_at"])).timestamp()
    age_seconds = time.time() - asked_unix  # noqa: TID251 - Airflow's host is another
    if age_seconds < _PARKED_SECONDS:
        time.sleep(min(_PARKED_SECONDS - age_seconds, _PARKED_SECONDS))


def _held(
    journal: Journal,
    migration_id: str,
    reason: str,
    wait_seconds: float,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> str:
    """Hold; where a gate may open in a moment, ask again for as long as the caller waits."""
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return holding.hold(
                journal, migration_id, actor=actor_here(), reason=reason, at_unix=clock()
            )
        except NothingToHold as refused:
            if not refused.passing or time.monotonic() >= deadline:
                raise
        time.sleep(_HOLD_POLL_SECONDS)
