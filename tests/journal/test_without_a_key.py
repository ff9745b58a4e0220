"""A process without the signing key, in whose journal the others sign: it writes nothing there.

As a guard in a pod of its own has a state directory of its own, and the database of all.
"""

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.store import Journal
from feed_migration.model import Measurement, Outcome
from tests.support.migration_plans import begin

STEP = "shadow"


def measured(tick):
    return Measurement(
        criterion="stale",
        tick_seconds=tick,
        outcome=Outcome.SUCCESS,
        counts_as=Outcome.SUCCESS,
        value=0.1,
    )


@pytest.fixture
def key(store):
    return make_key(AuditPlace.of(store.home, {}))


@pytest.fixture
def signed(store, key):
    """The journal as Airflow has it."""
    return store.open()


@pytest.fixture
def elsewhere(tmp_path_factory):
    """The state directory of who has no key."""
    return tmp_path_factory.mktemp("guard")


@pytest.fixture
def migration_id(signed):
    return begin(signed)


@pytest.fixture
def keyless(store, elsewhere, migration_id):
    """The same journal, as the guard has it."""
    return Journal(store.url, home=elsewhere)


def appended(journal, migration_id):
    journal.append("held", migration_id=migration_id, actor="bo", body={"step": STEP})


APPENDS = {
    "append": appended,
    "note": lambda journal, migration_id: journal.note(migration_id, "bo", {"id": "1"}, once="id"),
    "chosen": lambda journal, migration_id: journal.append_chosen(
        migration_id, "bo", lambda _: [("held", {"step": STEP})]
    ),
    "measurements": lambda journal, migration_id: journal.record(
        migration_id, STEP, [measured(0.0)]
    ),
}


@pytest.mark.parametrize("name", APPENDS)
def test_what_would_be_unsigned_behind_a_signed_head_is_refused(
    signed, keyless, migration_id, elsewhere, name
):
    """It would look like tampering for ever; the refusal names the key of this process."""
    before = signed.events()
    with pytest.raises(JournalUnavailable, match="BACKPACK_AUDIT_KEY_FILE") as refusal:
        APPENDS[name](keyless, migration_id)
    assert str(elsewhere / "audit" / "signing.key") in str(refusal.value)
    assert signed.events() == before
    assert signed.measurements(migration_id, STEP) == []
    appended(signed, migration_id)
    assert signed.verify().ok


def test_a_tick_that_it_asks_leaves_the_evidence_whole(signed, keyless, migration_id):
    """Else every gate that is resumed over its seal holds."""
    signed.record(migration_id, STEP, [measured(0.0)])
    with pytest.raises(JournalUnavailable):
        keyless.record(migration_id, STEP, [measured(15.0)])
    assert signed.altered(migration_id, STEP) == ""
    signed.record(migration_id, STEP, [measured(15.0)])
    assert signed.verify().sealed == 2


def test_it_reads_renews_leases_and_tells(keyless, migration_id):
    """None of it is signed, and the exposure stays watched."""
    keyless.renew_lease(migration_id, holder="act", seconds=60.0)
    assert keyless.lease(migration_id).holder == "act"
    assert keyless.active_migration() == migration_id
    assert keyless.notice_ledger().attempts(migration_id) == {}


def test_with_the_key_it_goes_on_at_once(store, signed, keyless, migration_id, elsewhere):
    """Mounted under a running process, it is found at the next append."""
    with pytest.raises(JournalUnavailable):
        appended(keyless, migration_id)
    with pytest.raises(JournalUnavailable):
        keyless.require_key()
    place, theirs = AuditPlace.of(elsewhere, {}), AuditPlace.of(store.home, {})
    place.signing_key.parent.mkdir(exist_ok=True)
    place.signing_key.write_text(theirs.signing_key.read_text())
    keyless.require_key()
    appended(keyless, migration_id)
    assert signed.verify().ok


def test_an_end_of_an_earlier_version_without_a_head_hides_no_signature(
    store, signed, keyless, migration_id
):
    """Those gave a head to every 64th event; the last one that has one counts."""
    appended(signed, migration_id)
    store.tamper("DELETE FROM heads WHERE seq = (SELECT max(seq) FROM heads)")
    with pytest.raises(JournalUnavailable):
        appended(keyless, migration_id)


def test_a_journal_that_nobody_signs_takes_all_and_then_a_key(store, elsewhere):
    """From unsigned to signed is no break; from then on who has no key is refused."""
    journal, other = store.open(), Journal(store.url, home=elsewhere)
    migration_id = begin(journal)
    for one in (journal, other):
        one.require_key()
        appended(one, migration_id)
        one.record(migration_id, STEP, [measured(0.0)])
    make_key(AuditPlace.of(store.home, {}), since=journal.events()[-1].seq + 1)
    appended(journal, migration_id)
    with pytest.raises(JournalUnavailable):
        appended(other, migration_id)
    assert journal.verify().ok
