"""Signed heads, anchored outside the database: what the chain alone cannot show, they do."""

import json
import logging
import stat

import pytest

from feed_migration.errors import JournalUnavailable, Refused, UsageError
from feed_migration.events import Event
from feed_migration.journal.chain import row_hash, row_of
from feed_migration.journal.keys import AuditPlace, Trusted, make_key


@pytest.fixture
def place(store):
    return AuditPlace.of(store.home, {})


@pytest.fixture
def key(place):
    return make_key(place)


def fill(journal, notes=3):
    """A hold and an approval, each with notes behind it."""
    for kind in ("held", "approval"):
        journal.append(kind, migration_id="m", actor="ana", body={"step": "shadow"})
        for number in range(notes):
            journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})
    return journal


def rewritten(events, actor="eve"):
    """The same events by another actor, each hash computed anew."""
    prev, forged = events[0].prev_hash, []
    for event in events:
        facts = {**event.__dict__, "actor": actor, "prev_hash": prev}
        prev = row_hash(row_of(Event(**facts)))
        forged.append(Event(**{**facts, "hash": prev}))
    return forged


def replaced(store, events):
    """SQL that puts `events` where those of the same seq were."""
    return [
        (
            "UPDATE events SET actor = ?, prev_hash = ?, hash = ? WHERE seq = ?",
            (event.actor, event.prev_hash, event.hash, event.seq),
        )
        for event in events
    ]


def test_every_event_has_a_signed_head(store, place, key):
    """In the database and in the file the same, each signed by the one key."""
    journal = fill(store.open())
    heads = journal.heads()
    assert [head.seq for head in heads] == list(range(1, 9))
    assert {head.key for head in heads} == {key}
    anchored = [json.loads(line)["seq"] for line in place.anchors.read_text().splitlines()]
    assert anchored == list(range(1, 9))
    result = journal.verify()
    assert (result.ok, result.signed_seq, result.anchored_seq, result.marks) == (True, 8, 8, 16)


def test_a_head_is_logged_and_told_to_the_hook_once_it_is_on_disk(store, place, key, caplog):
    """A notification is one more place outside; one that fails is no reason to stop."""
    told = []

    def hook(head):
        told.append((head.seq, place.anchors.read_text().count("\n")))
        raise RuntimeError("no mail today")

    with caplog.at_level(logging.INFO):
        journal = fill(store.open(on_head=hook))
    assert told == [(number, number) for number in range(1, 9)]
    first = journal.events()[0]
    assert f"journal head 1:{first.hash} signed by {key}" in caplog.text
    assert journal.verify().ok


def test_a_whole_rewrite_is_found_by_the_signatures_alone(store, place, key):
    """Whoever computes every hash anew, of events and heads, cannot sign them."""
    journal = fill(store.open())
    place.anchors.unlink()
    forged = rewritten(journal.events())
    heads = [
        ("UPDATE heads SET hash = ? WHERE seq = ?", (event.hash, event.seq)) for event in forged
    ]
    store.tamper(*replaced(store, forged), *heads)
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 1)
    assert "not signed by a trusted key" in result.reason


def test_a_rewrite_that_drops_every_signature_is_found(store, place, key):
    """A log that was signed once is not believed without, whatever the key's file says."""
    journal = fill(store.open())
    place.anchors.unlink()
    place.trusted_keys.write_text(f"{key}\n")
    store.tamper(*replaced(store, rewritten(journal.events())), "DELETE FROM heads")
    result = journal.verify()
    assert (result.ok, result.reason) == (False, "no head is signed by a trusted key")


def test_a_whole_rewrite_is_found_by_the_anchors_without_any_key(store):
    """The file alone will do, where nobody made a key."""
    journal = fill(store.open())
    store.tamper(*replaced(store, rewritten(journal.events())), "DELETE FROM heads")
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 1)
    assert "the anchored head 1:" in result.reason


def test_a_rewritten_end_is_placed_behind_the_last_anchor_that_fits(store, key):
    """Event 3 was the first to be changed; what is known is that it was after event 2."""
    journal = fill(store.open())
    events = journal.events()
    store.tamper(*replaced(store, rewritten(events[2:])))
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 3)
    assert "rewritten" in result.reason


