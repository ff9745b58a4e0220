"""The way back works from anywhere, again and again."""

from dataclasses import replace

import pytest

from feed_migration.describing import describe
from feed_migration.errors import FleetBusy, FleetUnavailable, RollbackUnverified
from feed_migration.phases import Status
from tests.rollback.acts import revert, verify
from tests.support.memory_fleet import Killed, MemoryFleet
from tests.support.migration_plans import begin, pass_steps


def test_rollback_puts_every_instance_on_ccxt_and_proves_it(journal, spool, exposed):
    """Flag, restart, verification, and the time since the breach."""
    fleet, migration_id = exposed

    result = revert(fleet, journal, migration_id, spool)
    proof = verify(fleet, journal, migration_id, spool, clock=lambda: 1004.5)

    assert fleet.native == []
    assert sorted(result.before.values()).count("native") == 5
    assert result.logs["feed-00"] == ["feed-00: sequence gap"]
    assert set(proof.instances.values()) == {"ccxt"}
    assert (proof.breach_to_rollback_seconds, proof.breached) == (4.5, True)
    assert journal.state(migration_id).status is Status.ROLLED_BACK
    assert journal.state(migration_id).exposed == ()


@pytest.mark.parametrize("away", [False, True])
def test_a_rollback_by_hand_has_no_breach(journal, spool, away):
    """Its time counts from when it began, also where that comes out of the spool later."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until="cutover-100")

    known = None if away else journal
    result = revert(fleet, known, migration_id, spool, clock=lambda: 1000.0)
    proof = verify(fleet, known, migration_id, spool, breach_at=result.breach_at)
    assert not proof.breached

    journal.absorb(spool)
    (told,) = journal.events(kind="rollback_verified")
    assert told.body["breached"] is False
    assert describe(told).endswith("s after it began")


def test_the_epoch_of_a_rollback_is_above_every_other(journal, spool, exposed):
    """Also above one that only the fleet has seen, when the journal was away."""
    fleet, migration_id = exposed
    fleet.seen_epoch = 41
    assert revert(fleet, journal, migration_id, spool).epoch == 42
    verify(fleet, journal, migration_id, spool)
    assert begin(journal).startswith("mig-0043-")


def acts_of_a_rollback():
    return ["flip feed-00", "flip feed-02", "flip feed-04", "stop_shadow", "wait"]


@pytest.mark.parametrize("deadly", acts_of_a_rollback())
def test_a_rollback_killed_at_any_act_is_completed_by_the_next(journal, spool, exposed, deadly):
    """Resumable and idempotent: no instance restarts twice, none stays."""
    fleet, migration_id = exposed
    before = dict(fleet.restarts)

    def die(act):
        if act == deadly:
            fleet.before_act = lambda act: None
            raise Killed

    fleet.before_act = die

    def revert_and_verify():
        revert(fleet, journal, migration_id, spool)
        verify(fleet, journal, migration_id, spool)

    with pytest.raises(Killed):
        revert_and_verify()
    revert_and_verify()

    assert fleet.native == []
    assert not fleet.shadow_runs
    assert max(fleet.restarts[name] - before[name] for name in before) == 1
    assert journal.state(migration_id).status is Status.ROLLED_BACK


@pytest.mark.parametrize("until", ["preflight", "shadow", "cutover-10", "stabilisation", None])
def test_rollback_starts_from_every_phase(journal, spool, until):
    """Also before anything was exposed, and after the whole plan was promoted."""
    fleet, migration_id = MemoryFleet(), begin(journal)
    pass_steps(journal, fleet, migration_id, until=until)
    if until is None:
        body = {"outcome": "promoted"}
        journal.append("migration_finished", migration_id=migration_id, actor="a", body=body)
        assert journal.state(migration_id).status is Status.PROMOTED

    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)

    assert fleet.native == []
    assert journal.state(migration_id).status is Status.ROLLED_BACK


def test_a_second_rollback_changes_nothing_and_keeps_the_first_time(journal, spool, exposed):
    """Verification told twice is recorded once."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    at = journal.state(migration_id).breach_at
    first = verify(fleet, journal, migration_id, spool)
    again = verify(fleet, journal, migration_id, spool, clock=lambda: at + 10_000)

    first_seconds = pytest.approx(first.breach_to_rollback_seconds, abs=1)
    assert again.breach_to_rollback_seconds == first_seconds
    kinds = [event.kind for event in journal.events(migration_id)]
    assert kinds.count("rollback_verified") == 1


