"""The journal: what the migration did, measured and decided. It is the state and the audit in one.

Events are append-only and hash-chained (`chain`); a migration is where the fold of its events says
it is (`phases`). An append returns once the event is on disk; it is safe from several processes.
"""

import json
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from feed_migration import phases
from feed_migration.errors import JournalUnavailable, MigrationActive
from feed_migration.events import Event, EventKind
from feed_migration.fence import read_epoch
from feed_migration.journal.anchors import Hook
from feed_migration.journal.chain import GENESIS_HASH, VerifyResult, canonical_json, link
from feed_migration.journal.database import LOCK_WAIT_SECONDS, JournalDatabase
from feed_migration.journal.heads import HeadKeeper, heads_after
from feed_migration.journal.keys import AuditPlace, Head, HeadSigner, load_trusted
from feed_migration.journal.notice_ledger import NoticeLedger
from feed_migration.journal.rows import (
    active_state,
    folded,
    highest_epoch,
    kept_measurements,
    migration_ids,
    newest_events,
    newest_lease,
    newest_measurements,
    select_events,
    step_facts,
)
from feed_migration.journal.spool import UNRESOLVED, Spool, SpooledEvent
from feed_migration.journal.tables import EVENTS, LEASES, MEASUREMENTS
from feed_migration.journal.verify import verify_journal
from feed_migration.lease import Lease
from feed_migration.model import Measurement, Step
from feed_migration.phases import MigrationState

type Choice = Callable[[Sequence[Event]], Sequence[tuple[EventKind, Mapping[str, Any]]]]


