"""A database that is older than its anchors, or another: nothing goes forward on it unseen."""

import logging

import pytest

from feed_migration import cutover, rollback
from feed_migration.errors import JournalUnavailable, Refused
from feed_migration.journal.keys import AuditPlace
from feed_migration.phases import Status
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, begin, pass_steps


@pytest.fixture
def place(store):
    return AuditPlace.of(store.home, {})


def fill(journal, count=5):
    for number in range(count):
        journal.append("audit_note", migration_id="m", actor="ana", body={"number": number})
    return journal


def restore(store, seq):
    """The database as it was behind event `seq`."""
    store.tamper(
        f"DELETE FROM events WHERE seq > {seq}",  # noqa: S608 - a number
        f"DELETE FROM heads WHERE seq > {seq}",  # noqa: S608 - a number
    )


def test_a_step_forward_is_refused_while_the_anchors_are_ahead(store, place, caplog):
    """With what is wrong and what to do, in the log as well; the file stays as it is."""
    fill(store.open())
    restore(store, 2)
    before = place.anchors.read_bytes()
    with caplog.at_level(logging.ERROR):
        journal = store.open()
    assert "anchored up to event 5, which the journal does not have" in caplog.text
    with pytest.raises(JournalUnavailable, match="`backpack-migrate audit restored --reason TEXT`"):
        journal.begin_migration("p", "x", "ana")
    with pytest.raises(JournalUnavailable, match="rollback` does not need it"):
        journal.append("step_promoted", migration_id="m", actor="ana", body={"step": "shadow"})
    assert [event.seq for event in journal.events()] == [1, 2]
    assert place.anchors.read_bytes() == before


def test_the_way_back_goes_on_and_cannot_hide_what_was_lost(store, place):
    """Also once the log has grown past the last anchor, where another event has its number."""
    fill(store.open())
    restore(store, 2)
    journal = store.open()
    for kind in ("rollback_started", "rollback_act", "rollback_verified", "migration_finished"):
        journal.append(kind, migration_id="m", actor="ana", body={"epoch": 2})
    with pytest.raises(JournalUnavailable, match="the head of event 5 is another in the journal"):
        store.open().begin_migration("p", "x", "ana")
    result = journal.verify()
    assert (result.ok, result.first_bad_seq) == (False, 3)


def test_a_database_that_is_replaced_under_a_running_process_is_noticed(store):
    """What it has anchored itself is no longer there."""
    journal = fill(store.open())
    restore(store, 2)
    with pytest.raises(JournalUnavailable, match="anchored up to event 5"):
        journal.begin_migration("p", "x", "ana")


@pytest.mark.parametrize("kind", ["step_started", "act_intended"])
def test_nothing_is_begun_on_it_and_what_was_done_is_written(store, kind):
    """An act that ends is a fact, whatever the database has lost."""
    fill(store.open())
    restore(store, 2)
    journal = store.open()
    with pytest.raises(JournalUnavailable, match="anchored up to event 5"):
        journal.append(kind, migration_id="m", actor="ana", body={"step": "shadow"})
    journal.append("act_confirmed", migration_id="m", actor="ana", body={"step": "shadow"})
    assert journal.events()[-1].kind == "act_confirmed"


def test_a_fleet_on_native_is_taken_back_over_a_restored_database(store):
    """The whole way back, verified; forward stays shut until somebody has answered for it."""
    journal, fleet = store.open(), MemoryFleet()
    migration_id = begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    cutover.advance(PLAN.step("cutover-10"), PLAN, fleet, journal, migration_id, "ana")
    end = journal.events()[-1].seq
    fill(journal)
    restore(store, end)
    journal = store.open()
    assert fleet.native
    rollback.revert(fleet, journal, migration_id, "ana", "a breach")
    rollback.verify(fleet, journal, migration_id, "ana")
    assert (fleet.native, journal.state(migration_id).status) == ([], Status.ROLLED_BACK)
    with pytest.raises(JournalUnavailable, match="audit restored"):
        begin(journal)


def test_a_person_answers_for_the_restore_and_the_way_forward_is_open(store, place):
    """Who and why is in the log, the anchors of before are kept, and all is anchored anew."""
    fill(store.open())
    restore(store, 2)
    journal = fill(store.open(), 2)
    before = place.anchors.read_bytes()
    note = journal.acknowledge_restore("ana", "the backup of Friday")
    assert (note.actor, note.body["reason"]) == ("ana", "the backup of Friday")
    assert note.body["problem"] == "anchored up to event 5, which the journal does not have"
    assert place.anchors.with_name(note.body["kept"]).read_bytes() == before
    journal.begin_migration("p", "x", "ana")
    result = store.open().verify()
    assert (result.ok, result.anchored_seq, result.count) == (True, 6, 6)
    missed = journal.verify(anchors=place.anchors.with_name(note.body["kept"]))
    assert (missed.ok, missed.first_bad_seq) == (False, 3)


def test_a_process_that_ran_all_along_goes_on_once_somebody_has_answered(store):
    """It looks again at its next step forward."""
    running = fill(store.open())
    restore(store, 2)
    with pytest.raises(JournalUnavailable):
        running.begin_migration("p", "x", "ana")
    store.open().acknowledge_restore("ana", "the backup of Friday")
    running.begin_migration("p", "x", "ana")
    assert running.verify().anchored_seq == 4


def test_nobody_moves_anchors_that_fit(store, place):
    """Also not where the disk only keeps them from being written."""
    journal = fill(store.open())
    before = place.anchors.read_bytes()
    with pytest.raises(Refused, match="do not contradict"):
        journal.acknowledge_restore("ana", "to be sure")
    assert place.anchors.read_bytes() == before
    assert len(journal.events()) == 5


def test_anchors_whose_last_line_is_no_head_are_left_alone(store, place):
    """To append the whole log behind it would say everything twice."""
    fill(store.open())
    with place.anchors.open("ab") as stream:
        stream.write(b"nonsense\n")
    before = place.anchors.read_bytes()
    with pytest.raises(JournalUnavailable, match="its last line is no head"):
        store.open().begin_migration("p", "x", "ana")
    assert place.anchors.read_bytes() == before