def test_a_fleet_that_is_down_is_reported_after_every_act_was_tried(journal, spool, exposed):
    """The migration stays in rolling back, and a repeat completes it."""
    fleet, migration_id = exposed
    fleet.down = True
    with pytest.raises(FleetUnavailable):
        revert(fleet, journal, migration_id, spool)
    assert journal.state(migration_id).status is Status.ROLLING_BACK
    tried = [e.body["act"] for e in journal.events(migration_id, "rollback_act")]
    assert tried == ["set_variant", "stop_shadow"]

    fleet.down = False
    revert(fleet, journal, migration_id, spool)
    verify(fleet, journal, migration_id, spool)
    assert fleet.native == []


def test_a_rollback_goes_on_above_whoever_comes_in_between(journal, spool, exposed):
    """Fencing stops forward acts, never the way back."""
    fleet, migration_id = exposed

    def overtake(act):
        if act == "flip feed-03" and fleet.seen_epoch < 50:
            fleet.seen_epoch = 50

    fleet.before_act = overtake
    assert revert(fleet, journal, migration_id, spool).epoch == 51
    assert fleet.native == []


def test_a_rollback_takes_the_fleet_from_a_stopped_rollback(journal, spool, exposed):
    """The first was stopped with the fleet in its hands; the next one goes on above it."""
    fleet, migration_id = exposed

    def busy(act):
        fleet.before_act = lambda act: None
        raise FleetBusy("another process holds the fleet")

    fleet.before_act = busy
    result = revert(fleet, journal, migration_id, spool)
    assert result.epoch == journal.state(migration_id).rollback_epoch + 1
    assert fleet.native == []


def test_a_new_life_with_the_same_pid_is_a_new_life(journal, spool, exposed):
    """In a container every process is 1: fewer messages than before are data that flows."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    lives = iter([(100.0, 5000), (200.0, 7)])
    instances = fleet.instances

    def restarted():
        started_at, messages = next(lives, (200.0, 7))
        return tuple(
            replace(status, pid=1, started_at=started_at, messages=messages)
            for status in instances()
        )

    original, asked = instances, iter([True])
    fleet.instances = lambda: original() if next(asked, False) else restarted()
    proof = verify(fleet, journal, migration_id, spool, deadline_seconds=1)
    assert set(proof.instances.values()) == {"ccxt"}


@pytest.mark.parametrize("fault", ["never_ready", "dry"])
def test_data_must_flow_on_every_instance(journal, spool, exposed, fault):
    """Not ready, or ready without a message since the restart: not verified, and named."""
    fleet, migration_id = exposed
    revert(fleet, journal, migration_id, spool)
    getattr(fleet, fault).add("feed-07")

    with pytest.raises(RollbackUnverified, match="feed-07: no ") as caught:
        verify(fleet, journal, migration_id, spool, deadline_seconds=0.3)

    assert caught.value.instances == ("feed-07",)
    assert journal.state(migration_id).status is Status.ROLLING_BACK


def test_an_unreadable_fence_does_not_stop_a_rollback(journal, spool, exposed):
    """The journal's epochs stand in for it."""
    fleet, migration_id = exposed
    highest = journal.max_epoch()

    def unreadable():
        raise FleetUnavailable("fence is unreadable")

    fleet.epoch = unreadable
    assert revert(fleet, journal, migration_id, spool).epoch == highest + 1
    assert fleet.native == []
