"""Reading the end of a long journal, and writing what follows from it."""

import pytest

from feed_migration import phases
from feed_migration.events import EventKind
from feed_migration.model import Measurement, Outcome
from feed_migration.phases import Status


@pytest.fixture
def journal(store):
    return store.open()


def note(journal, migration_id, number):
    body = {"number": number}
    return journal.append("audit_note", migration_id=migration_id, actor="ana", body=body)


def measured(criterion, tick):
    return Measurement(
        criterion=criterion,
        tick_seconds=tick,
        outcome=Outcome.SUCCESS,
        counts_as=Outcome.SUCCESS,
        value=tick,
    )


def test_the_newest_of_everything_is_asked_for_alone(journal):
    """Migrations newest first, the last events, the last ticks of each criterion."""
    first = journal.begin_migration("p", "a", "ana")
    journal.append("rollback_started", migration_id=first, actor="ana", body={"epoch": 2})
    journal.append("rollback_verified", migration_id=first, actor="ana", body={})
    second = journal.begin_migration("p", "a", "ana")
    assert journal.migrations() == [second, first]
    assert journal.migrations(1) == [second] == [journal.latest_migration()]
    noted = [note(journal, second, number) for number in range(4)]
    assert journal.newest_events(second, 3) == noted[-3:]
    assert journal.newest_events("none", 3) == []
    rows = [measured("often", float(tick)) for tick in range(5)] + [measured("rare", 1.0)]
    journal.record(second, "shadow", rows)
    newest = journal.newest_measurements(second, "shadow", "1", 2)
    assert [(one.criterion, one.tick_seconds) for one in newest] == [
        ("rare", 1.0),
        ("often", 3.0),
        ("often", 4.0),
    ]


def test_notes_are_left_out_where_they_tell_nothing(journal):
    """The state is the fold of all events, without reading those that change nothing."""
    migration_id = journal.begin_migration("p", "a", "ana")
    note(journal, migration_id, 1)
    journal.append("held", migration_id=migration_id, actor="ana", body={"reason": "r"})
    told = journal.events(migration_id, but=phases.WITHOUT_EFFECT)
    assert [event.kind for event in told] == ["migration_started", "held"]
    assert journal.state(migration_id) == phases.fold(journal.events(migration_id))
    assert journal.state(migration_id).status is Status.HELD


def test_events_are_found_by_a_word_of_theirs(journal):
    """Literally, and in the database: of a hundred thousand notes a few are wanted."""
    migration_id = journal.begin_migration("p", "a", "ana")
    for word in ("joined", "join%", "x_y", "xzy"):
        journal.append("audit_note", migration_id=migration_id, actor="ana", body={"note": word})
    found = {
        word: [event.body["note"] for event in journal.events(migration_id, text=word)]
        for word in ("joined", "join%", "x_y")
    }
    assert found == {"joined": ["joined"], "join%": ["join%"], "x_y": ["x_y"]}


def test_what_is_chosen_is_written_as_one_with_what_it_follows_from(journal):
    """All of it behind what was read, notes left out, or nothing where the choice is an error."""
    migration_id = journal.begin_migration("p", "a", "ana")
    note(journal, migration_id, 1)
    seen = []

    def choose(events):
        seen.extend(event.kind for event in events)
        return [(EventKind.VERDICT, {"step": "s"}), (EventKind.HELD, {"step": "s"})]

    written = journal.append_chosen(migration_id, "bo", choose)
    assert seen == ["migration_started"]
    assert [event.kind for event in written] == ["verdict", "held"]
    assert journal.events(migration_id)[-2:] == written
    assert journal.verify().ok

    def refuse(events):
        raise LookupError(len(events))

    with pytest.raises(LookupError, match="1"):
        journal.append_chosen(migration_id, "bo", refuse, kind=EventKind.VERDICT)
    assert journal.append_chosen(migration_id, "bo", lambda events: []) == []
    assert len(journal.events(migration_id)) == 4
