"""`backpack-migrate`: operate a migration from a shell, with Airflow up or down.

Exit codes: 0 done or intact · 1 the answer is no (refused, not verified, tampered) · 2 the input
means nothing (arguments, plan, deployment.yaml) · 3 a part that must run does not answer ·
130 interrupted. Every error is one line on stderr with its remedy. See docs/cli.md.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.exceptions import TyperException

from feed_migration.cli import acts as cli_acts
from feed_migration.cli import start as cli_start
from feed_migration.cli import status as cli_status
from feed_migration.cli.audit import audit_app, journal_app
from feed_migration.cli.gates import gate_app, plan_app
from feed_migration.cli.guard import guard_app
from feed_migration.cli.parts import PROGRAM, actor_here, fail, notice
from feed_migration.deployment import home_directory, load_deployment
from feed_migration.errors import MigrationError
from feed_migration.journal.refusals import note_refusal, refusal_in
from feed_migration.journal.spool import Spool

INTERRUPTED = 130

app = typer.Typer(
    help="Move the Backpack feed from ccxt to native, in gated phases, and back.",
    pretty_exceptions_enable=False,
)
app.command()(cli_status.status)
app.command()(cli_start.start)
app.command()(cli_acts.approve)
app.command()(cli_acts.hold)
app.command()(cli_acts.resume)
app.command()(cli_acts.rollback)
app.command()(cli_status.report)
app.add_typer(audit_app, name="audit")
app.add_typer(journal_app, name="journal")
app.add_typer(plan_app, name="plan")
app.add_typer(gate_app, name="gate")
app.add_typer(guard_app, name="guard")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; `arguments` default to the process's."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # also where the arguments mean nothing, and nobody has parsed them
    as_json = "--json" in words
    try:
        code: Any = app(args=words, prog_name=PROGRAM, standalone_mode=False)
    except TyperException as error:
        message = " ".join(error.format_message().split())
        remedy = f"see {PROGRAM} --help"
        if as_json:
            fail(message, remedy, 2, as_json=True)
        else:
            typer.echo(f"{PROGRAM}: {message} S{remedy[1:]}.", err=True)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        fail("interrupted", "", INTERRUPTED, as_json=as_json)
        return INTERRUPTED
    except MigrationError as error:
        fail(error.problem, error.remedy, error.exit_code, as_json=as_json)
        if (refusal := refusal_in(error)) is not None:
            _note(refusal, words, as_json=as_json)
        return error.exit_code
    return code if isinstance(code, int) else 0


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())


def _note(
    refusal: MigrationError,
    words: Sequence[str],
    clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
    *,
    as_json: bool,
) -> None:
    """Keep that the command was refused; it ends as it would have without."""
    where = {"command": next(filter(None, words), ""), "tried_at": clock()}
    try:
        deployment = load_deployment(home_directory(), {})
        spool = Spool(deployment.spool_file)
        journal, _ = cli_acts.journal_if_any(deployment, None, as_json=as_json)
        note_refusal(journal, spool, refusal, at=clock(), actor=actor_here(), where=where)
    except Exception as error:  # noqa: BLE001 - the refusal is what the caller must see
        notice(f"the refusal is not in the journal: {error}", as_json=as_json)