def test_a_cut_end_is_found_by_the_anchors(store, key):
    """Events and heads are gone together; the file still knows of them."""
    journal = fill(store.open())
    store.tamper("DELETE FROM events WHERE seq > 3", "DELETE FROM heads WHERE seq > 3")
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 4)
    assert "cut off" in result.reason


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM heads WHERE seq = 1",
        "DELETE FROM heads WHERE seq = 5",
        "UPDATE heads SET at = at + 1 WHERE seq = 5",
        "UPDATE heads SET key = '' WHERE seq = 5",
        "UPDATE heads SET seq = 9 WHERE seq = 5",
        "UPDATE heads SET signature = 'zz' WHERE seq = 5",
    ],
)
def test_a_changed_or_removed_head_is_found(store, key, statement):
    """Its own row is evidence too."""
    journal = fill(store.open())
    store.tamper(statement)
    assert not journal.verify().ok


@pytest.mark.parametrize("flaw", [b"nonsense\n", b'{"seq":3,"hash":"00","at":1}\n'])
def test_a_forged_line_among_the_anchors_is_found(store, place, key, flaw):
    """A line that is none, or that no key has signed."""
    journal = fill(store.open())
    lines = place.anchors.read_bytes().splitlines(keepends=True)
    place.anchors.write_bytes(lines[0] + flaw + lines[1])
    assert not journal.verify().ok


def test_a_copy_kept_elsewhere_and_a_key_kept_elsewhere_are_believed(store, place, key, tmp_path):
    """Whoever owns the state directory too meets the auditor's own copies."""
    journal = fill(store.open())
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes(place.anchors.read_bytes())
    place.anchors.unlink()
    place.trusted_keys.unlink()
    place.signing_key.unlink()
    store.tamper("DELETE FROM events WHERE seq > 3", "DELETE FROM heads WHERE seq > 3")
    assert journal.verify().ok
    assert not journal.verify(anchors=copy).ok
    assert journal.verify(trusted=Trusted(keys=frozenset({key}))).signed_seq == 3
    assert not journal.verify(trusted=Trusted(keys=frozenset({"00" * 32}))).ok


def test_a_torn_anchor_is_repaired_on_the_next_start(store, place, key):
    """Half a line goes, and the head that it should have been comes from the database."""
    fill(store.open())
    whole = place.anchors.read_bytes()
    for cut in (1, 100, len(whole.splitlines()[1]), len(whole) - 10):
        place.anchors.write_bytes(whole[:-cut])
        assert store.open().verify().ok
        assert place.anchors.read_bytes() == whole


def test_the_key_is_for_its_owner_and_is_not_replaced(place, key):
    """0600, and a second one is refused: heads behind it could not be told from forged ones."""
    assert stat.S_IMODE(place.signing_key.stat().st_mode) == 0o600
    assert place.trusted_keys.read_text() == f"{key} from 1\n"
    with pytest.raises(Refused, match="already"):
        make_key(place)


def test_a_new_key_is_trusted_beside_the_old_one(store, place, key):
    """Move the old one away, make another: both ends of the log verify."""
    journal = fill(store.open())
    place.signing_key.rename(place.signing_key.with_name("old.key"))
    later = make_key(place)
    fill(store.open())
    assert {head.key for head in journal.heads()} == {key, later}
    assert journal.verify().ok


@pytest.mark.parametrize("text", ["", "secret", "ab" * 31, "ä" * 64])
def test_a_key_that_is_none_stops_the_append_and_is_not_shown(store, place, text):
    """An unsigned head behind signed ones would look like tampering."""
    journal = store.open()
    place.signing_key.parent.mkdir(exist_ok=True)
    place.signing_key.write_text(text)
    with pytest.raises(JournalUnavailable, match=r"signing\.key") as refusal:
        journal.append("held", migration_id="m", actor="ana", body={})
    assert not text or text not in str(refusal.value)
    assert journal.events() == []


def test_a_missing_key_stops_the_append_where_there_was_one(store, place, key):
    """A worker without the mount says so at once."""
    place.signing_key.unlink()
    with pytest.raises(JournalUnavailable, match="heads were signed before"):
        store.open().append("held", migration_id="m", actor="ana", body={})


@pytest.mark.parametrize(
    "head", ["", "12", "12:", ":ab", "-1:" + "0" * 64, "1:" + "g" * 64, "²:" + "0" * 64]
)
def test_an_expected_head_that_is_none_is_a_mistake_of_the_caller(store, head):
    """A typing error is not reported as tampering."""
    with pytest.raises(UsageError, match="not a head"):
        store.open().verify(head)
