"""Where a rollback writes what the journal cannot take: a JSON-lines file, and stderr.

The next good start of the journal absorbs the file, in order and each line once. It also sets a
reserve aside, which a full disk gives back for the events of one rollback.
"""

import errno
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from feed_migration.durable import append_whole, lock
from feed_migration.events import SPOOLED, EventKind
from feed_migration.journal.chain import canonical_json
from feed_migration.phases import MigrationState, Status

# The journal that knows which migration was taken back did not answer; it fills this in later
UNRESOLVED = "unresolved"
_ROLLBACK = frozenset(
    {EventKind.ROLLBACK_STARTED, EventKind.ROLLBACK_ACT, EventKind.ROLLBACK_VERIFIED}
)
# The events of a rollback of a hundred instances with their last log lines
RESERVE_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class SpooledEvent:
    """An event that waits for the journal; `id` keeps it from being absorbed twice."""

    id: str
    at: float
    migration_id: str
    kind: str
    actor: str
    body: Mapping[str, Any]

    def booked(self, state: MigrationState) -> tuple[str, dict[str, Any]]:
        """Return kind and body for the journal, where the migration stands at `state`.

        A rollback that was over before others had verified theirs begins nothing anew: it would
        open the books of a migration whose fleet may be the next one's by now.
        """
        body = {**self.body, "spool_id": self.id}
        over = state.ended_at if state.status is Status.ROLLED_BACK else None
        if self.kind not in _ROLLBACK or over is None or self.at > over:
            return self.kind, body
        return EventKind.AUDIT_NOTE.value, {**body, "note": SPOOLED, "kind": self.kind}


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

    def is_empty(self) -> bool:
        """Return whether nothing waits; raises OSError where the file cannot be asked."""
        try:
            return self.path.stat().st_size == 0
        except (FileNotFoundError, NotADirectoryError):
            return True

    def waiting(self) -> int:
        """Return how many events wait; raises OSError where the file cannot be read."""
        return 0 if self.is_empty() else len(_parse(self.path.read_bytes())[0])

    def absorb(self, take: Callable[[SpooledEvent], None]) -> int:
        """Hand every event to `take`, then empty the file; returns how many there were.

        A line torn by a full disk or a crash, or that is no event, goes to `rejected_path`: it may
        be evidence. If `take` raises, the file stays whole.
        """
        if self.is_empty():
            return 0
        count = 0
        with self._locked("r+b") as stream:
            # again until nothing is left: who could not wait for the lock has gone on without
            while raw := stream.read():
                events, rejected = _parse(raw)
                for event in events:
                    take(event)
                if rejected:
                    self._keep(rejected)
                count += len(events)
            stream.truncate(0)
            os.fsync(stream.fileno())
        return count

    @property
    def rejected_path(self) -> Path:
        """Lines that could not be read as events, as they were."""
        return self.path.with_name(f"{self.path.name}.rejected")

    def _keep(self, lines: list[bytes]) -> None:
        with self.rejected_path.open("ab") as stream:
            stream.writelines(line + b"\n" for line in lines)
            stream.flush()
            os.fsync(stream.fileno())
        (self._errors or sys.stderr).write(
            f"{len(lines)} unreadable lines of {self.path} are kept in {self.rejected_path}\n"
        )

    def reserve(self, size: int = RESERVE_BYTES) -> None:
        """Set room aside for the day the disk is full; none is set aside on a nearly full one."""
        path = self.reserve_path
        with suppress(OSError):
            room = os.statvfs(path.parent)
            if path.exists() or room.f_bavail * room.f_frsize < 4 * size:
                return
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.posix_fallocate(descriptor, 0, size)
            finally:
                os.close(descriptor)

    @property
    def reserve_path(self) -> Path:
        """The room set aside."""
        return self.path.with_name(f"{self.path.name}.reserve")

    def _append(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # a torn line of an earlier crash must not swallow this one
        raw = b"\n" + line.encode() + b"\n"
        with self.path.open("ab", buffering=0) as stream:
            # without the lock rather than not at all: its holder may have been stopped
            with suppress(BlockingIOError):
                lock(stream.fileno())
            try:
                append_whole(stream.fileno(), raw)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                self.reserve_path.unlink(missing_ok=True)
                append_whole(stream.fileno(), raw)

    @contextmanager
    def _locked(self, mode: str) -> Iterator[IO[bytes]]:
        with self.path.open(mode) as stream:
            lock(stream.fileno())
            yield stream


def _parse(raw: bytes) -> tuple[list[SpooledEvent], list[bytes]]:
    """Return the events, and the lines that are none."""
    events: list[SpooledEvent] = []
    rejected: list[bytes] = []
    for line in filter(bytes.strip, raw.splitlines()):
        try:
            events.append(msgspec.json.decode(line, type=SpooledEvent))
        except (msgspec.DecodeError, UnicodeDecodeError):
            rejected.append(line)
    return events, rejected
