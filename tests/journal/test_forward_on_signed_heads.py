"""Nothing goes forward on events that nobody with the key has signed.

Whoever owns the database and the anchors can write events with right hashes and heads. The chain
alone bears them out, and the next honest head is signed over them.
"""

import pytest
from nacl.signing import VerifyKey

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.keys import AuditPlace, make_key
from tests.journal.test_signed_since import OTHER_HEADS, note, rewrite
from tests.support.migration_plans import begin

FORWARD = ("step_started", "act_intended", "step_promoted")


@pytest.fixture
def place(store):
    place = AuditPlace.of(store.home, {})
    make_key(place)
    return place


def onward(journal, migration_id, kind="step_started"):
    return journal.append(kind, migration_id=migration_id, actor="ana", body={"step": "shadow"})


@pytest.fixture
def verifications(monkeypatch):
    """The signatures that were checked."""
    seen, verify = [], VerifyKey.verify

    def watched(self, message, signature):
        seen.append(signature)
        return verify(self, message, signature)

    monkeypatch.setattr(VerifyKey, "verify", watched)
    return seen


@pytest.mark.parametrize("heads", OTHER_HEADS)
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_rewrite_without_the_key_stops_what_goes_forward(store, place, heads, after):
    """Also behind the next honest event, and in a process that had looked before."""
    journal = store.open()
    migration_id = begin(journal)
    note(journal, 1)
    note(journal, 2)
    assert journal.flaw_of(migration_id) == ""
    rewrite(store, place, journal, heads, after=after)
    if after or heads != "removed":
        note(store.open(), 3)
    for opened in (journal, store.open()):
        assert opened.flaw_of(migration_id).startswith(f"event {after + 1} is the first wrong one")
        for kind in FORWARD:
            with pytest.raises(JournalUnavailable, match=rf"event {after + 1} .*audit verify"):
                onward(opened, migration_id, kind)


@pytest.mark.parametrize("heads", OTHER_HEADS)
def test_an_event_that_was_appended_by_hand_is_not_gone_by(store, place, heads):
    """An approval that nobody gave: hash and head are right, but for the signature."""
    journal = store.open()
    migration_id = begin(journal)
    body = {"step": "shadow", "decision": "Promote", "reason": "mine"}
    journal.append("approval", migration_id=migration_id, actor="ana", body=body)
    rewrite(store, place, journal, heads, after=1)
    with pytest.raises(JournalUnavailable, match="event 2 is the first wrong one"):
        onward(journal, migration_id)


def test_each_signature_is_checked_once_by_a_process(store, place, verifications):
    """So a look at a long migration costs the guard what is new in it."""
    journal = store.open()
    migration_id = begin(journal)
    for number in range(5):
        note(journal, number)
    assert journal.flaw_of(migration_id) == ""
    assert len(verifications) == 6
    assert journal.flaw_of(migration_id) == ""
    onward(journal, migration_id)
    assert len(verifications) == 6
    assert journal.flaw_of(migration_id) == ""
    assert len(verifications) == 7


def test_two_keys_one_after_the_other_are_both_believed(store, place):
    """The old public key stays trusted when the signing key is changed."""
    migration_id = begin(store.open())
    place.signing_key.rename(place.signing_key.with_suffix(".old"))
    make_key(place, since=2)
    journal = store.open()
    onward(journal, migration_id)
    onward(journal, migration_id)
    assert journal.flaw_of(migration_id) == ""


def test_a_migration_that_began_without_a_key_goes_on_with_one(store):
    """What was not signed then is not asked for; what is written since is."""
    place = AuditPlace.of(store.home, {})
    migration_id = begin(store.open())
    make_key(place, since=2)
    journal = store.open()
    onward(journal, migration_id)
    onward(journal, migration_id)
    assert journal.flaw_of(migration_id) == ""
    rewrite(store, place, journal, "without signatures", after=1)
    with pytest.raises(JournalUnavailable, match="event 2 is the first wrong one"):
        onward(journal, migration_id)


def test_an_older_database_is_looked_at_anew(store, place):
    """What a process remembers of events that are gone says nothing of those there are."""
    journal = store.open()
    migration_id = begin(journal)
    note(journal, 1)
    note(journal, 2)
    assert journal.flaw_of(migration_id) == ""
    store.tamper("DELETE FROM events WHERE seq > 2", "DELETE FROM heads WHERE seq > 2")
    journal.acknowledge_restore("ana", "the backup of last night")
    onward(journal, migration_id)
    assert journal.flaw_of(migration_id) == ""


def test_public_keys_that_cannot_be_read_are_a_journal_that_is_away(store, place):
    """It is waited for as that is: a slip in a file takes no good fleet back, and stops nothing."""
    journal, keys = store.open(), place.trusted_keys.read_text()
    migration_id = begin(journal)
    place.trusted_keys.write_text(f"{keys}a slip\n")
    with pytest.raises(JournalUnavailable, match=f"{place.trusted_keys}: .*correct the file"):
        onward(journal, migration_id)
    with pytest.raises(JournalUnavailable, match="correct the file"):
        journal.altered(migration_id, "shadow")
    note(journal, 1)
    rolled = {"reason": "a breach", "epoch": 2}
    journal.append("rollback_started", migration_id=migration_id, actor="ana", body=rolled)
    place.trusted_keys.write_text(keys)
    assert journal.flaw_of(migration_id) == ""
