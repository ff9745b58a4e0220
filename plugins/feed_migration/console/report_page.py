"""A migration's report as a page: what `backpack-migrate report` writes, for a browser."""

from contextlib import suppress
from html import escape

from markdown_it import MarkdownIt

from feed_migration.console.feeders import Sources
from feed_migration.errors import EnvironmentUnavailable, Refused
from feed_migration.fleet.choice import open_fleet
from feed_migration.journal.pages import EventFilter, PagedJournal
from feed_migration.report.pages import migration_report
from feed_migration.report.parity import read_parity

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="static/console.css">
<link rel="stylesheet" href="static/report.css">
</head>
<body>
<main class="report">
<p><a href="./">Console</a> ·
<a href="report.md?migration={title}" download="{title}.md">As Markdown</a></p>
{body}
</main>
</body>
</html>
"""


def report_text(sources: Sources, migration_id: str) -> str:
    """Return the report of a migration as Markdown; a fleet that does not answer is left out.

    Raises Refused where the journal has no such migration, JournalUnavailable.
    """
    journal = sources.reading().journal
    events = journal.events(migration_id) if migration_id else []
    if not events:
        raise Refused(
            f"the journal has no such migration {migration_id[:80]}".rstrip(), "start one"
        )
    deployment = sources.deployment()
    variants: dict[str, str] = {}
    with suppress(EnvironmentUnavailable):
        variants = {one.id: one.variant for one in open_fleet(deployment).instances()}
    parity = read_parity(deployment.parity_folder)
    return migration_report(events, variants, journal.verify(), parity)


def report_page(sources: Sources, migration_id: str) -> str:
    """Return the report as HTML; markup in the journal's words stays text."""
    body = _reader().render(report_text(sources, migration_id))
    return _PAGE.format(title=escape(migration_id), body=_scrolling(body))


def migration_of_run(journal: PagedJournal, run_id: str) -> str:
    """Return the migration that a DAG run has joined last, "" where there is none."""
    for event in journal.search(EventFilter(kind="audit_note", text=run_id)):
        if isinstance(event.body, dict) and event.body.get("run_id") == run_id:
            return event.migration_id
    return ""


def _reader() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _scrolling(body: str) -> str:
    """Let wide tables scroll by themselves, by keyboard too."""
    start = '<div class="scroll" role="group" aria-label="Table" tabindex="0"><table>'
    return body.replace("<table>", start).replace("</table>", "</table></div>")
