"""Which notice was told where: rows of the journal's table `notices`, that only grows.

A sender claims an attempt before it sends, and says afterwards how it went. Claims are serial, so
of two processes that see the same event one sends. A claim is a lease: who sends for longer renews
it, by one more row. Who dies between sending and saying so renews it no more, and the notice is
sent once more: at least once, rarely twice.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import sqlalchemy as sa

from feed_migration.journal.database import JournalDatabase
from feed_migration.journal.tables import NOTICES

# Whose claim was not renewed for so long is gone
CLAIM_SECONDS = 10.0
RENEW_SECONDS = 3.0
# What takes longer hangs, and another way may be open to another sender
LONGEST_SECONDS = 60.0
# After an attempt that failed; then its sender tries no more
RETRY_SECONDS = (15.0, 60.0, 300.0, 900.0, 3600.0)


class Stage(StrEnum):
    """How far an attempt is."""

    CLAIMED = "claimed"
    TOLD = "told"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One row; `at` is unix seconds by the clock of `holder`, who did it."""

    migration_id: str
    key: str
    channel: str
    attempt: int
    stage: Stage
    at: float
    holder: str


def next_attempt(rows: Sequence[Attempt], now: float, holder: str) -> int | None:
    """Return the number of the attempt of `holder` that is due at `now`, from 1, or None. Pure.

    `rows` are those of one notice and channel, in order. Attempts are each sender's own: one that
    cannot get out uses up no other's.
    """
    if _is_told(rows) or is_under_way(rows, now):
        return None
    last = _newest(rows).get(holder)
    if last is None:
        return 1
    if last.attempt > len(RETRY_SECONDS):
        return None
    # a claim that is not under way any more has run out: nobody need wait for longer
    pause = RETRY_SECONDS[last.attempt - 1] if last.stage is Stage.FAILED else 0.0
    # one whose clock went back must not keep a notice for ever
    return last.attempt + 1 if abs(now - last.at) >= pause else None


def is_under_way(rows: Sequence[Attempt], now: float) -> bool:
    """Return whether somebody has claimed the notice of `rows`, and not let go of it. Pure."""
    # another host's clock may be ahead
    return any(
        row.stage is Stage.CLAIMED and abs(now - row.at) < CLAIM_SECONDS
        for row in _newest(rows).values()
    )


def is_over(rows: Sequence[Attempt], holder: str) -> bool:
    """Return whether the notice of `rows` was told there, or `holder` has given it up. Pure."""
    last = _newest(rows).get(holder)
    if last is not None and last.stage is Stage.FAILED and last.attempt > len(RETRY_SECONDS):
        return True
    return _is_told(rows)


def _newest(rows: Sequence[Attempt]) -> dict[str, Attempt]:
    """Return the last row of each sender's newest attempt."""
    found: dict[str, Attempt] = {}
    for row in rows:
        if row.holder not in found or row.attempt >= found[row.holder].attempt:
            found[row.holder] = row
    return found


def _is_told(rows: Sequence[Attempt]) -> bool:
    return any(row.stage is Stage.TOLD for row in rows)


class NoticeLedger:
    """The table, for tellers; every method raises `JournalUnavailable`."""

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database

    def attempts(self, migration_id: str) -> dict[tuple[str, str], list[Attempt]]:
        """Return all attempts of a migration by (key, channel), in order."""
        with self._database.reading() as connection:
            found: dict[tuple[str, str], list[Attempt]] = {}
            for row in _select(connection, migration_id=migration_id):
                found.setdefault((row.key, row.channel), []).append(row)
            return found

    def claim(
        self, migration_id: str, key: str, channel: str, *, holder: str, now: float
    ) -> int | None:
        """Claim the attempt that is due; None where none is, or somebody else has it."""
        name = {"migration_id": migration_id, "key": key, "channel": channel}
        with self._database.writing() as connection:
            number = next_attempt(_select(connection, **name), now, holder)
            if number is not None:
                row = {"attempt": number, "stage": Stage.CLAIMED, "at": now, "holder": holder}
                connection.execute(sa.insert(NOTICES), {**name, **row})
            return number

    def settle(self, attempt: Attempt) -> None:
        """Say how an attempt went, or that it goes on."""
        with self._database.writing() as connection:
            connection.execute(sa.insert(NOTICES), asdict(attempt))


def _select(connection: sa.Connection, **key: str) -> list[Attempt]:
    columns = [column for column in NOTICES.c if column.name != "id"]
    query = sa.select(*columns).filter_by(**key).order_by(NOTICES.c.id)
    rows = (dict(row._mapping) for row in connection.execute(query))  # noqa: SLF001 - public name
    return [Attempt(**{**row, "stage": Stage(row["stage"])}) for row in rows]
