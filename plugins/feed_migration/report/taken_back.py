"""The report of a promoted migration, kept true: what is taken back later is said at its head."""

import re
from pathlib import Path

from feed_migration.durable import write_text
from feed_migration.markdown import cell, utc
from feed_migration.report.incident import Incident

_HEAD = "<!-- taken back -->"
_FOOT = "<!-- what follows is as of its promotion -->"
_TITLE = re.compile(r"\A(# Migration .*): promoted$", re.MULTILINE)
_NOTICE = re.compile(f"{_HEAD}.*?{_FOOT}\n\n", re.DOTALL)


def correct_report(page: Path, incident: Incident, incidents_page: Path) -> bool:
    """Say in the report at `page`, if there is one, that its migration was taken back; OSError.

    Returns whether it was rewritten. Told again, also of a later verification, it says the newest.
    """
    if not page.is_file():
        return False
    text = page.read_text(encoding="utf-8")
    bare = _NOTICE.sub("", text, count=1)
    titled = _TITLE.sub(r"\1: rolled back", bare, count=1)
    # a report that was written after the way back tells of it in full
    if bare == text and titled == bare:
        return False
    title, _, rest = titled.partition("\n\n")
    corrected = f"{title}\n\n{_notice(incident, incidents_page)}{rest}"
    if corrected == text:
        return False
    write_text(page, corrected)
    return True


def _notice(incident: Incident, incidents_page: Path) -> str:
    verified = incident.verified_at
    proof = f"verified on ccxt at {utc(verified)}" if verified is not None else "not verified yet"
    words = (
        f"**Taken back** from {utc(incident.breach_at)} on, {proof}, by {cell(incident.actor)}: "
        f"{cell(incident.reason)}. See [the incident]({incidents_page.name}). What follows was "
        "written when the migration was promoted."
    )
    return f"{_HEAD}\n\n{words}\n\n{_FOOT}\n\n"
