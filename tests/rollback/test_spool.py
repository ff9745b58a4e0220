"""The way back works without a journal, and nothing of it is lost."""

import io
import json
import sqlite3
import time
from contextlib import closing

import pytest

from feed_migration.describing import describe
from feed_migration.events import SPOOLED
from feed_migration.journal.spool import UNRESOLVED, Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from tests.rollback.acts import revert, verify
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, pass_steps


def test_without_a_journal_events_are_spooled_and_absorbed_later(tmp_path, journal, spool, exposed):
    """Disk, stderr, and then the journal: in order, once, under the right migration."""
    fleet, migration_id = exposed
    result = revert(fleet, None, UNRESOLVED, spool)
    verify(fleet, None, UNRESOLVED, spool, breach_at=result.breach_at)
    assert fleet.native == []
    kept = spool.path.read_text()

    Journal(tmp_path / "journal.db")
    spool.path.write_text(kept)  # as if the process had been killed before it emptied the file
    later = Journal(tmp_path / "journal.db")

    kinds = [event.kind for event in later.events(migration_id)]
    assert kinds.count("rollback_started") == kinds.count("rollback_verified") == 1
    assert later.state(migration_id).status is Status.ROLLED_BACK
    assert later.verify().ok
    assert spool.path.read_text() == ""


@pytest.fixture
def bastion(tmp_path):
    """The spool of another host, which nobody absorbs for a day."""
    return Spool(tmp_path / "bastion.jsonl", io.StringIO())


def begun_anew(journal, fleet):
    """The next migration, half of it on native; returns its id."""
    newer = journal.begin_migration(
        PLAN.name, PLAN.sha256, "ana", steps=PLAN.steps, run_key="r2", fleet_epoch=fleet.epoch()
    )
    pass_steps(journal, fleet, newer, until="cutover-100")
    return newer


def test_what_was_spooled_before_a_migration_began_is_none_of_it(journal, spool, bastion, exposed):
    """It was the earlier one's rollback, whoever opens the journal first on that host again."""
    fleet, migration_id = exposed
    result = revert(fleet, None, UNRESOLVED, bastion)
    verify(fleet, None, UNRESOLVED, bastion, breach_at=result.breach_at)
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    newer = begun_anew(journal, fleet)
    before = journal.state(newer)

    journal.absorb(bastion)

    assert journal.state(newer) == before
    assert before.status is Status.RUNNING
    assert len(before.exposed) == len(fleet.native) == 5
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.active_migration() == newer


def test_what_was_spooled_before_any_migration_began_is_nobody_s(journal, bastion):
    """It stays to be read, and takes nothing back; its epoch counts."""
    fleet = MemoryFleet()
    fleet.seen_epoch = 20
    revert(fleet, None, UNRESOLVED, bastion)
    newer = begun_anew(journal, MemoryFleet())

    journal.absorb(bastion)

    assert journal.state(newer).status is Status.RUNNING
    assert [event.actor for event in journal.events(UNRESOLVED, "rollback_started")] == ["ana"]
    assert journal.migrations() == [newer]
    assert journal.max_epoch() == 21


@pytest.mark.parametrize("named", [False, True])
def test_a_rollback_that_ended_nowhere_opens_no_closed_books(
    journal, spool, bastion, exposed, named
):
    """Killed behind its beginning, and absorbed when another has proven the fleet to be back."""
    fleet, migration_id = exposed
    revert(fleet, None, migration_id if named else UNRESOLVED, bastion)
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    kept = bastion.path.read_text()

    for _ in range(2):
        journal.absorb(bastion)
        bastion.path.write_text(kept)  # as if the process had been killed before it emptied it

    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.active_migration() is None
    notes = journal.events(migration_id, "audit_note")
    assert [note.body["kind"] for note in notes] == ["rollback_started", *["rollback_act"] * 4]
    assert {note.body["note"] for note in notes} == {SPOOLED}
    assert (
        describe(notes[0]) == "out of a spool, after the proof of others: rollback started: breach"
    )


