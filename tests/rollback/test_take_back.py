"""Who comes second to a rollback joins it, and finishes it where the first one does not."""

import pytest

from feed_migration import rollback
from feed_migration.errors import FleetUnavailable, StaleEpoch
from feed_migration.journal.recorder import Recorder
from feed_migration.phases import Status
from feed_migration.take_back import JOIN_SECONDS, take_back
from tests.support.memory_fleet import MemoryFleet
from tests.support.migration_plans import PLAN, begin, pass_steps


def starts(journal, migration_id):
    return [event.actor for event in journal.events(migration_id, "rollback_started")]


def begun_by_another(journal, migration_id):
    body = {"reason": "breach", "epoch": 7, "breach_at": 1000.0, "instances": {}, "logs": {}}
    return journal.append("rollback_started", migration_id=migration_id, actor="x", body=body)


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
    event = begun_by_another(journal, migration_id)

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
    event = begun_by_another(journal, migration_id)
    fleet.seen_epoch = 7

    def nearly():
        return event.at + JOIN_SECONDS - 0.3

    taken = take_back(fleet, journal, migration_id, "ana", "r", spool=spool, clock=nearly)
    assert taken.result is not None
    assert fleet.native == []


def test_a_rollback_that_has_not_raised_the_fence_is_not_joined(journal, spool):
    """Killed right behind its first word: a worker that was stopped would come through the proof."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-10")
    begun_by_another(journal, migration_id)

    taken = take_back(fleet, journal, migration_id, "ana", "worker lost", spool=spool)

    assert taken.result.epoch == fleet.epoch() == 7
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    with pytest.raises(StaleEpoch):
        fleet.set_variant(["feed-00"], "native", epoch=journal.state(migration_id).epoch)


def test_a_fence_that_cannot_be_read_is_not_raised(journal, spool, exposed, monkeypatch):
    """Nobody can say that a forward act would be refused, so the rollback is done again."""
    fleet, migration_id = exposed
    fleet.variant = dict.fromkeys(fleet.variant, "ccxt")
    begun_by_another(journal, migration_id)

    def unreadable():
        raise FleetUnavailable("fence is unreadable")

    monkeypatch.setattr(fleet, "epoch", unreadable)
    taken = take_back(fleet, journal, migration_id, "ana", "r", spool=spool)
    assert taken.result.epoch == fleet.seen_epoch == 7


def test_a_verified_rollback_whose_fence_was_lost_is_done_again(journal, spool, exposed):
    """The state directory is of an earlier day: what is older than the rollback must not pass."""
    fleet, migration_id = exposed
    first = take_back(fleet, journal, migration_id, "ana", "r", spool=spool)
    fleet.seen_epoch = 1
    again = take_back(fleet, journal, migration_id, "ana", "r", spool=spool)
    assert again.result.epoch == fleet.epoch() > first.result.epoch
    assert journal.state(migration_id).status is Status.ROLLED_BACK


@pytest.mark.parametrize("came_through", [False, True])
def test_an_act_after_the_proof_is_taken_back_or_proven_not_to_be(
    journal, spool, exposed, came_through
):
    """What it says it has exposed stands in the journal until somebody has looked."""
    fleet, migration_id = exposed
    take_back(fleet, journal, migration_id, "ana", "r", spool=spool)
    late = {"act": "set_variant", "step": "cutover-50", "variant": "native", "epoch": 1}
    body = {**late, "instances": ["feed-01"]}
    journal.append("act_intended", migration_id=migration_id, actor="old", body=body)
    if came_through:
        fleet.variant["feed-01"] = "native"
    assert journal.state(migration_id).exposed == ("feed-01",)

    taken = take_back(fleet, journal, migration_id, "guard:a", "exposed", spool=spool)

    assert fleet.native == []
    assert (taken.result is not None) is came_through
    state = journal.state(migration_id)
    assert (state.status, state.exposed) == (Status.ROLLED_BACK, ())
    told = len(journal.events(migration_id))
    take_back(fleet, journal, migration_id, "guard:a", "exposed", spool=spool)
    assert len(journal.events(migration_id)) == told


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


@pytest.fixture
def stopped(monkeypatch):
    """Lets another act once, while who takes back is stopped behind its last look."""

    def act(fleet, other):
        tails, left = fleet.log_tails, [other]

        def log_tails(ids, lines):
            if left:
                left.pop()()
            return tails(ids, lines)

        monkeypatch.setattr(fleet, "log_tails", log_tails)

    return act


def taken_back_and_begun_anew(fleet, journal, migration_id, spool):
    """The guard takes it back, and the next migration reaches 50 %; returns its id."""
    take_back(fleet, journal, migration_id, "guard:a", "breach", spool=spool)
    newer = journal.begin_migration(
        PLAN.name, PLAN.sha256, "ana", steps=PLAN.steps, run_key="r2", fleet_epoch=fleet.epoch()
    )
    pass_steps(journal, fleet, newer, until="cutover-100")
    return newer


def test_a_rollback_that_was_stopped_leaves_the_next_migration_alone(
    journal, spool, exposed, stopped, caplog
):
    """It wakes up below the epoch of a migration that nobody wants back, and says that it ends."""
    fleet, migration_id = exposed
    newer = []

    def meanwhile():
        newer.append(taken_back_and_begun_anew(fleet, journal, migration_id, spool))

    stopped(fleet, meanwhile)

    assert take_back(fleet, journal, migration_id, "airflow", "breach", spool=spool) is None

    assert len(fleet.native) == 5
    assert fleet.epoch() == journal.state(newer[0]).epoch
    assert journal.state(newer[0]).status is Status.RUNNING
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert f"the fleet is {newer[0]}'s by now" in caplog.text


def test_who_was_stopped_before_it_read_where_it_is_takes_nothing_newer_back(
    journal, spool, exposed, monkeypatch
):
    """It would otherwise begin the old rollback anew, above every epoch."""
    fleet, migration_id = exposed
    revert = rollback.revert

    def late(*given, **more):
        monkeypatch.setattr(rollback, "revert", revert)
        taken_back_and_begun_anew(fleet, journal, migration_id, spool)
        return revert(*given, **more)

    monkeypatch.setattr(rollback, "revert", late)
    assert take_back(fleet, journal, migration_id, "airflow", "breach", spool=spool) is None
    assert len(fleet.native) == 5
    assert starts(journal, migration_id) == ["guard:a"]


def test_without_a_journal_a_rollback_that_was_stopped_goes_on_above_all(
    journal, spool, exposed, stopped
):
    """Nobody can tell it that it is over, and ccxt is never wrong for long."""
    fleet, migration_id = exposed
    stopped(fleet, lambda: taken_back_and_begun_anew(fleet, journal, migration_id, spool))
    taken = take_back(fleet, None, migration_id, "airflow", "breach", spool=spool)
    assert taken.result.epoch == fleet.epoch()
    assert fleet.native == []


def test_without_a_journal_it_goes_on_at_once(spool, exposed):
    """There is nobody to ask whether somebody else is at it."""
    fleet, migration_id = exposed
    taken = take_back(fleet, None, migration_id, "guard:a", "r", spool=spool)
    assert taken.result is not None
    assert fleet.native == []
