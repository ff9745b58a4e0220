"""Run below `unshare`: fill a small tmpfs with a journal, and start again when there is room.

Prints a JSON object of what was confirmed while the disk filled up, and what is there afterwards.
"""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal


def main(disk: Path, home: Path) -> dict[str, object]:
    """`disk` is where the tmpfs goes; `home` is a roomy directory for what is not under test."""
    mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
    facts = {"spool": spooled(disk / "journal.spool.jsonl"), "anchors": anchored(disk, home)}
    mount("-o", "remount,size=512k", disk)
    facts["database"] = appended(disk)
    return facts


def spooled(path: Path) -> dict[str, object]:
    """Write to a spool with a reserve until its disk takes no more, and then absorb it."""
    spool = Spool(path, io.StringIO())
    spool.reserve(8192)
    sizes = []
    for number in range(400):
        body = {"number": number, "text": "x" * 200}
        spool.write("audit_note", at=1.0, migration_id="m", actor="ana", body=body)
        sizes.append(path.stat().st_size)
    taken = []
    spool.absorb(lambda event: taken.append(event.body["number"]))
    grown = sum(after > before for before, after in zip([0, *sizes], sizes, strict=False))
    path.unlink()
    return {
        "kept": grown,
        "absorbed": taken,
        "rejected": spool.rejected_path.exists(),
        "reserve_left": spool.reserve_path.exists(),
    }


def anchored(disk: Path, home: Path) -> dict[str, object]:
    """Fill the anchors' disk: steps forward stop, the way back does not, and it catches up."""
    file = disk / "anchors.jsonl"
    os.environ["BACKPACK_AUDIT_ANCHOR_FILE"] = str(file)
    make_key(AuditPlace.of(home))
    journal = Journal(home / "journal.db")
    who = {"migration_id": "m", "actor": "ana"}
    written, size = 0, -1
    while file.stat().st_size > size if written else True:
        size = file.stat().st_size if written else -1
        written = journal.append("held", body={"step": "shadow"}, **who).seq
    refused = ""
    try:
        journal.append("step_promoted", body={"step": "shadow"}, **who)
    except JournalUnavailable as error:
        refused = str(error)
    back = journal.append("rollback_started", body={"reason": "r", "epoch": 1}, **who)
    whole = file.read_bytes().endswith(b"\n")
    # a crash in the middle of a line, on top of the full disk
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size - 40)
    mount("-o", "remount,size=1m", disk)
    again = Journal(home / "journal.db")
    lines = file.read_text().splitlines()
    del os.environ["BACKPACK_AUDIT_ANCHOR_FILE"]
    return {
        "refused": refused,
        "back": back.seq,
        "whole": whole,
        "ok": again.verify().ok,
        "count": again.verify().count,
        "anchored": [json.loads(line)["seq"] for line in lines] == [h.seq for h in again.heads()],
        "promoted": again.append("step_promoted", body={"step": "shadow"}, **who).seq,
    }


def appended(disk: Path) -> dict[str, object]:
    """Append to SQLite until its disk is full, make room, and go on."""
    path = disk / "db" / "journal.db"
    confirmed, error = [], ""
    try:
        journal = Journal(path)
        for number in range(10_000):
            body = {"number": number, "text": "x" * 500}
            confirmed.append(
                journal.append("audit_note", migration_id="m", actor="ana", body=body).seq
            )
    except JournalUnavailable as problem:
        error = str(problem)
    mount("-o", "remount,size=4m", disk)
    later = Journal(path)
    result = later.verify()
    return {
        "confirmed": len(confirmed),
        "error": error,
        "ok": result.ok,
        "count": result.count,
        "next": later.append("audit_note", migration_id="m", actor="ana", body={}).seq,
    }


def mount(*arguments: object) -> None:
    """Mount in this process's own namespace."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))
