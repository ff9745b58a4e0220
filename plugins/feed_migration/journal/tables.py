"""The journal's tables, and what keeps them append-only in SQLite and in Postgres."""

import sqlalchemy as sa

METADATA = sa.MetaData()

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("migration_id", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
)

MEASUREMENTS = sa.Table(
    "measurements",
    METADATA,
    sa.Column("migration_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("criterion", sa.Text, primary_key=True),
    sa.Column("tick_seconds", sa.Double, primary_key=True),
    sa.Column("row", sa.Text, nullable=False),
)

# What stands for the measurements: one row for each time that some were recorded;
# `journal.seals`. A table of its own, since a gate of a day would fill the log with them
SEALS = sa.Table(
    "seals",
    METADATA,
    sa.Column("migration_id", sa.Text, primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("covers", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)

# Heads as their signer said them; `keys.Head`
HEADS = sa.Table(
    "heads",
    METADATA,
    sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("signature", sa.Text, nullable=False),
)


def _row_id() -> sa.Column[int]:
    # unlike a serial's sequence an identity needs no right of its own
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("id", number, sa.Identity(), primary_key=True)


# Every renewal, so that it can be seen who watched when; the newest row is the lease
LEASES = sa.Table(
    "leases",
    METADATA,
    _row_id(),
    sa.Column("migration_id", sa.Text, nullable=False, index=True),
    sa.Column("holder", sa.Text, nullable=False),
    sa.Column("renewed_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
)

# Which notice was told to whom, `notice_ledger`: beside the audit log, which they would only fill
NOTICES = sa.Table(
    "notices",
    METADATA,
    _row_id(),
    sa.Column("migration_id", sa.Text, nullable=False, index=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("stage", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("holder", sa.Text, nullable=False),
)

# Honest code never rewrites history, so the database refuses it; the chain shows who went around
SQLITE_INSERT_ONLY = tuple(
    f"CREATE TRIGGER IF NOT EXISTS {table.name}_no_{verb.lower()} BEFORE {verb} ON {table.name} "
    "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    for table in METADATA.sorted_tables
    for verb in ("UPDATE", "DELETE")
)

_REFUSE = (
    "CREATE OR REPLACE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$"
)
POSTGRES_INSERT_ONLY = (
    _REFUSE,
    *(
        f"CREATE OR REPLACE TRIGGER {table.name}_append_only "
        f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table.name} "
        "FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()"
        for table in METADATA.sorted_tables
    ),
)
