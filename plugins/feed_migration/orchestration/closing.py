"""The end of a migration: its report on disk, what has become redundant, and the closing event."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from feed_migration.events import EventKind
from feed_migration.feedback import feedback_of, feedback_section
from feed_migration.leftovers.listing import write_leftovers
from feed_migration.phases import Status
from feed_migration.report.pages import migration_report
from feed_migration.report.parity import read_parity

if TYPE_CHECKING:
    from feed_migration.journal.store import Journal

# Where the incumbent lives; what is left of these after the migration serves nobody.
REDUNDANT = (
    "plugins/backpack_feed/incumbent/*.py",
    "tests/**/test_*ccxt*.py",
    "tests/fixtures/backpack/**/*ccxt*",
    "docs/**/*ccxt*.md",
)


def close_promoted(
    journal: "Journal",
    migration_id: str,
    actor: str,
    *,
    instances: Mapping[str, str],
    page: Path,
    root: Path,
    parity: Path,
) -> Path:
    """Write the report to `page` and finish the migration; told twice, it finishes once.

    `instances` is id → variant now; `root` is the checkout in which references to ccxt are looked
    for, into a list and a patch beside `page`; `parity` is the folder with the evidence of the
    shadow phase.
    """
    if journal.state(migration_id).status is Status.RUNNING:
        finished = (EventKind.MIGRATION_FINISHED, {"outcome": str(Status.PROMOTED)})
        journal.append_chosen(migration_id, actor, lambda _: [finished], onward=True)
    events = journal.events(migration_id)
    report = migration_report(events, instances, journal.verify(), read_parity(parity))
    parts = (report, feedback_section(feedback_of(events)), clean_up_list(root), _left(root, page))
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    return page


def _left(root: Path, page: Path) -> str:
    """Return the section about references to ccxt, whose list and patch are written beside."""
    head = "## References to ccxt in docs, fixtures and tests"
    try:
        found = write_leftovers(root, page.parent, page.stem)
    except OSError as error:
        # no reason to leave a promoted migration open
        return f"{head}\n\nThey could not be listed: {error.strerror or type(error).__name__}."
    files = f"[list]({found.listing.name}), [patch]({found.patch.name})"
    return f"{head}\n\n{files}\n\n{found.summary}"


def clean_up_list(root: Path) -> str:
    """Return what the ccxt feed leaves behind in `root`, as Markdown, for a person to remove."""
    files = sorted(
        {str(path.relative_to(root)) for pattern in REDUNDANT for path in root.glob(pattern)}
    )
    rows = [f"- [ ] `{name}`" for name in files] or ["Nothing of the ccxt feed is left."]
    return "\n".join(["## To be removed once nobody needs the way back", "", *rows, ""])
