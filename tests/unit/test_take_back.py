"""Who comes second to a rollback joins it, and finishes it where the first one does not."""

import io

import pytest

from feed_migration import rollback
from feed_migration.journal.recorder import Recorder
from feed_migration.journal.spool import Spool
from feed_migration.journal.store import Journal
from feed_migration.phases import Status
from feed_migration.take_back import JOIN_SECONDS, take_back
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import begin, breach, pass_steps


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal.db")


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "journal.spool.jsonl", io.StringIO())


@pytest.fixture
def exposed(journal):
    """A fleet at 50 % whose gate has just said Rollback."""
    fleet = MemoryFleet()
    return fleet, breach(journal, fleet)


def starts(journal, migration_id):
    return [event.actor for event in journal.events(migration_id, "rollback_started")]


def test_the_first_reverts_and_verifies(journal, spool, exposed):
    """One call from verdict to proof."""
    fleet, migration_id = exposed
    taken = take_back(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    assert taken.result.reason == "breach"
    assert set(taken.proof.instances.values()) == {"ccxt"}
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_the_second_only_verifies_what_the_first_has_begun(journal, spool, exposed):
    """No second start, no second restart of any instance."""
    fleet, migration_id = exposed
    rollback.revert(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    restarts = dict(fleet.restarts)

    taken = take_back(fleet, journal, migration_id, "ana", "asked for", spool=spool)

    assert taken.result is None
    assert starts(journal, migration_id) == ["guard:a"]
    assert fleet.restarts == restarts
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_rollback_that_has_gone_silent_is_taken_over(journal, spool, exposed):
    """Its actor died before the act: nobody waits for it longer than the patience."""
    fleet, migration_id = exposed
    body = {"reason": "breach", "epoch": 7, "breach_at": 1000.0, "instances": {}, "logs": {}}
    event = journal.append("rollback_started", migration_id=migration_id, actor="x", body=body)

    def late():
        return event.at + JOIN_SECONDS

    taken = take_back(fleet, journal, migration_id, "ana", "r", spool=spool, clock=late)

    assert taken.result.epoch == 7
    assert fleet.native == []
    assert starts(journal, migration_id) == ["x"]
    acts = journal.events(migration_id, "rollback_act")
    assert {(act.actor, act.body["reason"]) for act in acts} == {("ana", "r")}


def test_a_rollback_that_does_not_get_there_is_taken_over(journal, spool, exposed):
    """Begun a moment ago, but the instances are still on native when the patience is over."""
    fleet, migration_id = exposed
    body = {"reason": "breach", "epoch": 7, "breach_at": 1000.0, "instances": {}, "logs": {}}
    event = journal.append("rollback_started", migration_id=migration_id, actor="x", body=body)

    def nearly():
        return event.at + JOIN_SECONDS - 0.3

    taken = take_back(fleet, journal, migration_id, "ana", "r", spool=spool, clock=nearly)
    assert taken.result is not None
    assert fleet.native == []


def test_its_own_rollback_is_not_waited_for(journal, spool, exposed):
    """The same actor after a kill -9 goes on at once; what was begun is not begun again."""
    fleet, migration_id = exposed
    first = rollback.revert(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    taken = take_back(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    assert taken.result.epoch == first.epoch
    assert starts(journal, migration_id) == ["guard:a"]
    assert "reason" not in journal.events(migration_id, "rollback_act")[-1].body


@pytest.fixture
def meanwhile(monkeypatch):
    """Lets another act once, right after the first one has read the state."""

    def act(other):
        read, left = Recorder.state, [other]

        def state(recorder):
            known = read(recorder)
            if left:
                left.pop()()
            return known

        monkeypatch.setattr(Recorder, "state", state)

    return act


def test_of_two_that_begin_at_once_one_begins(journal, spool, exposed, meanwhile):
    """Neither knew of the other when it looked: the journal has one rollback all the same."""
    fleet, migration_id = exposed
    meanwhile(lambda: rollback.revert(fleet, journal, migration_id, "a", "breach", spool=spool))

    rollback.revert(fleet, journal, migration_id, "b", "asked for", spool=spool)

    assert starts(journal, migration_id) == ["a"]
    last = journal.events(migration_id, "rollback_act")[-1]
    assert (last.actor, last.body["reason"]) == ("b", "asked for")
    assert fleet.native == []


def test_who_is_late_to_begin_does_not_open_what_is_verified(journal, spool, exposed, meanwhile):
    """The other one is done by then: nothing is under way again, and the books stay closed."""
    fleet, migration_id = exposed
    rollback.revert(fleet, journal, migration_id, "a", "breach", spool=spool)
    meanwhile(lambda: rollback.verify(fleet, journal, migration_id, "a", spool=spool))

    rollback.revert(fleet, journal, migration_id, "a", "breach", spool=spool)

    assert starts(journal, migration_id) == ["a"]
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_of_two_that_verify_at_once_one_says_so(journal, spool, exposed, meanwhile):
    """Both have looked for themselves, and both give the time of the one in the journal."""
    fleet, migration_id = exposed
    rollback.revert(fleet, journal, migration_id, "a", "breach", spool=spool)
    first = []
    meanwhile(lambda: first.append(rollback.verify(fleet, journal, migration_id, "a", spool=spool)))

    second = rollback.verify(
        fleet, journal, migration_id, "b", spool=spool, clock=lambda: 9_000_000_000.0
    )

    (event,) = journal.events(migration_id, "rollback_verified")
    assert event.actor == "a"
    took = second.breach_to_rollback_seconds
    # the time of the event itself, a moment after the clock of who wrote it
    assert took == pytest.approx(first[0].breach_to_rollback_seconds, abs=5.0)


def test_the_fleet_of_another_migration_is_not_touched(journal, spool, exposed):
    """A late rollback of one that is taken back must not take the next one back too."""
    fleet, migration_id = exposed
    take_back(fleet, journal, migration_id, "ana", "r", spool=spool)
    pass_steps(journal, fleet, begin(journal), until="cutover-50")
    assert fleet.native
    assert take_back(fleet, journal, migration_id, "ana", "r", spool=spool) is None
    assert fleet.native


def test_without_a_journal_it_goes_on_at_once(spool, exposed):
    """There is nobody to ask whether somebody else is at it."""
    fleet, migration_id = exposed
    taken = take_back(fleet, None, migration_id, "guard:a", "r", spool=spool)
    assert taken.result is not None
    assert fleet.native == []
