"""Where a rollback writes what the journal cannot take: a JSON-lines file, and stderr.

The next good start of the journal absorbs the file, in order and each line once.
"""

import fcntl
import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from feed_migration.chain import canonical_json

# The journal that knows which migration was taken back did not answer; it fills this in later
UNRESOLVED = "unresolved"


@dataclass(frozen=True, kw_only=True)
class SpooledEvent:
    """An event that waits for the journal; `id` keeps it from being absorbed twice."""

    id: str
    at: float
    migration_id: str
    kind: str
    actor: str
    body: Mapping[str, Any]


class Spool:
    """Append-only file of spooled events. Writing never raises: a rollback must go on."""

    def __init__(self, path: Path, errors: IO[str] | None = None) -> None:
        self.path = path
        self._errors = errors

    def write(
        self, kind: str, *, at: float, migration_id: str, actor: str, body: Mapping[str, Any]
    ) -> None:
        """Keep one event, on disk if the disk lets us, on stderr in any case."""
        line = canonical_json(
            {
                "id": uuid.uuid4().hex,
                "at": at,
                "migration_id": migration_id,
                "kind": kind,
                "actor": actor,
                "body": body,
            }
        )
        with suppress(OSError, ValueError):
            (self._errors or sys.stderr).write(f"journal unavailable, spooled: {line}\n")
        with suppress(OSError):
            self._append(line)

    def absorb(self, take: Callable[[SpooledEvent], None]) -> int:
        """Hand every event to `take`, then empty the file; returns how many there were.

        A line torn by a full disk or a crash is skipped. If `take` raises, the file stays whole.
        """
        if not self.path.exists():
            return 0
        with self._locked("r+b") as stream:
            events = list(_events(stream.read()))
            for event in events:
                take(event)
            stream.truncate(0)
            os.fsync(stream.fileno())
            return len(events)

    def _append(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked("ab") as stream:
            # a torn line of an earlier crash must not swallow this one
            stream.write(b"\n" + line.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    @contextmanager
    def _locked(self, mode: str) -> Iterator[IO[bytes]]:
        with self.path.open(mode) as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield stream


def _events(raw: bytes) -> Iterator[SpooledEvent]:
    for line in raw.splitlines():
        with suppress(ValueError, TypeError):
            yield SpooledEvent(**json.loads(line))