class Journal:
    """The journal of one deployment, by SQLAlchemy URL or path of a SQLite file.

    Opening absorbs what a rollback spooled while the journal was down (`journal.spool.jsonl`
    beside the file), and anchors heads that a crash kept in the database. Heads are signed with the
    key in `home` (`audit_keys.AuditPlace`), or by `signer`; `on_head` is told of each that is
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
    ) -> None:
        url = str(url_or_path)
        if "://" not in url:
            url = f"sqlite:///{Path(url).absolute()}"
        self._clock = clock
        self._database = JournalDatabase(url, lock_wait_seconds=lock_wait_seconds)
        self._home = home or _directory_of(self._database.url)
        self._place = AuditPlace.of(self._home) if self._home else None
        self._heads = HeadKeeper(self._place, signer=signer, hook=on_head, clock=clock)
        self._heads.catch_up(self._database)
        if self._home is not None:
            spool = Spool(self._home / "journal.spool.jsonl")
            self.absorb(spool)
            spool.reserve()

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

    def append(self, kind: str, *, migration_id: str, actor: str, body: Mapping[str, Any]) -> Event:
        """Append one event (`events.EventKind`) and return it; it is on disk."""
        kind = EventKind(kind).value
        with self._appending(kind) as connection:
            return self._insert(connection, kind, migration_id, actor, body)

    def note(self, migration_id: str, actor: str, body: Mapping[str, Any], *, once: str) -> bool:
        """Append an audit note with a signed head, unless one has the same `body[once]`.

        Returns whether it was new; of two processes that note the same at once, one does.
        """
        kind = EventKind.AUDIT_NOTE.value
        with self._appending(kind) as connection:
            earlier = select_events(connection, migration_id, kind)
            if any(event.body.get(once) == body[once] for event in earlier):
                return False
            self._insert(connection, kind, migration_id, actor, body, sign=True)
            return True

    def append_chosen(
        self, migration_id: str, actor: str, choose: Choice, *, kind: str | None = None
    ) -> list[Event]:
        """Append what `choose` makes of the migration's events so far, and return it.

        Nobody writes between what it reads (all but notes, or those of `kind`) and what it writes,
        so of two that decide at once one sees the other. What it raises leaves the journal alone.
        A step forward has no place in it: it does not wait for anchors.
        """
        with self._appending(EventKind.VERDICT) as connection:
            but = phases.WITHOUT_EFFECT if kind is None else ()
            chosen = choose(list(select_events(connection, migration_id, kind, but=but)))
            return [
                self._insert(connection, EventKind(kind).value, migration_id, actor, body)
                for kind, body in chosen
            ]

    def events(
        self,
        migration_id: str | None = None,
        kind: str | None = None,
        *,
        after_seq: int = 0,
        but: Collection[str] = (),
    ) -> list[Event]:
        """Return events in order, of one migration or kind or of all, after the one of that seq.

        Those of the kinds in `but` are left out.
        """
        with self._database.reading() as connection:
            return list(select_events(connection, migration_id, kind, after_seq=after_seq, but=but))

    def newest_events(self, migration_id: str, limit: int) -> list[Event]:
        """Return the last `limit` events of a migration, in order."""
        with self._database.reading() as connection:
            return newest_events(connection, migration_id, limit)

    def begin_migration(
        self,
        plan_name: str,
        plan_sha256: str,
        actor: str,
        *,
        steps: Sequence[Step] = (),
        run_key: str = "",
        fleet_epoch: int = 0,
    ) -> str:
        """Start a migration at the next fencing epoch and return its id.

        The epoch is above `fleet_epoch`, too: a restored database may not know the last ones.
        Raises `MigrationActive` while another one is active. A repeat with the same `run_key`
        (a retried task) returns the migration that the first call began.
        """
        with self._appending(EventKind.MIGRATION_STARTED) as connection:
            active = active_state(connection)
            if active and run_key and active.run_key == run_key:
                return active.migration_id
            if active:
                raise MigrationActive(
                    f"migration {active.migration_id} is {active.status} at {active.step}",
                    "finish it, or take it back with `backpack-migrate rollback`",
                )
            epoch = 1 + max(highest_epoch(connection), self._fleet_epoch(), fleet_epoch)
            migration_id = f"mig-{epoch:04d}-{_stamp(self._clock())}"
            body = {
                "plan": plan_name,
                "plan_sha256": plan_sha256,
                "epoch": epoch,
                "run_key": run_key,
                "steps": [step_facts(step) for step in steps],
            }
            kind = EventKind.MIGRATION_STARTED.value
            self._insert(connection, kind, migration_id, actor, body)
            return migration_id

    def active_migration(self) -> str | None:
        """Return the id of the migration that holds the deployment, if one does."""
        with self._database.reading() as connection:
            active = active_state(connection)
            return active.migration_id if active else None

    def latest_migration(self) -> str | None:
        """Return the id of the newest migration, over or not."""
        return next(iter(self.migrations(1)), None)

    def migrations(self, limit: int | None = None) -> list[str]:
        """Return the ids of the migrations, newest first, at most `limit` of them."""
        with self._database.reading() as connection:
            return migration_ids(connection, limit)

    def state(self, migration_id: str) -> MigrationState:
        """Return where the migration is: the fold of its events."""
        with self._database.reading() as connection:
            return folded(connection, migration_id)

    def max_epoch(self) -> int:
        """Return the highest fencing epoch that any event carries."""
        with self._database.reading() as connection:
            return highest_epoch(connection)

    def record(
        self,
        migration_id: str,
        step: str,
        measurements: Iterable[Measurement],
        *,
        run: str = "1",
    ) -> list[Measurement]:
        """Keep measurements; of one criterion and tick of a run the first one written stands.

        Returns those that stand, of two that judge at once perhaps the other's.
        """
        key = {"migration_id": migration_id, "step": step, "run": run}
        with self._database.writing() as connection:
            return kept_measurements(connection, key, measurements)

    def measurements(
        self, migration_id: str, step: str, run: str = "1", *, since_seconds: float = -math.inf
    ) -> list[Measurement]:
        """Return the measurements of one run of a gate, in the order of their ticks.

        Those of ticks from `since_seconds` into the gate on.
        """
        columns = MEASUREMENTS.c
        query = (
            sa.select(columns.row)
            .filter_by(migration_id=migration_id, step=step, run=run)
            .order_by(columns.tick_seconds, columns.criterion)
        )
        if math.isfinite(since_seconds):
            query = query.where(columns.tick_seconds >= since_seconds)
        with self._database.reading() as connection:
            return [Measurement.from_row(json.loads(row.row)) for row in connection.execute(query)]

    def newest_measurements(
        self, migration_id: str, step: str, run: str, ticks: int
    ) -> list[Measurement]:
        """Return the last `ticks` measurements of each criterion of a run, in order of ticks."""
        with self._database.reading() as connection:
            return newest_measurements(connection, migration_id, step, run, ticks)

    def last_tick_seconds(self, migration_id: str, step: str, run: str = "1") -> float | None:
        """Return the newest tick of a gate's run that anything was measured at."""
        query = sa.select(sa.func.max(MEASUREMENTS.c.tick_seconds)).filter_by(
            migration_id=migration_id, step=step, run=run
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar()

    def renew_lease(self, migration_id: str, *, holder: str, seconds: float) -> Lease:
        """Say that `holder` watches the exposure of a migration for the next `seconds`."""
        lease = Lease(
            migration_id=migration_id, holder=holder, renewed_at=self._clock(), seconds=seconds
        )
        with self._database.writing() as connection:
            connection.execute(sa.insert(LEASES), asdict(lease))
        return lease

    def lease(self, migration_id: str) -> Lease | None:
        """Return the lease of a migration as it was last renewed, None where it never was."""
        with self._database.reading() as connection:
            return newest_lease(connection, migration_id)

    def verify(
        self,
        expect_head: str | None = None,
        *,
        anchors: Path | None = None,
        trusted: frozenset[str] | None = None,
    ) -> VerifyResult:
        """Check chain, signed heads and anchors; see `journal_verify.verify_journal`.

        `expect_head` is a `seq:hash` noted earlier. `anchors` (a file) and `trusted` (public keys)
        default to those of the state directory; a copy kept elsewhere proves more.
        """
        if self._place is not None:
            anchors = anchors or self._place.anchors
            trusted = load_trusted(self._place.trusted_keys) if trusted is None else trusted
        return verify_journal(
            self._database,
            expect_head=expect_head,
            anchors=anchors,
            trusted=trusted or frozenset(),
        )

    def heads(self) -> list[Head]:
        """Return the signed heads in the database, in order."""
        return heads_after(self._database, 0)

    def notice_ledger(self) -> NoticeLedger:
        """Return which notices were told."""
        return NoticeLedger(self._database)

    def grant(self, role: str) -> None:
        """Let a Postgres role read and append; see `JournalDatabase.grant`."""
        self._database.grant(role)

    @contextmanager
    def _appending(self, kind: str) -> Iterator[sa.Connection]:
        self._heads.require(kind, self._database)
        with self._database.writing() as connection:
            yield connection
        self._heads.anchor(self._database)

    def _insert(
        self,
        connection: sa.Connection,
        kind: str,
        migration_id: str,
        actor: str,
        body: Mapping[str, Any],
        *,
        at: float | None = None,
        sign: bool = False,
    ) -> Event:
        last = connection.execute(
            sa.select(EVENTS.c.seq, EVENTS.c.hash).order_by(EVENTS.c.seq.desc()).limit(1)
        ).first()
        fields: dict[str, Any] = {
            "seq": last.seq + 1 if last else 1,
            "at": float(self._clock() if at is None else at),
            "migration_id": _printable(migration_id),
            "kind": kind,
            "actor": _printable(actor),
            # what is hashed is what a reader will get back
            "body": json.loads(canonical_json(body)),
        }
        prev_hash = last.hash if last else GENESIS_HASH
        event = Event(**fields, prev_hash=prev_hash, hash=link(prev_hash, fields))
        row = {**fields, "body": canonical_json(event.body)}
        row |= {"prev_hash": event.prev_hash, "hash": event.hash}
        connection.execute(sa.insert(EVENTS), row)
        self._heads.keep(connection, event, always=sign)
        return event

    def _absorb(self, spooled: SpooledEvent) -> None:
        with self._appending(spooled.kind) as connection:
            migration_id = spooled.migration_id
            if migration_id == UNRESOLVED:
                migration_id = next(iter(migration_ids(connection)), UNRESOLVED)
            earlier = select_events(connection, migration_id, spooled.kind)
            if any(event.body.get("spool_id") == spooled.id for event in earlier):
                return
            body = {**spooled.body, "spool_id": spooled.id}
            self._insert(connection, spooled.kind, migration_id, spooled.actor, body, at=spooled.at)

    def _fleet_epoch(self) -> int:
        return read_epoch(self._home / "fleet" / "epoch") if self._home else 0


def _directory_of(url: sa.URL) -> Path | None:
    if url.get_backend_name() == "sqlite" and url.database:
        return Path(url.database).parent
    return None


def _printable(text: str) -> str:
    """Return `text` as every database can hold it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
