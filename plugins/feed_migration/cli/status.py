"""`backpack-migrate status` and `report`: where a migration is, and what it was."""

import json
import time
from collections.abc import Callable
from typing import Annotated

import typer

from feed_migration.cli.live import watch
from feed_migration.cli.look import JournalView, Plans, read_with_run
from feed_migration.cli.parts import (
    AsJson,
    Output,
    Which,
    deployment_here,
    notice,
    read_journal,
    write,
)
from feed_migration.cli.situation import Situation
from feed_migration.cli.standing import render_status, status_of
from feed_migration.deployment import Deployment
from feed_migration.errors import EnvironmentUnavailable, JournalUnavailable, Refused, UsageError
from feed_migration.fleet.base import InstanceStatus
from feed_migration.fleet.choice import open_fleet
from feed_migration.guard.asking import ask_guard
from feed_migration.report.pages import migration_report, migration_summary
from feed_migration.report.parity import read_parity


def status(
    migration: Which = None,
    *,
    live: Annotated[
        bool, typer.Option("--watch", help="Live, until ctrl-c; a line per change without a tty.")
    ] = False,
    until_done: Annotated[
        bool,
        typer.Option(
            "--until-done", help="With --watch: exit 0 when it is promoted, 1 when it is back."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show where the migration is: step, who watches, criteria with values, every instance."""
    if until_done and not live:
        raise UsageError("--until-done means nothing without --watch", "give both")
    deployment = deployment_here()
    if live:
        raise typer.Exit(watch(deployment, migration, until_done=until_done, as_json=as_json))
    try:
        report = status_of(look(deployment, migration, as_json=as_json))
    except JournalUnavailable:
        # who takes the fleet back while it is away is all that matters then
        if deployment.guard_url is not None:
            notice(f"the guard {ask_guard(deployment.guard_url).text}", as_json=as_json)
        raise
    typer.echo(json.dumps(report, indent=2) if as_json else render_status(report))


def look(
    deployment: Deployment,
    migration: str | None = None,
    *,
    as_json: bool = False,
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
) -> Situation:
    """Return where the migration is now; a fleet that does not answer is told of on stderr."""
    view = JournalView(read_journal(deployment, as_json=as_json), migration)
    story, ended = read_with_run(view, deployment)
    if migration and not story.state.migration_id:
        raise Refused(f"the journal has no migration {migration}", "leave --migration out")
    instances: tuple[InstanceStatus, ...] = ()
    try:
        instances = open_fleet(deployment).instances()
    except EnvironmentUnavailable as error:
        notice(str(error), as_json=as_json)
    return Situation(
        now_unix=clock(),
        state=story.state,
        lease=story.lease,
        gate_start=story.gate_start,
        gate=Plans(deployment).gate(story.state),
        measurements=story.measurements,
        events=story.events,
        instances=instances,
        may_answer=story.may_answer,
        ended_run=ended,
        guard=ask_guard(deployment.guard_url),
    )


def report(migration: Which = None, output: Output = None, *, as_json: AsJson = False) -> None:
    """Write the whole migration from the journal: steps, verdicts, approvals, timeline."""
    deployment = deployment_here()
    journal = read_journal(deployment, as_json=as_json)
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
    write(text, output, as_json=as_json)
