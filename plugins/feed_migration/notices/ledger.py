"""Which notice was told where: rows of the journal's table `notices`, that only grows.

A sender claims an attempt before it sends, and says afterwards how it went. Claims are serial, so
of two processes that see the same event one sends. A claim is a lease: who sends for longer renews
it, by one more row. Who dies between sending and saying so renews it no more, and the notice is
sent once more: at least once, rarely twice.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

import sqlalchemy as sa

from feed_migration.journal_db import JournalDatabase
from feed_migration.journal_tables import NOTICES

# Whose claim was not renewed for so long is gone
CLAIM_SECONDS = 10.0
RENEW_SECONDS = 3.0
# What takes longer hangs, and another way may be open to another sender
LONGEST_SECONDS = 60.0
# After an attempt that failed; then nobody tries any more
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


def next_attempt(rows: Iterable[Attempt], now: float) -> int | None:
    """Return the number of the attempt that is due at `now`, from 1; None where none is. Pure.

    `rows` are those of one notice and channel, in order.
    """
    last: Attempt | None = None
    for row in rows:
        if row.stage is Stage.TOLD:
            return None
        if last is None or row.attempt >= last.attempt:
            last = row
    if last is None:
        return 1
    if last.attempt > len(RETRY_SECONDS):
        return None
    failed = last.stage is Stage.FAILED
    pause = RETRY_SECONDS[last.attempt - 1] if failed else CLAIM_SECONDS
    # another host's clock may be ahead; one that went back must not keep a notice for ever
    return last.attempt + 1 if abs(now - last.at) >= pause else None


def is_over(rows: Iterable[Attempt]) -> bool:
    """Return whether the notice of `rows` was told there, or is given up. Pure."""
    return any(
        row.stage is Stage.TOLD or (row.stage is Stage.FAILED and row.attempt > len(RETRY_SECONDS))
        for row in rows
    )


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
            number = next_attempt(_select(connection, **name), now)
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
