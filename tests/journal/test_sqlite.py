"""The journal as a SQLite file: what is torn, and what a file alone can be."""

# ruff: noqa: S608 - the tests write the SQL, nobody else

import sqlite3
from contextlib import closing

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.store import Journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


@pytest.fixture
def journal(path):
    return Journal(path)


def note(journal, number):
    return journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})


def test_a_torn_database_is_named_with_a_remedy(path, journal):
    """Garbage is no journal, and the message has no traceback of a driver in it."""
    note(journal, 1)
    for file in path.parent.glob("journal.db*"):
        file.write_bytes(b"garbage" * 1000)
    with pytest.raises(
        JournalUnavailable, match=r"journal\.db: file is not a database: nothing was"
    ):
        Journal(path)


def test_a_torn_write_ahead_log_loses_at_most_the_unfinished_event(path, tmp_path):
    """What a crash leaves of the last transaction is cut; everything before it verifies."""
    journal = Journal(path)
    keeper = sqlite3.connect(path)  # keeps the log from being folded into the database
    try:
        keeper.execute("SELECT 1 FROM events").fetchall()
        for number in range(5):
            note(journal, number)
        copy = tmp_path / "crashed"
        copy.mkdir()
        log = (path.parent / "journal.db-wal").read_bytes()
        (copy / "journal.db").write_bytes(path.read_bytes())
        (copy / "journal.db-wal").write_bytes(log[:-100])
    finally:
        keeper.close()

    crashed = Journal(copy / "journal.db")

    assert crashed.verify().ok
    assert crashed.verify().count == 4
    assert note(crashed, 9).seq == 5


def test_a_file_that_is_lost_is_not_replaced_by_an_empty_one(path, journal, tmp_path):
    """Who has it open says so and leaves its place alone, so that a backup can be put there."""
    note(journal, 1)
    kept = tmp_path / "kept.db"
    path.rename(kept)
    for use in (
        lambda: note(journal, 2),
        journal.events,
        lambda: journal.hurried(1.0).events(),
    ):
        with pytest.raises(JournalUnavailable, match=r"journal\.db: .* restore the file"):
            use()
    assert list(tmp_path.glob("journal.db*")) == []
    kept.rename(path)
    assert note(journal, 2).seq == 2


def test_a_path_with_marks_of_a_url_is_a_path(tmp_path):
    """A percent or hash sign in a directory's name says nothing of how to open it."""
    folder = tmp_path / "50%20 ü #1"
    journal = Journal(folder / "journal.db")
    note(journal, 1)
    assert (folder / "journal.db").exists()
    assert len(journal.events()) == 1


@pytest.mark.parametrize("column", ["actor", "body", "kind", "prev_hash", "hash", "at"])
@pytest.mark.parametrize("value", ["x'00ff'", "CAST(x'ff' AS TEXT)", "'7'", "1e999"])
def test_a_value_of_another_type_is_found_and_not_an_error(path, journal, column, value):
    """SQLite takes any type in any column; the event is named, whatever is in it."""
    note(journal, 1)
    note(journal, 2)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute(f"UPDATE events SET {column} = {value} WHERE seq = 2")
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 2)
