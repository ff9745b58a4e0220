"""`backpack-migrate audit` and `journal`: prove the log, hand it out, make its key and tables."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from feed_migration.cli.parts import (
    AsJson,
    Output,
    actor_here,
    deployment_here,
    open_journal,
    read_journal,
    say,
    write,
)
from feed_migration.deployment import Deployment
from feed_migration.errors import UsageError
from feed_migration.journal.export import (
    audit_json,
    audit_markdown,
    open_line,
    proof_line,
    verdict_line,
)
from feed_migration.journal.keys import AuditPlace, load_trusted, make_key, trust_since
from feed_migration.journal.store import Journal
from feed_migration.journal_url import REMEDY, is_mistyped

_BACKENDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}

audit_app = typer.Typer(help="Check and export the audit log.", no_args_is_help=True)
journal_app = typer.Typer(help="Prepare the journal's database.", no_args_is_help=True)


class Format(StrEnum):
    """Format of an export."""

    JSON = "json"
    MARKDOWN = "markdown"


@audit_app.command("verify")
def verify(
    expect_head: Annotated[
        str | None, typer.Option(help="A `seq:hash` noted earlier: shows a cut or rewritten log.")
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="A copy of the anchors; default: the deployment's file.")
    ] = None,
    trusted: Annotated[
        Path | None, typer.Option(help="Public keys, one per line; default: the deployment's.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check chain, heads, anchors and measurements; exit 1 and the first bad event on tampering."""
    for path in (anchors, trusted):
        if path is not None and not path.is_file():
            raise UsageError(f"{path}: no such file", "name a copy of the deployment's own")
    keys = load_trusted(trusted) if trusted is not None else None
    journal = read_journal(deployment_here(), as_json=as_json)
    result = journal.verify(expect_head, anchors=anchors, trusted=keys)
    lines = [verdict_line(result)]
    if result.ok:
        lines += filter(None, [proof_line(result), open_line(result)])
    what_next = [] if result.ok else ["keep the database and its anchors as they are, and compare"]
    say(asdict(result), lines, what_next=what_next, as_json=as_json)
    if not result.ok:
        raise typer.Exit(1)


@audit_app.command("export")
def export(
    output_format: Annotated[
        Format, typer.Option("--format", help="What the log is written as.")
    ] = Format.JSON,
    output: Output = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write every event with its hashes, and the signed heads."""
    if as_json and output is None and output_format is not Format.JSON:
        raise UsageError("--json and --format markdown", "choose one, or write to an --output")
    journal = read_journal(deployment_here(), as_json=as_json)
    render = audit_json if output_format is Format.JSON else audit_markdown
    text = render(journal.events(), journal.verify(), journal.heads())
    write(text, output, as_json=as_json)


@audit_app.command("key")
def key(*, as_json: AsJson = False) -> None:
    """Make the ED25519 key that signs the log from now on; prints the public key."""
    deployment = deployment_here()
    place = AuditPlace.of(deployment.home)
    # the database first: a key that signs nothing would make the log look tampered with
    journal = open_journal(deployment)
    public = make_key(place, since=None)
    body = {"note": "signing key", "public_key": public}
    who = {"migration_id": journal.latest_migration() or "none", "actor": actor_here()}
    note = journal.append("audit_note", body=body, **who)
    # what was written beside this until then may be without a signature, nothing is from then on
    trust_since(place, public, note.seq)
    say(
        {"public_key": public, "signing_key_file": str(place.signing_key)},
        [
            f"public key {public}",
            f"signing key {place.signing_key}: mount it where Airflow's workers find it",
        ],
        what_next=["backpack-migrate audit verify"],
        as_json=as_json,
    )


@audit_app.command("restored")
def restored(
    reason: Annotated[str, typer.Option(help="Which backup, and why; kept in the audit log.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Acknowledge a restored database: keep the anchors that contradict it, and anchor it anew."""
    if not reason.strip():
        raise UsageError("--reason: says nothing", "say which backup was restored, and why")
    journal = open_journal(deployment_here())
    note = journal.acknowledge_restore(actor_here(), reason)
    facts = {key: note.body[key] for key in ("reason", "problem", "kept")}
    say(
        {"event": note.seq, "actor": note.actor, **facts},
        [f"event {note.seq}: restored, {reason}", f"the anchors of before are in {facts['kept']}"],
        what_next=["backpack-migrate audit verify", "backpack-migrate status"],
        as_json=as_json,
    )


@journal_app.command("init")
def init(
    writer: Annotated[
        str | None, typer.Option(help="A Postgres role: it may read and append, nothing else.")
    ] = None,
    url_file: Annotated[
        Path | None,
        typer.Option(help="A file with the owner's URL; default: journal_url of deployment.yaml."),
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Make the tables and their triggers as the owner, and grant the writers' role its rights."""
    deployment = deployment_here()
    url = _url(deployment, url_file)
    if writer is not None and not url.startswith("postgres"):
        raise UsageError("--writer: only Postgres has roles", "leave it out")
    journal = Journal(url)
    if writer is not None:
        journal.grant(writer)
    rights = f", {writer} may read and append" if writer else ""
    say(
        {"ready": True, "backend": journal.backend, "writer": writer},
        [f"journal ready on {_BACKENDS.get(journal.backend, journal.backend)}{rights}"],
        as_json=as_json,
    )


# A callback keeps the name of a lone command: `journal init`, not `journal`.
@journal_app.callback()
def _journal() -> None:
    """Prepare the journal's database."""


def _url(deployment: Deployment, url_file: Path | None) -> str:
    if url_file is None:
        return deployment.journal_url
    try:
        url = url_file.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise UsageError(f"{url_file}: cannot be read ({why})", "name a readable file") from error
    if is_mistyped(url):
        # not with the value: it may hold a password
        raise UsageError(f"{url_file}: no URL, and looks like one", REMEDY)
    return url
