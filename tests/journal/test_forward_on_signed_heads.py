"""Nothing goes forward on events that nobody with the key has signed.

Whoever owns the database and the anchors can write events with right hashes and heads. The chain
alone bears them out, and the next honest head is signed over them.
"""

import pytest
from nacl.signing import VerifyKey

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.chain import canonical_json, row_hash
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.whole import WholeRows
from tests.journal.test_signed_since import INSERT_HEAD, OTHER_HEADS, note, rewrite
from tests.support.journal_stores import SqliteStore
from tests.support.migration_plans import begin

FORWARD = ("step_started", "act_intended", "step_promoted")


@pytest.fixture
def place(store):
    place = AuditPlace.of(store.home, {})
    make_key(place)
    return place


def onward(journal, migration_id, kind="step_started"):
    return journal.append(kind, migration_id=migration_id, actor="ana", body={"step": "shadow"})


def append_by_hand(store, journal, migration_id, kind, body, *, head):
    """Write an event with the right hash, and a head without a signature or none."""
    last = journal.events()[-1]
    row = (last.seq + 1, last.at, migration_id, kind, "eve", canonical_json(body), last.hash)
    digest = row_hash((*row, ""))
    insert = "INSERT INTO events (seq, at, migration_id, kind, actor, body, prev_hash, hash) "
    store.sql((f"{insert}VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, digest)))
    if head:
        store.sql((INSERT_HEAD, (last.seq + 1, digest, last.at, "", "")))


@pytest.mark.parametrize("head", [False, True])
def test_a_migration_by_hand_behind_signed_ones_goes_nowhere(store, place, head):
    """Also where the file of keys is of an earlier version, and says not since when."""
    key, _, _ = place.trusted_keys.read_text().split()
    place.trusted_keys.write_text(f"{key}\n")
    journal = store.open()
    first = begin(journal)
    body = {"outcome": "promoted"}
    journal.append("migration_finished", migration_id=first, actor="ana", body=body)
    assert journal.flaw_of(first) == ""
    forged = {"plan": "p", "plan_sha256": "x", "epoch": 9, "steps": []}
    append_by_hand(store, journal, "mig-9", "migration_started", forged, head=head)
    approval = {"step": "shadow", "decision": "Promote", "reason": "mine"}
    append_by_hand(store, journal, "mig-9", "approval", approval, head=head)
    for opened in (journal, store.open()):
        assert opened.flaw_of("mig-9").startswith("event 3 is the first wrong one")
        with pytest.raises(JournalUnavailable, match="event 3 is the first wrong one"):
            onward(opened, "mig-9")


def test_a_journal_without_its_signatures_goes_nowhere(store, place):
    """All of them stripped, with the anchors: a key that says not since when is still one."""
    key, _, _ = place.trusted_keys.read_text().split()
    place.trusted_keys.write_text(f"{key}\n")
    migration_id = begin(store.open())
    store.tamper("UPDATE heads SET key = '', signature = ''")
    place.anchors.unlink()
    journal = store.open()
    with pytest.raises(JournalUnavailable, match="no head is signed by a trusted key"):
        onward(journal, migration_id)


ONWARDS = {
    "step": onward,
    "migration": lambda journal, _: journal.begin_migration("p", "x", "ana"),
}


@pytest.mark.parametrize("onwards", ONWARDS.values(), ids=ONWARDS)
def test_rows_that_are_written_while_a_step_waits_for_the_lock_are_looked_at(
    store, place, monkeypatch, onwards
):
    """Whoever holds it then may write what nobody signed, a proof that a migration is over too."""
    journal = store.open()
    migration_id = begin(journal)
    real = WholeRows.require

    def forged_behind(self, *arguments):
        found = real(self, *arguments)
        monkeypatch.setattr(WholeRows, "require", real)
        body = {"instances": {}, "breach_at": 1.0}
        append_by_hand(store, journal, migration_id, "rollback_verified", body, head=False)
        return found

    monkeypatch.setattr(WholeRows, "require", forged_behind)
    with pytest.raises(JournalUnavailable, match="event 2 is the first wrong one"):
        onwards(journal, migration_id)
    assert len(journal.events()) == 2


def test_a_key_that_is_not_mounted_here_is_named(store, place):
    """It is no tampering where others sign with a new key: the file of public keys is an old one."""
    migration_id, mine = begin(store.open()), place.trusted_keys.read_text()
    place.signing_key.rename(place.signing_key.with_suffix(".old"))
    theirs = make_key(place, since=2)
    note(store.open(), 1)
    place.trusted_keys.write_text(mine)
    with pytest.raises(JournalUnavailable, match=f"key {theirs[:12]}.* is not in trusted.keys"):
        onward(store.open(), migration_id)


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_file_of_keys_without_a_key_trusts_nobody(store, place, text):
    """Cut short by a full disk or so: not to believe everything for it."""
    journal = store.open()
    migration_id = begin(journal)
    place.trusted_keys.write_text(text)
    with pytest.raises(JournalUnavailable, match="names no public key"):
        onward(journal, migration_id)


def test_a_column_of_another_type_is_a_flaw(tmp_path):
    """As SQLite takes anything."""
    store = SqliteStore(tmp_path)
    journal = store.open()
    migration_id = begin(journal)
    store.tamper("UPDATE events SET prev_hash = x'00' WHERE seq = 1")
    assert journal.flaw_of(migration_id).startswith("event 1 is the first wrong one")


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


def test_each_signature_is_checked_once_while_a_journal_is_open(store, place, verifications):
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
