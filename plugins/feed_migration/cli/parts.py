"""What the commands of `backpack-migrate` share: the deployment, its journal, who asks, and words.

A command that is done says it once, through `say`: lines for people, or one JSON document with the
same facts under `--json`. What else it has to tell goes to stderr, a line each, as JSON, too.
"""

import getpass
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from feed_migration.cli.completion import complete_migrations
from feed_migration.deployment import Deployment, home_directory, load_deployment
from feed_migration.errors import EnvironmentUnavailable
from feed_migration.journal.database import LOCK_WAIT_SECONDS
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.words import counted

PROGRAM = "backpack-migrate"

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout, errors as JSON on stderr.")
]
Output = Annotated[Path | None, typer.Option("--output", help="Write to this file.")]
Which = Annotated[
    str | None,
    typer.Option(
        "--migration",
        metavar="ID",
        help="Default: the latest.",
        autocompletion=complete_migrations,
    ),
]


def deployment_here() -> Deployment:
    """Return the deployment of BACKPACK_HOME."""
    return load_deployment(home_directory())


def open_journal(deployment: Deployment, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> Journal:
    """Return the journal of a deployment."""
    return Journal(
        deployment.journal_url, home=deployment.home, lock_wait_seconds=lock_wait_seconds
    )


def read_journal(deployment: Deployment, *, as_json: bool) -> Journal:
    """Return the journal for a command that appends nothing, and tell of events that wait.

    A rollback that found the journal away left them there.
    """
    journal = Journal(deployment.journal_url, home=deployment.home, leaves_spool=True)
    spool = Spool(deployment.spool_file)
    if journal.spool_left and (waiting := _waiting(spool)):
        notice(
            f"in {spool.path} wait {waiting}, which what follows may lack: {journal.spool_left}",
            as_json=as_json,
        )
    return journal


def _waiting(spool: Spool) -> str:
    """Return how many events wait, "" where others have taken them meanwhile."""
    try:
        count = spool.waiting()
    except OSError:
        return "events"
    return counted(count, "event") if count else ""


def actor_here() -> str:
    """Return who asks, as the journal names a person at a shell."""
    user = "unknown"
    with suppress(KeyError, OSError):
        user = getpass.getuser()
    return f"cli:{user}"


def say(
    document: Mapping[str, Any],
    lines: Sequence[str],
    *,
    what_next: Sequence[str] = (),
    as_json: bool = False,
) -> None:
    """Print what was done, and what to do next: `lines`, or `document` with a key `next`."""
    if as_json:
        typer.echo(json.dumps({**document, "next": list(what_next)}, indent=2))
        return
    for line in (*lines, *(f"next: {text}" for text in what_next)):
        typer.echo(line)


def notice(text: str, *, as_json: bool = False) -> None:
    """Tell on stderr of what went otherwise than hoped and is no reason to stop."""
    typer.echo(json.dumps({"notice": text}) if as_json else f"{PROGRAM}: {text}", err=True)


def fail(problem: str, remedy: str, exit_code: int, *, as_json: bool = False) -> None:
    """Print the one line of an error on stderr."""
    problem, remedy = " ".join(problem.split()), " ".join(remedy.split())
    if as_json:
        document = {"error": problem, "remedy": remedy, "exit_code": exit_code}
        typer.echo(json.dumps(document), err=True)
    else:
        typer.echo(f"{PROGRAM}: {f'{problem}: {remedy}' if remedy else problem}", err=True)


def write(text: str, output: Path | None, *, as_json: bool = False) -> None:
    """Print `text`, or write it to a file and print its path."""
    if output is None:
        typer.echo(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentUnavailable(
            f"{output}: cannot be written ({error.strerror})", "choose another --output"
        ) from error
    typer.echo(json.dumps({"output": str(output)}) if as_json else str(output))
