"""`verify` finds every change, deletion, insertion and swap; a noted head finds cuts and rewrites."""

# ruff: noqa: S608 - the tests write the SQL, nobody else

import random
import sqlite3
from contextlib import closing

import pytest

from feed_migration.journal.chain import GENESIS_HASH, verify_chain
from feed_migration.journal.keys import AuditPlace
from feed_migration.journal.store import Journal

COUNT = 12
TEXTS = ("migration_id", "kind", "actor", "body", "prev_hash", "hash")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("journal") / "journal.db"
    journal = Journal(path)
    for number in range(COUNT):
        body = {"number": number, "nested": {"text": "väl", "list": [1, 2.5, None]}}
        journal.append("audit_note", migration_id="m", actor="ana", body=body)
    return path


@pytest.fixture
def tampered(original, store):
    """Return a function that gives a fresh journal the same past, runs SQL on it, and verifies."""

    def run(*statements, expect_head=None, anchored=True):
        journal = store.open()
        store.clear()
        store.fill(original)
        store.tamper(*statements)
        if not anchored:
            AuditPlace.of(store.home, {}).anchors.unlink()
        return journal.verify(expect_head)

    return run


def test_an_untouched_journal_verifies(original):
    """The head is the last event; it is what to keep elsewhere."""
    result = Journal(original).verify()
    assert (result.ok, result.first_bad_seq, result.count) == (True, None, COUNT)
    assert result.head == f"{COUNT}:{Journal(original).events()[-1].hash}"


@pytest.mark.parametrize("column", [*TEXTS, "at"])
def test_a_flipped_character_is_found_in_every_column(tampered, original, column):
    """Twenty random changes of one character each, found at the event where they were made."""
    rng = random.Random(column)
    rows = _rows(original)
    for _ in range(20):
        seq = rng.randrange(1, COUNT + 1)
        old = rows[seq][column]
        new = old + 1e-6 if column == "at" else _flip(old, rng)
        result = tampered((f"UPDATE events SET {column} = ? WHERE seq = ?", (new, seq)))
        # a changed hash shows at the event itself, since the next one is not read before
        assert (result.ok, result.first_bad_seq) == (False, seq), (column, seq, new)


def test_a_body_of_the_same_meaning_in_other_words_is_found(tampered):
    """Blanks, and the order of keys, are changes too."""
    assert not tampered("UPDATE events SET body = body || ' ' WHERE seq = 3").ok
    assert not tampered("UPDATE events SET body = replace(body, '2.5', '2.50') WHERE seq = 3").ok
    assert not tampered("UPDATE events SET body = 'null' WHERE seq = 3").ok


@pytest.mark.parametrize("seq", [1, 5, COUNT - 1])
def test_a_deleted_event_is_found(tampered, seq):
    """With the gap left, and with the gap closed."""
    assert tampered(f"DELETE FROM events WHERE seq = {seq}").first_bad_seq == seq + 1
    closed = tampered(
        f"DELETE FROM events WHERE seq = {seq}",
        f"UPDATE events SET seq = -seq WHERE seq > {seq}",
        "UPDATE events SET seq = -seq - 1 WHERE seq < 0",
    )
    assert closed.first_bad_seq == seq


def test_swapped_events_are_found(tampered):
    """The order is part of the chain."""
    result = tampered(
        "UPDATE events SET seq = 100 WHERE seq = 4",
        "UPDATE events SET seq = 4 WHERE seq = 7",
        "UPDATE events SET seq = 7 WHERE seq = 100",
    )
    assert (result.ok, result.first_bad_seq) == (False, 4)


def test_an_inserted_event_is_found(tampered):
    """A copy of an event, given a place and a hash of its own, breaks the chain there."""
    result = tampered(
        "UPDATE events SET seq = -seq WHERE seq >= 6",
        "UPDATE events SET seq = 1 - seq WHERE seq < 0",
        "INSERT INTO events SELECT 6, at, migration_id, kind, 'eve', body, prev_hash, 'x' "
        "FROM events WHERE seq = 5",
    )
    assert (result.ok, result.first_bad_seq) == (False, 6)


def test_a_tail_cut_with_all_heads_shows_only_against_a_noted_one(tampered, original):
    """The chain alone cannot know what is no longer there, nor can the database."""
    head = Journal(original).verify().head
    cut = f"DELETE FROM events WHERE seq > {COUNT - 3}"
    heads = f"DELETE FROM heads WHERE seq > {COUNT - 3}"
    assert not tampered(cut).ok
    assert not tampered(cut, heads).ok
    assert tampered(cut, heads, anchored=False).ok
    result = tampered(cut, heads, expect_head=head, anchored=False)
    assert (result.ok, result.first_bad_seq) == (False, COUNT - 2)
    assert "expected head" in result.reason
    assert Journal(original).verify(head).ok


def test_a_rewritten_journal_shows_only_against_a_noted_head(original, tmp_path):
    """Whoever recomputes every hash passes the chain, and not the anchor."""
    head = Journal(original).verify().head
    forged = Journal(tmp_path / "forged.db")
    for event in Journal(original).events():
        forged.append(event.kind, migration_id="m", actor="eve", body=event.body)
    assert forged.verify().ok
    assert not forged.verify(head).ok


def test_an_empty_chain_verifies():
    """Nothing happened, and nothing was changed."""
    result = verify_chain([])
    assert (result.ok, result.head) == (True, f"0:{GENESIS_HASH}")


def _rows(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return {row["seq"]: dict(row) for row in connection.execute("SELECT * FROM events")}


def _flip(text, rng):
    index = rng.randrange(len(text))
    other = chr(ord(text[index]) ^ (1 << rng.randrange(7)))
    return text[:index] + other + text[index + 1 :]
