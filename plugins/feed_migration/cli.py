"""`backpack-migrate`: operate a migration from a shell, with Airflow up or down.

Exit codes: 0 done or intact · 1 the answer is no (refused, not verified, tampered) · 2 the input
means nothing (arguments, plan, deployment.yaml) · 3 a part that must run does not answer.
Every error is one line on stderr with its remedy.
"""

import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from feed_migration import rollback as way_back
from feed_migration.airflow_api import MIGRATION_DAG, AirflowApi
from feed_migration.cli_audit import audit_app, journal_app
from feed_migration.cli_gates import gate_app, plan_app
from feed_migration.cli_guard import guard_app
from feed_migration.cli_parts import Output, deployment_here, open_journal, write
from feed_migration.deployment import Deployment, home_directory, load_deployment
from feed_migration.errors import (
    EnvironmentUnavailable,
    JournalUnavailable,
    MigrationError,
    Refused,
)
from feed_migration.fleet.choice import open_fleet
from feed_migration.journal import Journal
from feed_migration.model import Measurement
from feed_migration.parity_evidence import read_parity
from feed_migration.phases import MigrationState
from feed_migration.refusals import note_refusal, refusal_in
from feed_migration.report import document_incident, migration_report, migration_summary
from feed_migration.spool import UNRESOLVED, Spool
from feed_migration.status import render_status, status_of

app = typer.Typer(
    help="Move the Backpack feed from ccxt to native, in gated phases, and back.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(audit_app, name="audit")
app.add_typer(journal_app, name="journal")
app.add_typer(plan_app, name="plan")
app.add_typer(gate_app, name="gate")
app.add_typer(guard_app, name="guard")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Which = Annotated[str | None, typer.Option("--migration", help="Default: the latest.")]


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Show where the migration is: step, criteria with values, every instance."""
    deployment = deployment_here()
    journal = open_journal(deployment)
    latest = journal.latest_migration()
    state = journal.state(latest) if latest else MigrationState()
    measured: list[Measurement] = []
    if latest and state.step:
        measured = journal.measurements(latest, state.step, state.run)
    lease = journal.lease(latest) if latest else None
    report = status_of(state, open_fleet(deployment).instances(), measured, lease)
    _say(json.dumps(report, indent=2) if as_json else render_status(report))


@app.command()
def start(reason: Annotated[str, typer.Option(help="Kept in the audit log.")] = "") -> None:
    """Start a whole migration: a run of the DAG backpack_migration."""
    with AirflowApi(deployment_here().airflow) as airflow:
        run_id = airflow.trigger(MIGRATION_DAG, {"reason": reason} if reason else {})
    _say(f"{MIGRATION_DAG} started: {run_id}")


@app.command()
def approve(
    task: Annotated[str | None, typer.Option(help="Task id, where several wait.")] = None,
    *,
    reject: Annotated[bool, typer.Option("--reject", help="Say no; the fleet goes back.")] = False,
) -> None:
    """Answer the approval that the migration waits for."""
    with AirflowApi(deployment_here().airflow) as airflow:
        waiting = [
            entry for entry in airflow.pending_approvals() if task in {None, entry["task_id"]}
        ]
        if len(waiting) != 1:
            names = ", ".join(str(entry["task_id"]) for entry in waiting)
            raise Refused(
                f"{len(waiting)} approvals wait{f' ({names})' if names else ''}",
                "choose one with --task" if names else "see `backpack-migrate status`",
            )
        option = "Reject" if reject else "Approve"
        airflow.answer(waiting[0], option)
    _say(f"{option}: {waiting[0]['subject']}")


@app.command()
def rollback(
    reason: Annotated[str, typer.Option(help="Kept in the audit log and the incident.")] = (
        "asked for at the shell"
    ),
    migration: Which = None,
) -> None:
    """Put every instance back on ccxt and verify it. Needs neither Airflow nor the database."""
    # without the environment: a wrong PROMETHEUS_URL there must not stop the way back
    deployment, actor = load_deployment(home_directory(), {}), _actor()
    fleet, spool = open_fleet(deployment), Spool(deployment.spool_file)
    journal, migration_id = _journal_if_any(deployment, migration)
    result = way_back.revert(fleet, journal, migration_id, actor, reason, spool=spool)
    proof = way_back.verify(
        fleet, journal, migration_id, actor, breach_at=result.breach_at, spool=spool
    )
    _say(
        f"rolled back: {len(proof.instances)} instances on ccxt with data flowing, "
        f"{proof.breach_to_rollback_seconds:.1f} s after the breach"
    )
    # the fleet is back; a page that cannot be written must not say otherwise
    try:
        page = document_incident(
            deployment, journal, migration_id, actor, result=result, proof=proof
        )
    except EnvironmentUnavailable as error:
        typer.echo(f"backpack-migrate: incident not documented: {error}", err=True)
    else:
        _say(f"incident: {page}")


@app.command()
def report(migration: Which = None, output: Output = None, *, as_json: AsJson = False) -> None:
    """Write the whole migration from the journal: steps, verdicts, approvals, timeline."""
    deployment = deployment_here()
    journal = open_journal(deployment)
    migration_id = migration or journal.latest_migration()
    events = journal.events(migration_id) if migration_id else []
    if not events:
        raise Refused(f"the journal has no migration {migration or ''}".rstrip(), "start one")
    now = {status.id: status.variant for status in open_fleet(deployment).instances()}
    if as_json:
        text = json.dumps(migration_summary(events, now, journal.verify()), indent=2)
    else:
        text = migration_report(
            events, now, journal.verify(), read_parity(deployment.parity_folder)
        )
    write(text, output)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `arguments` default to the process's."""
    try:
        code: Any = app(args=arguments, prog_name="backpack-migrate", standalone_mode=False)
    except TyperException as error:
        message = " ".join(error.format_message().split())
        typer.echo(f"backpack-migrate: {message} See backpack-migrate --help.", err=True)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("backpack-migrate: interrupted", err=True)
        return 130
    except MigrationError as error:
        typer.echo(f"backpack-migrate: {' '.join(str(error).split())}", err=True)
        if (refusal := refusal_in(error)) is not None:
            _note(refusal, arguments)
        return error.exit_code
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


def _journal_if_any(deployment: Deployment, migration: str | None) -> tuple[Journal | None, str]:
    """Return the journal, if it answers, and the migration to take back."""
    try:
        journal = open_journal(deployment, lock_wait_seconds=2.0)
        known = migration or journal.active_migration() or journal.latest_migration()
    except JournalUnavailable as error:
        typer.echo(f"backpack-migrate: going on without the journal: {error}", err=True)
        return None, migration or UNRESOLVED
    return journal, known or UNRESOLVED


def _note(
    refusal: MigrationError,
    arguments: Sequence[str] | None,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> None:
    """Keep that the command was refused; it ends as it would have without."""
    words = [word for word in (sys.argv[1:] if arguments is None else arguments) if word]
    where = {"command": words[0] if words else "", "tried_at": clock()}
    try:
        deployment = load_deployment(home_directory(), {})
        spool = Spool(deployment.spool_file)
        journal, _ = _journal_if_any(deployment, None)
        note_refusal(journal, spool, refusal, at=clock(), actor=_actor(), where=where)
    except Exception as error:  # noqa: BLE001 - the refusal is what the caller must see
        typer.echo(f"backpack-migrate: the refusal is not in the journal: {error}", err=True)


def _actor() -> str:
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli:unknown"


def _say(text: str) -> None:
    typer.echo(text)
