"""What the guard must know to act alone, and its copy on disk for the day the journal is away."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from feed_migration.durable import write_text
from feed_migration.lease import Lease
from feed_migration.phases import Status

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Known:
    """One migration as the journal last told it. Times are unix seconds.

    `exposed` may be on native; `proven` says that all steps are promoted but for the report;
    `acting` is an act that was intended and not confirmed; `moved` are the steps whose act was
    confirmed, None where a copy of an earlier version does not say.
    `gate_started_unix` is set while the current step's gate has begun and has no verdict.
    `breach` is why a Rollback verdict wants the fleet back, "" without one. `rollback_actor` last
    said something of a rollback, at `rollback_said_at`. `fleet` is the one it began with.
    """

    migration_id: str
    status: Status
    plan_sha256: str = ""
    step: str = ""
    run: str = "1"
    exposed: tuple[str, ...] = ()
    fleet: Mapping[str, Any] = field(default_factory=dict)
    acting: bool = False
    moved: tuple[str, ...] | None = None
    proven: bool = False
    gate_started_unix: float | None = None
    lease: Lease | None = None
    breach: str = ""
    rollback_actor: str = ""
    rollback_said_at: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What was known, and when the journal last said so (unix seconds of the guard's own clock).

    `lease_seen_at` is when its lease was first seen, by the same clock; older copies do not say.
    """

    known: Known | None
    read_at: float
    lease_seen_at: float | None = None


class KnowledgeFile:
    """The copy on disk. A full disk costs the copy, never the guard."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._complained = False

    def save(self, copy: Copy) -> None:
        """Replace the copy, whole or not at all; a failure is told of once."""
        try:
            write_text(self.path, msgspec.json.encode(copy).decode() + "\n")
        except OSError as error:
            if not self._complained:
                LOG.warning("%s cannot be written: %s", self.path, error.strerror)
            self._complained = True
        else:
            self._complained = False

    def load(self) -> Copy | None:
        """Return the copy, None where there is none that can be read."""
        with suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(self.path.read_bytes(), type=Copy)
        return None