def test_a_rollback_after_another_s_proof_is_one_of_its_own(journal, spool, bastion, exposed):
    """Nothing of it is late: what was exposed since is taken back, and the books say so."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    revert(fleet, None, UNRESOLVED, bastion)

    journal.absorb(bastion)

    assert journal.state(migration_id).status is Status.ROLLING_BACK


def test_a_journal_that_breaks_half_way_loses_no_event(tmp_path, journal, spool, exposed):
    """What the journal refuses goes to the spool, and all that follows it too."""
    fleet, migration_id = exposed
    broken = tmp_path / "journal.db"
    whole = broken.read_bytes()

    def corrupt(act):
        if act == "flip feed-02":
            for path in tmp_path.glob("journal.db*"):
                path.write_bytes(b"not a database " * 500)

    fleet.before_act = corrupt
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)

    assert fleet.native == []
    lines = [json.loads(line) for line in spool.path.read_text().splitlines() if line]
    assert lines[-1]["kind"] == "rollback_verified"
    for path in tmp_path.glob("journal.db-*"):
        path.unlink()
    broken.write_bytes(whole)


def test_a_full_disk_does_not_stop_a_rollback(tmp_path, exposed):
    """Neither journal nor spool can be written: stderr has the events, the fleet is back."""
    fleet, _ = exposed
    errors = io.StringIO()
    nowhere = Spool(tmp_path / "journal.db" / "spool.jsonl", errors)  # below a file: cannot exist

    revert(fleet, None, "m", nowhere)

    assert fleet.native == []
    assert "rollback_started" in errors.getvalue()


def locked(tmp_path):
    """Somebody holds the journal's write lock: appends wait and give up, reading goes on."""
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)


def test_a_journal_that_comes_back_has_the_beginning_before_the_end(
    tmp_path, journal, spool, exposed
):
    """What `revert` had to spool is in the journal before `verify` adds its proof."""
    fleet, migration_id = exposed
    with locked(tmp_path):
        revert(fleet, journal, migration_id, spool)
    assert "rollback_started" in spool.path.read_text()

    verify(fleet, journal, migration_id, spool)

    state = journal.state(migration_id)
    assert (state.status, state.ignored) == (Status.ROLLED_BACK, ())
    assert spool.path.read_text() == ""


def test_what_cannot_be_absorbed_yet_keeps_the_proof_behind_it(tmp_path, journal, spool, exposed):
    """The journal stays locked for all of the rollback; the next start puts it in, in order."""
    fleet, migration_id = exposed
    began = time.monotonic()
    with locked(tmp_path):
        result = revert(fleet, journal, migration_id, spool)
        verify(fleet, journal, migration_id, spool, breach_at=result.breach_at)
    # a rollback waits a second for each of its two halves, not a journal's fifteen
    assert time.monotonic() - began < 14

    state = Journal(tmp_path / "journal.db").state(migration_id)
    assert (state.status, state.ignored) == (Status.ROLLED_BACK, ())


def test_what_is_spooled_during_a_slow_absorption_is_not_lost(spool):
    """A rollback does not wait for one who waits for the journal with the spool in its hand."""
    who = {"at": 1.0, "migration_id": "m", "actor": "ana"}
    spool.write("audit_note", body={"number": 1}, **who)
    rollback_s_own = Spool(spool.path, io.StringIO())
    absorbed = []

    def slowly(event):
        if not absorbed:
            rollback_s_own.write("audit_note", body={"number": 2}, **who)
        absorbed.append(event.body["number"])

    assert spool.absorb(slowly) == 2
    assert absorbed == [1, 2]
    assert spool.is_empty()


def test_a_spooled_line_of_another_shape_is_kept_aside(tmp_path, journal, spool, exposed):
    """It must not keep the journal from opening for ever, and it may be evidence."""
    _, migration_id = exposed
    who = {"migration_id": migration_id, "actor": "ana", "at": 1.0}
    spool.write("audit_note", body={"text": "kept"}, **who)
    with spool.path.open("a") as stream:
        stream.write('{"id":"x","at":"noon","migration_id":"m","kind":"k","actor":"a","body":7}\n')

    notes = Journal(tmp_path / "journal.db").events(migration_id, "audit_note")

    assert [note.body["text"] for note in notes] == ["kept"]
    assert '"at":"noon"' in spool.rejected_path.read_text()
    assert spool.is_empty()


class Unpredictable(Journal):
    """A journal that fails in a way that nobody thought of."""

    def state(self, migration_id):
        raise RuntimeError(migration_id)

    max_epoch = append = state


def test_a_journal_that_fails_in_any_way_does_not_stop_a_rollback(tmp_path, spool, exposed):
    """Not only by the error that it promises."""
    fleet, migration_id = exposed
    journal = Unpredictable(tmp_path / "journal.db")
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool, breach_at=1.0)
    assert fleet.native == []
    assert "rollback_verified" in spool.path.read_text()
