"""The journal: what the migration did, measured and decided. It is the state and the audit in one.

Events are append-only and hash-chained (`chain`); a migration is where the fold of its events says
it is (`phases`). An append returns once the event is on disk; it is safe from several processes.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import sqlalchemy as sa

from feed_migration import phases
from feed_migration.errors import JournalUnavailable, MigrationActive, Refused, UsageError
from feed_migration.events import Event, EventKind
from feed_migration.fence import read_epoch
from feed_migration.journal.anchors import Hook
from feed_migration.journal.chain import VerifyResult
from feed_migration.journal.database import LOCK_WAIT_SECONDS, JournalDatabase
from feed_migration.journal.heads import ONWARD, HeadKeeper, last_event, newest_head
from feed_migration.journal.keys import AuditPlace, HeadSigner, Trusted, load_trusted
from feed_migration.journal.measurements_verify import altered
from feed_migration.journal.notice_ledger import NoticeLedger
from feed_migration.journal.reader import JournalReader
from feed_migration.journal.rows import (
    active_state,
    folded,
    highest_epoch,
    migration_at,
    select_events,
    started_body,
)
from feed_migration.journal.seals import RunKey
from feed_migration.journal.spool import UNRESOLVED, Spool, SpooledEvent
from feed_migration.journal.tables import LEASES
from feed_migration.journal.verify import verify_journal
from feed_migration.journal.whole import WholeRows
from feed_migration.journal.writing import EventWriter
from feed_migration.lease import Lease
from feed_migration.model import Measurement, Step

type Choice = Callable[[Sequence[Event]], Sequence[tuple[EventKind, Mapping[str, Any]]]]


class Journal(JournalReader):
    """The journal of one deployment, by SQLAlchemy URL or path of a SQLite file.

    Opening absorbs what a rollback spooled while the journal was down (`journal.spool.jsonl`
    beside the file), and anchors heads that a crash kept in the database. Who only reads may leave
    it there (`leaves_spool`) where it cannot be appended: `spool_left` says why. Heads are signed
    with the key in `home` (`keys.AuditPlace`), or by `signer`; `on_head` is told of each that is
    anchored. Every method raises `JournalUnavailable` when the database does not answer.
    """

    def __init__(
        self,
        url_or_path: str | Path,
        *,
        home: Path | None = None,
        clock: Callable[[], float] = time.time,  # noqa: TID251 - the edge of the process
        lock_wait_seconds: float = LOCK_WAIT_SECONDS,
        signer: HeadSigner | None = None,
        on_head: Hook | None = None,
        leaves_spool: bool = False,
    ) -> None:
        url = str(url_or_path)
        if "://" not in url:
            # in a URL a percent sign is an escape, in a path it is not
            url = f"sqlite:///{quote(str(Path(url).absolute()))}"
        self._clock = clock
        self._database = JournalDatabase(url, lock_wait_seconds=lock_wait_seconds)
        self._home = home or self._database.directory
        self._place = AuditPlace.of(self._home) if self._home else None
        self._heads = HeadKeeper(self._place, signer=signer, hook=on_head, clock=clock)
        self._whole = WholeRows(self._believed)
        self.spool_left = ""
        self._heads.catch_up(self._database)
        if self._home is not None:
            spool = Spool(self._home / "journal.spool.jsonl")
            try:
                self.absorb(spool)
            except JournalUnavailable as error:
                if not leaves_spool:
                    raise
                self.spool_left = str(error)
            spool.reserve()

    @property
    def backend(self) -> str:
        """Which database it is on, as SQLAlchemy names it."""
        return self._database.url.get_backend_name()

    def hurried(self, lock_wait_seconds: float) -> Self:
        """Return the same journal for a caller that cannot wait long for a lock."""
        other = copy(self)
        other._database = self._database.hurried(lock_wait_seconds)  # noqa: SLF001 - our own kind
        return other

    def absorb(self, spool: Spool) -> None:
        """Append what `spool` holds, in order and each event once, and empty it."""
        try:
            spool.absorb(self._absorb)
        except OSError as error:
            raise JournalUnavailable(
                f"{spool.path}: cannot be absorbed ({error.strerror})",
                "it holds the events of a rollback: make it readable and writable, then repeat",
            ) from error

    def require_key(self) -> None:
        """Raise `JournalUnavailable` where what this process appends must be signed and cannot."""
        with self._database.reading() as connection:
            self._heads.signer(lambda: newest_head(connection))

    def append(self, kind: str, *, migration_id: str, actor: str, body: Mapping[str, Any]) -> Event:
        """Append one event (`events.EventKind`) and return it; it is on disk."""
        kind = EventKind(kind).value
        with self._appending(kind, migration_id) as writer:
            return writer.insert(kind, migration_id, actor, body)

    def note(self, migration_id: str, actor: str, body: Mapping[str, Any], *, once: str) -> bool:
        """Append an audit note, unless one has the same `body[once]`.

        Returns whether it was new; of two processes that note the same at once, one does.
        """
        kind = EventKind.AUDIT_NOTE.value
        with self._appending(kind) as writer:
            earlier = select_events(writer.connection, migration_id, kind)
            if any(event.body.get(once) == body[once] for event in earlier):
                return False
            writer.insert(kind, migration_id, actor, body)
            return True

    def acknowledge_restore(self, actor: str, reason: str) -> Event:
        """Say that the database is an older one on purpose, and anchor it anew; return the note.

        The anchors of before are kept beside, under the name in the note's `kept`. Raises `Refused`
        where the anchors do not contradict the database.
        """
        problem = self._heads.contradiction(self._database)
        if not problem:
            raise Refused(
                "the anchors do not contradict the journal",
                "nothing needs to be acknowledged; see `backpack-migrate audit verify`",
            )
        kept = f"anchors.before-{_stamp(self._clock())}.jsonl"
        body = {"note": "restored", "reason": reason, "problem": problem, "kept": kept}
        migration_id = self.active_migration() or self.latest_migration() or "none"
        # the note first: anchors that nobody answers for are not moved
        note = self.append("audit_note", migration_id=migration_id, actor=actor, body=body)
        self._heads.set_aside(kept, self._database)
        return note

    def append_chosen(
        self,
        migration_id: str,
        actor: str,
        choose: Choice,
        *,
        kind: str | None = None,
        onward: bool = False,
    ) -> list[Event]:
        """Append what `choose` makes of the migration's events so far, and return it.

        Nobody writes between what it reads (all but notes, or those of `kind`) and what it writes,
        so of two that decide at once one sees the other. What it raises leaves the journal alone.
        What goes forward has a place in it where it is `onward`, but for what waits for anchors.
        """
        what = EventKind.STEP_STARTED if onward else EventKind.VERDICT
        with self._appending(what, migration_id) as writer:
            but = phases.WITHOUT_EFFECT if kind is None else ()
            chosen = choose(list(select_events(writer.connection, migration_id, kind, but=but)))
            return [
                writer.insert(EventKind(kind).value, migration_id, actor, body)
                for kind, body in chosen
            ]

    def begin_migration(
        self,
        plan_name: str,
        plan_sha256: str,
        actor: str,
        *,
        steps: Sequence[Step] = (),
        run_key: str = "",
        fleet_epoch: int = 0,
        fleet: Mapping[str, Any] | None = None,
    ) -> str:
        """Start a migration at the next fencing epoch and return its id.

        The epoch is above `fleet_epoch`, too: a restored database may not know the last ones.
        `fleet` is a `fleet.known.record`. Raises `MigrationActive` while another one is active. A
        repeat with the same `run_key` (a retry) returns the migration that the first call began.
        """
        with self._appending(EventKind.MIGRATION_STARTED) as writer:
            active = active_state(writer.connection)
            if active and run_key and active.run_key == run_key:
                return active.migration_id
            if active:
                raise MigrationActive(
                    f"migration {active.migration_id} is {active.status} at {active.step}",
                    "finish it, or take it back with `backpack-migrate rollback`",
                )
            epoch = 1 + max(highest_epoch(writer.connection), self._fleet_epoch(), fleet_epoch)
            migration_id = f"mig-{epoch:04d}-{_stamp(self._clock())}"
            more: dict[str, Any] = {"epoch": epoch, "run_key": run_key, "fleet": fleet or {}}
            body = started_body(plan_name, plan_sha256, steps, **more)
            writer.insert(EventKind.MIGRATION_STARTED.value, migration_id, actor, body)
            return migration_id

    def record(
        self,
        migration_id: str,
        step: str,
        measurements: Iterable[Measurement],
        *,
        run: str = "1",
    ) -> list[Measurement]:
        """Keep measurements with their seal (`journal.seals`), and return those that stand.

        Of one criterion and tick of a run the first one written stands, of two that judge at once
        perhaps the other's.
        """
        key = RunKey(migration_id=migration_id, step=step, run=run)
        with self._appending(EventKind.AUDIT_NOTE) as writer:
            return writer.record(key, measurements)

    def altered(self, migration_id: str, step: str, run: str = "1") -> str:
        """Return why the measurements of a run are not those that were recorded, "" where they are.

        Neither the chain nor other runs are looked at: that is for `verify`.
        """
        key = RunKey(migration_id=migration_id, step=step, run=run)
        with self._database.streaming() as (connection, watchdog):
            return altered(connection, key, trusted=self._believed(), pat=watchdog.pat)

    def renew_lease(self, migration_id: str, *, holder: str, seconds: float) -> Lease:
        """Say that `holder` watches the exposure of a migration for the next `seconds`."""
        lease = Lease(
            migration_id=migration_id, holder=holder, renewed_at=self._clock(), seconds=seconds
        )
        with self._database.writing() as connection:
            connection.execute(sa.insert(LEASES), asdict(lease))
        return lease

    def verify(
        self,
        expect_head: str | None = None,
        *,
        anchors: Path | None = None,
        trusted: Trusted | None = None,
    ) -> VerifyResult:
        """Check chain, heads, anchors and measurements; see `journal.verify.verify_journal`.

        `expect_head` is a `seq:hash` noted earlier. `anchors` (a file) and `trusted` (public keys)
        default to those of the state directory; a copy kept elsewhere proves more.
        """
        return verify_journal(
            self._database,
            expect_head=expect_head,
            anchors=anchors or (self._place.anchors if self._place else None),
            trusted=trusted or self._trusted(),
        )

    def flaw_of(self, migration_id: str) -> str:
        """Return what is wrong with the rows that a migration rests on; see `journal.whole`."""
        return self._whole.first_flaw(self._database, migration_id)

    def notice_ledger(self) -> NoticeLedger:
        """Return which notices were told."""
        return NoticeLedger(self._database)

    def grant(self, role: str) -> None:
        """Let a Postgres role read and append; see `JournalDatabase.grant`."""
        self._database.grant(role)

    @contextmanager
    def _appending(self, kind: str, migration_id: str | None = None) -> Iterator[EventWriter]:
        self._heads.require(kind, self._database)
        # before the lock, which the way back may wait for
        walked = self._whole.require(self._database, migration_id) if kind in ONWARD else None
        with self._database.writing() as connection:
            if walked is not None and walked != _last_hash(connection):
                # who wrote since is nobody whose rows were looked at
                self._whole.require(self._database, migration_id)
            writer = EventWriter(connection, self._heads, self._clock)
            yield writer
        if writer.has_written:
            self._heads.anchor(self._database, writer.fresh)

    def _absorb(self, spooled: SpooledEvent) -> None:
        with self._appending(spooled.kind) as writer:
            migration_id = spooled.migration_id
            if migration_id == UNRESOLVED:
                # who came later was not taken back by it; without one it is nobody's
                migration_id = migration_at(writer.connection, spooled.at) or UNRESOLVED
            earlier = select_events(writer.connection, migration_id, text=spooled.id)
            if any(event.body.get("spool_id") == spooled.id for event in earlier):
                return
            kind, body = spooled.booked(folded(writer.connection, migration_id))
            writer.insert(kind, migration_id, spooled.actor, body, at=spooled.at)

    def _trusted(self) -> Trusted:
        return load_trusted(self._place.trusted_keys) if self._place else Trusted()

    def _believed(self) -> Trusted:
        """Return the keys that a step or a gate goes by: a slip in their file moves no fleet."""
        try:
            return self._trusted()
        except UsageError as error:
            raise JournalUnavailable(error.problem, error.remedy) from error

    def _fleet_epoch(self) -> int:
        return read_epoch(self._home / "fleet" / "epoch") if self._home else 0


def _last_hash(connection: sa.Connection) -> str:
    last = last_event(connection)
    return last.hash if last else ""


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
