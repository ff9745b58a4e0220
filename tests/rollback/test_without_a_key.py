"""The way back of a process without the signing key, in whose journal the others sign."""

import io

import pytest

from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.rollback.acts import revert, verify


@pytest.fixture
def elsewhere(tmp_path_factory):
    """The state directory of who has no key."""
    return tmp_path_factory.mktemp("guard")


@pytest.fixture
def signed(tmp_path, journal, exposed):
    """The journal as Airflow has it, signed from the breach on."""
    place = AuditPlace.of(tmp_path, {})
    make_key(place, since=journal.events()[-1].seq + 1)
    journal.append("audit_note", migration_id=exposed[1], actor="ana", body={"note": "key"})
    return journal


def test_it_reverts_proves_and_spools(tmp_path, signed, exposed, elsewhere):
    """Nothing of it looks like tampering, and with the key mounted all of it is there."""
    fleet, migration_id = exposed
    own = Spool(elsewhere / "journal.spool.jsonl", io.StringIO())
    keyless = Journal(tmp_path / "journal.db", home=elsewhere)
    result = revert(fleet, keyless, migration_id, own)
    verify(fleet, keyless, migration_id, own, breach_at=result.breach_at)
    assert fleet.native == []
    assert signed.verify().ok
    assert signed.state(migration_id).status is Status.RUNNING

    theirs, ours = AuditPlace.of(tmp_path, {}), AuditPlace.of(elsewhere, {})
    ours.signing_key.parent.mkdir(exist_ok=True)
    ours.signing_key.write_text(theirs.signing_key.read_text())
    Journal(tmp_path / "journal.db", home=elsewhere)

    assert own.is_empty()
    assert signed.state(migration_id).status is Status.ROLLED_BACK
    assert signed.verify().ok
