"""`audit verify` of the measurements: rows against their seals, and these against events."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from feed_migration.journal.keys import SEAL_DOMAIN, Head, Trusted
from feed_migration.journal.promises import TELLING, Promises
from feed_migration.journal.seals import NO_SEAL, RowKey, RunKey, covered, row_digest, seal_hash
from feed_migration.journal.tables import EVENTS, HEADS, MEASUREMENTS, SEALS

type Flaw = tuple[int, str]
type Rows = dict[RowKey, str]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found: measurements with a good seal, those without one, and the first flaw."""

    sealed: int = 0
    unsealed: int = 0
    flaw: Flaw | None = None


def verify_measurements(
    connection: sa.Connection,
    promises: Promises,
    *,
    trusted: Trusted,
    signed_from: int,
    pat: Callable[[], None],
) -> Measured:
    """Check every run; the flaw is told at the event that the run began with.

    Seals of runs that began where everything is signed must be, too: from `trusted.since` on, or
    behind the first signed head, that of event `signed_from` (0: none). `pat` is called as the
    database answers.
    """
    sealed = unsealed = 0
    for run in sorted({*_runs(connection), *promises.committed}, key=promises.began):
        rows = _rows(connection, run, pat)
        count = len(rows)
        keys = _signers(trusted, signed_from, promises.began(run))
        reason = _broken(connection, run, rows, promises, keys)
        if reason:
            return Measured(flaw=(promises.began(run), f"measurements of {run}: {reason}"))
        sealed, unsealed = sealed + count - len(rows), unsealed + len(rows)
        pat()
    return Measured(sealed=sealed, unsealed=unsealed)


def altered(
    connection: sa.Connection, run: RunKey, *, trusted: Trusted, pat: Callable[[], None]
) -> str:
    """Return why the rows of one run are not those that were recorded, "" where they are."""
    promises = Promises()
    query = sa.select(EVENTS).filter_by(migration_id=run.migration_id)
    query = query.where(EVENTS.c.kind.in_(TELLING)).order_by(EVENTS.c.seq)
    for row in connection.execute(query):
        promises.see(tuple(row), has_head=True)
    first = sa.select(sa.func.min(HEADS.c.seq)).where(HEADS.c.key.in_(trusted.keys))
    signed_from = connection.scalar(first) or 0
    keys = _signers(trusted, signed_from, promises.began(run))
    return _broken(connection, run, _rows(connection, run, pat), promises, keys)


def _signers(trusted: Trusted, signed_from: int, began: int) -> frozenset[str]:
    """Return the keys that sign a run which began with event `began`, none before the first one."""
    if trusted.since is not None:
        return trusted.keys if trusted.since <= began else frozenset()
    return trusted.keys if 0 < signed_from < began else frozenset()


def _broken(
    connection: sa.Connection,
    run: RunKey,
    rows: Rows,
    promises: Promises,
    trusted: frozenset[str],
) -> str:
    """Return what is wrong with a run, and leave in `rows` those without a seal."""
    hashes = [NO_SEAL]
    for seal, text in _seals(connection, run):
        reason = _unlike(seal, text, run, rows, hashes)
        if reason:
            return reason
        # each: who goes on over forged rows signs a seal over them
        if trusted and not seal.is_signed_by(trusted, SEAL_DOMAIN):
            return f"seal {seal.seq} is not signed by a trusted key"
        hashes.append(seal.hash)
    for seq, sealed in promises.committed.get(run, ()):
        if sealed.seals >= len(hashes) or hashes[sealed.seals] != sealed.hash:
            return f"not those that event {seq} names"
    if rows and promises.all_sealed(run):
        return f"{_name(next(iter(rows)))} has no seal"
    return ""


def _unlike(seal: Head, text: str, run: RunKey, rows: Rows, hashes: list[str]) -> str:
    number, digests = len(hashes), {}
    if seal.seq != number:
        return f"seal {number} was removed"
    try:
        keys = list(covered(text))
    except (TypeError, ValueError):
        return f"seal {number} was changed"
    for key in keys:
        digest = rows.pop(key, None)
        if digest is None:
            return f"{_name(key)} was removed"
        digests[key] = digest
    if seal_hash(hashes[-1], run, number, digests) != seal.hash:
        names = ", ".join(map(_name, keys))
        return f"changed after they were recorded, seal {number} does not fit: {names}"
    return ""


def _name(key: RowKey) -> str:
    return f"{key[0]} at {key[1]} s"


def _runs(connection: sa.Connection) -> Iterator[RunKey]:
    for table in (MEASUREMENTS, SEALS):
        columns = (table.c.migration_id, table.c.step, table.c.run)
        for row in connection.execute(sa.select(*columns).distinct()):
            yield RunKey(migration_id=row.migration_id, step=row.step, run=row.run)


def _rows(connection: sa.Connection, run: RunKey, pat: Callable[[], None]) -> Rows:
    columns = MEASUREMENTS.c
    query = sa.select(columns.criterion, columns.tick_seconds, columns.row).filter_by(**asdict(run))
    rows: Rows = {}
    with connection.execute(query) as result:
        for partition in result.partitions():
            pat()
            rows |= {(one.criterion, one.tick_seconds): row_digest(one.row) for one in partition}
    return rows


def _seals(connection: sa.Connection, run: RunKey) -> list[tuple[Head, str]]:
    columns = SEALS.c
    query = (
        sa.select(columns.number, columns.hash, columns.at, columns.key, columns.signature)
        .add_columns(columns.covers)
        .filter_by(**asdict(run))
        .order_by(columns.number)
    )
    # read to the end at once: who finds a flaw does not come back for the rest
    return [
        (Head(seq=number, hash=digest, at=at, key=key, signature=signature), text)
        for number, digest, at, key, signature, text in connection.execute(query)
    ]
