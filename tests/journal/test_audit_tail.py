"""The end of the log: whatever was written last is signed and anchored, whoever wrote it."""

from io import StringIO

import pytest

from feed_migration import cutover
from feed_migration.errors import JournalUnavailable, StaleEpoch
from feed_migration.journal.chain import canonical_json, row_hash
from feed_migration.journal.keys import AuditPlace, make_key
from feed_migration.journal.refusals import note_refusal
from feed_migration.journal.spool import Spool
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, begin, pass_steps

COLUMNS = "seq, at, migration_id, kind, actor, body, prev_hash, hash"


@pytest.fixture
def place(store):
    place = AuditPlace.of(store.home, {})
    make_key(place)
    return place


@pytest.fixture
def journal(store, place):
    """A tenth of the fleet is on native: the act is confirmed, and a person has noted something."""
    journal = store.open()
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    cutover.advance(PLAN.step("cutover-10"), PLAN, fleet, journal, migration_id, "ana")
    note = {"note": "resumed", "step": "shadow"}
    journal.append("audit_note", migration_id=migration_id, actor="ana", body=note)
    assert journal.verify().ok
    assert journal.state(migration_id).exposed
    return journal


@pytest.mark.parametrize("with_heads", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_cut_end_is_found_wherever_it_is_cut(store, journal, count, with_heads):
    """The note, the act that was confirmed, the one that was intended."""
    last = journal.events()[-1].seq
    cut = [f"DELETE FROM events WHERE seq > {last - count}"]  # noqa: S608 - a number
    if with_heads:
        cut.append(f"DELETE FROM heads WHERE seq > {last - count}")  # noqa: S608 - a number
    store.tamper(*cut)
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, last - count + 1)


@pytest.mark.parametrize("anchored", [True, False])
def test_a_rewritten_end_is_found_without_its_heads_as_well(store, journal, place, anchored):
    """Another actor, each hash anew, and the heads taken away; the anchors too, at last."""
    last = journal.events()[-1].seq
    prev = journal.events()[-3].hash
    changes = [f"DELETE FROM heads WHERE seq > {last - 2}"]  # noqa: S608 - a number
    for event in journal.events()[-2:]:
        row = [
            event.seq,
            event.at,
            event.migration_id,
            event.kind,
            "bob",
            canonical_json(event.body),
        ]
        digest = row_hash([*row, prev, ""])
        changes.append(
            (
                "UPDATE events SET actor = 'bob', prev_hash = ?, hash = ? WHERE seq = ?",
                (prev, digest, event.seq),
            )
        )
        prev = digest
    store.tamper(*changes)
    if not anchored:
        place.anchors.unlink()
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, last - 1)


def test_what_is_not_anchored_is_told(store, journal, place):
    """A process that dies between the two leaves an end that could be cut; the next one mends it."""
    lines = place.anchors.read_bytes().splitlines(keepends=True)
    place.anchors.write_bytes(b"".join(lines[:-2]))
    result = journal.verify()
    assert (result.ok, result.count - result.anchored_seq) == (True, 2)
    assert result.signed_seq == result.count
    result = store.open().verify()
    assert result.anchored_seq == result.count


def test_who_cannot_read_the_key_writes_nothing_and_what_was_refused_waits(store, journal, place):
    """A shell without the key: no unsigned end comes to be, and the note is signed by the next."""
    before = journal.verify().head
    away = place.signing_key.rename(place.signing_key.with_name("elsewhere"))
    shell, spool = store.open(), Spool(store.home / "journal.spool.jsonl", StringIO())
    with pytest.raises(JournalUnavailable, match="signing key cannot be read"):
        shell.append("audit_note", migration_id="m", actor="ana", body={"note": "joined"})
    note_refusal(shell, spool, StaleEpoch(presented=1, current=2), at=1.0, actor="ana")
    assert (journal.verify().head, spool.is_empty()) == (before, False)
    away.rename(place.signing_key)
    result = store.open().verify()
    assert (result.ok, result.signed_seq) == (True, int(before.partition(":")[0]) + 1)


def test_a_log_of_an_earlier_version_verifies_and_so_does_what_comes_behind(store, place):
    """It signed fewer events, and said nowhere since when; this version signs every one."""
    place.trusted_keys.write_text(place.trusted_keys.read_text().split()[0] + "\n")
    journal = store.open()
    for kind in ("migration_started", "act_intended", "act_confirmed", "verdict", "audit_note"):
        journal.append(kind, migration_id="m", actor="ana", body={"step": "shadow"})
    journal.append("migration_finished", migration_id="m", actor="ana", body={})
    place.anchors.unlink()
    store.tamper("DELETE FROM heads WHERE seq IN (2, 3, 5)")
    assert store.open().verify().ok
    begin(journal)
    assert journal.verify().ok
    store.tamper("DELETE FROM heads WHERE seq = 4")
    assert journal.verify().reason == "the head of event 4 was removed from the database"


def test_a_long_log_is_signed_to_its_end(store, place, monkeypatch):
    """Not each signature is checked there; a bad one that is covered by none is placed exactly."""
    monkeypatch.setattr("feed_migration.journal.trail.MOST_SIGNATURES", 2)
    journal = store.open()
    for number in range(12):
        journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})
    assert journal.verify().signed_seq == 12
    place.anchors.unlink()
    store.tamper("UPDATE heads SET signature = 'zz' WHERE seq >= 11")
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 11)
