"""What the commands of a person at a shell share: words, and the trace that they leave."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from feed_migration.cli.asked_start import SHELL
from feed_migration.cli.parts import actor_here, notice, open_journal
from feed_migration.deployment import Deployment
from feed_migration.errors import JournalUnavailable
from feed_migration.events import EventKind
from feed_migration.holding import MAX_REASON
from feed_migration.journal.refusals import NO_MIGRATION

WATCH = "backpack-migrate status --watch"

Reason = Annotated[str, typer.Option(help="Kept in the audit log.")]


def said_at_shell(reason: str) -> str:
    """Return `reason` with who gave it: Airflow knows only the user that the deployment names."""
    who = f"at a shell, {actor_here()}"
    return f"{reason[: MAX_REASON - len(who) - 3]} ({who})" if reason else who


def note_at_shell(deployment: Deployment, facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Keep who asked at this shell: Airflow knows only the user that the deployment names."""
    body = {"note": SHELL, **facts}
    try:
        journal = open_journal(deployment, lock_wait_seconds=2.0)
        known = journal.active_migration() or NO_MIGRATION
        journal.append(EventKind.AUDIT_NOTE, migration_id=known, actor=actor_here(), body=body)
    except JournalUnavailable as error:
        notice(f"not in the journal: {error}", as_json=as_json)
