"""Which migration a rollback at a shell takes back: an id that is wrong stops it no more than none.

Every instance goes back, so it is the active migration that is over afterwards. Events under
another id would leave it held or running in the journal, with nothing of it on native any more.
"""

from typing import Annotated

import typer

from feed_migration.cli.completion import complete_migration_to_take_back
from feed_migration.journal.store import Journal

WhichBack = Annotated[
    str | None,
    typer.Option(
        "--migration",
        metavar="ID",
        help="Only counts where the journal is away: else it is the active one, or the latest.",
        autocompletion=complete_migration_to_take_back,
    ),
]


def migration_to_take_back(journal: Journal, given: str | None) -> tuple[str | None, str]:
    """Return the id of the migration to take back, and what to tell of it, "" for nothing.

    None is a journal without any migration, and none given. Raises `JournalUnavailable`.
    """
    active = journal.active_migration()
    known = active or journal.latest_migration()
    if known is None or given in {None, "", known}:
        return known or given or None, ""
    right = f"{known} is taken back, the {'active' if active else 'latest'} one"
    if given not in journal.migrations():
        return known, f"the journal has no migration {given}: {right}"
    status = str(journal.state(str(given)).status).replace("_", " ")
    return known, f"{given} is {status} already: {right}"
