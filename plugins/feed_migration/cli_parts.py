"""What the groups of `backpack-migrate` share: the deployment, its journal, and where text goes."""

from pathlib import Path
from typing import Annotated

import typer

from feed_migration.deployment import Deployment, home_directory, load_deployment
from feed_migration.errors import EnvironmentUnavailable
from feed_migration.journal import Journal
from feed_migration.journal_db import LOCK_WAIT_SECONDS

Output = Annotated[Path | None, typer.Option("--output", help="Write to this file.")]


def deployment_here() -> Deployment:
    """Return the deployment of BACKPACK_HOME."""
    return load_deployment(home_directory())


def open_journal(deployment: Deployment, lock_wait_seconds: float = LOCK_WAIT_SECONDS) -> Journal:
    """Return the journal of a deployment."""
    return Journal(
        deployment.journal_url, home=deployment.home, lock_wait_seconds=lock_wait_seconds
    )


def write(text: str, output: Path | None) -> None:
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
    typer.echo(str(output))
