"""Several open a journal that is not there yet: task, guard and shell begin in the same second."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Timer

import pytest

from feed_migration.errors import JournalUnavailable
from feed_migration.journal.store import Journal

AT_ONCE = 8


def test_all_who_open_a_new_journal_at_once_get_it(tmp_path, monkeypatch):
    """Whoever is first lays it out, and nobody's first event is lost."""
    # a disk that syncs for seconds is not what this is about
    monkeypatch.setattr("feed_migration.journal.database._FIRST_OPENING_SECONDS", 30.0)
    path, together = tmp_path / "journal.db", Barrier(AT_ONCE)

    def append(who):
        together.wait(10)
        journal = Journal(path)
        journal.append("audit_note", migration_id="mig-1", actor=who, body={"note": "here"})

    actors = [f"actor {number}" for number in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(append, actors))
    journal = Journal(path)
    assert sorted(event.actor for event in journal.events("mig-1")) == actors
    assert journal.verify().ok


def test_who_finds_a_new_file_locked_waits_for_it(tmp_path):
    """SQLite's switch to a write-ahead log fails at once where another has the file."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        assert Journal(path).verify().ok
        release.join()


def test_a_new_file_that_stays_locked_is_an_error(tmp_path):
    """It says so within seconds: a way back must not wait for it."""
    path = tmp_path / "journal.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalUnavailable, match="locked"):
            Journal(path, lock_wait_seconds=0.1)
