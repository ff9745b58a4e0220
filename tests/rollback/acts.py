"""A rollback and its proof, as the shell of ana makes them."""

from feed_migration import rollback


def revert(fleet, journal, migration_id, spool, **more):
    return rollback.revert(fleet, journal, migration_id, "ana", "breach", spool=spool, **more)


def verify(fleet, journal, migration_id, spool, **more):
    return rollback.verify(fleet, journal, migration_id, "ana", spool=spool, **more)
