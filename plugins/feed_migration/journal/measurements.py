"""Measurements in the journal: rows of a gate's run, sealed as they are recorded."""

import json
import math
from collections.abc import Iterable
from dataclasses import asdict

import sqlalchemy as sa

from feed_migration.journal.chain import canonical_json
from feed_migration.journal.heads import HeadKeeper, newest_head
from feed_migration.journal.keys import SEAL_DOMAIN, Head
from feed_migration.journal.seals import (
    NO_SEAL,
    RowKey,
    RunKey,
    Sealed,
    covers,
    row_digest,
    seal_hash,
)
from feed_migration.journal.tables import MEASUREMENTS, SEALS
from feed_migration.model import Measurement


def record_measurements(
    connection: sa.Connection,
    run: RunKey,
    measurements: Iterable[Measurement],
    heads: HeadKeeper,
) -> tuple[list[Measurement], Sealed | None]:
    """Insert what is new of a run; return what stands of each, and the seal of what is new.

    Of one criterion and tick the first one written stands; nobody else may write meanwhile.
    """
    # as the database gives it back: a whole number of seconds has another text
    given = {(m.criterion, float(m.tick_seconds)): m for m in reversed(list(measurements))}
    known = _known(connection, run, {tick for _, tick in given})
    fresh = {
        key: canonical_json(measurement.to_row())
        for key, measurement in given.items()
        if key not in known
    }
    seal = None
    if fresh:
        rows = [
            {**asdict(run), "criterion": criterion, "tick_seconds": tick, "row": row}
            for (criterion, tick), row in fresh.items()
        ]
        connection.execute(sa.insert(MEASUREMENTS), rows)
        seal = _seal(connection, run, fresh, heads)
    standing = [
        Measurement.from_row(json.loads(known[key])) if key in known else measurement
        for key, measurement in given.items()
    ]
    return standing, seal


def last_seal(connection: sa.Connection, run: RunKey) -> Sealed | None:
    """Return how far the rows of a run are sealed, None where it has no seal."""
    seal = _newest_seal(connection, run)
    return Sealed(seals=seal.seq, hash=seal.hash) if seal else None


def select_measurements(
    connection: sa.Connection, run: RunKey, since_seconds: float = -math.inf
) -> list[Measurement]:
    """Return the measurements of a run at ticks from `since_seconds` on, in the order of ticks."""
    columns = MEASUREMENTS.c
    query = (
        sa.select(columns.row)
        .filter_by(**asdict(run))
        .order_by(columns.tick_seconds, columns.criterion)
    )
    if math.isfinite(since_seconds):
        query = query.where(columns.tick_seconds >= since_seconds)
    return [Measurement.from_row(json.loads(row.row)) for row in connection.execute(query)]


def newest_measurements(connection: sa.Connection, run: RunKey, ticks: int) -> list[Measurement]:
    """Return the last `ticks` measurements of each criterion of a run, in the order of ticks."""
    columns = MEASUREMENTS.c
    number = sa.func.row_number().over(
        partition_by=columns.criterion, order_by=columns.tick_seconds.desc()
    )
    ranked = (
        sa.select(columns.row, columns.tick_seconds, columns.criterion, number.label("number"))
        .filter_by(**asdict(run))
        .subquery()
    )
    query = (
        sa.select(ranked.c.row)
        .where(ranked.c.number <= ticks)
        .order_by(ranked.c.tick_seconds, ranked.c.criterion)
    )
    return [Measurement.from_row(json.loads(row.row)) for row in connection.execute(query)]


def last_tick_seconds(connection: sa.Connection, run: RunKey) -> float | None:
    """Return the newest tick of a run that anything was measured at."""
    query = sa.select(sa.func.max(MEASUREMENTS.c.tick_seconds)).filter_by(**asdict(run))
    return connection.execute(query).scalar()


def _known(connection: sa.Connection, run: RunKey, ticks: set[float]) -> dict[RowKey, str]:
    # a day's gate has tens of thousands of rows: ask for these ticks only
    columns = MEASUREMENTS.c
    query = (
        sa.select(columns.criterion, columns.tick_seconds, columns.row)
        .filter_by(**asdict(run))
        .where(columns.tick_seconds.in_(ticks))
    )
    return {(row.criterion, row.tick_seconds): row.row for row in connection.execute(query)}


def _newest_seal(connection: sa.Connection, run: RunKey) -> Head | None:
    columns = SEALS.c
    query = (
        sa.select(columns.number, columns.hash, columns.at, columns.key, columns.signature)
        .filter_by(**asdict(run))
        .order_by(columns.number.desc())
        .limit(1)
    )
    for number, digest, at, key, signature in connection.execute(query):
        return Head(seq=number, hash=digest, at=at, key=key, signature=signature)
    return None


def _seal(
    connection: sa.Connection, run: RunKey, fresh: dict[RowKey, str], heads: HeadKeeper
) -> Sealed:
    last = _newest_seal(connection, run)
    number, prev_hash = (last.seq + 1, last.hash) if last else (1, NO_SEAL)
    digests = {key: row_digest(row) for key, row in fresh.items()}
    digest = seal_hash(prev_hash, run, number, digests)
    # a run's first seal has none before it: it is signed where heads are
    signed = heads.sign(
        Head(seq=number, hash=digest, at=heads.now()),
        lambda: last or newest_head(connection),
        SEAL_DOMAIN,
    )
    row = {**asdict(run), "number": number, "covers": covers(fresh), **asdict(signed)}
    del row["seq"]
    connection.execute(sa.insert(SEALS), row)
    return Sealed(seals=number, hash=digest)
